//! A namespace of its own, and what a test does and waits for in it.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use gritstone_tests::cluster::Cluster;
use gritstone_tests::rig::{PATIENCE, until_shown};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An API server that knows our kinds, with options besides those of every test.
pub async fn start_cluster(options: &[&str]) -> Cluster {
    let cluster = Cluster::start_with(options).await.unwrap();
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
    cluster.kubectl(&["apply", "-f", &crds]).await.unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await.unwrap();
    cluster
}

/// A namespace, as one sees it who may do everything.
pub struct Ground {
    config: Config,
    client: Client,
    namespace: String,
}

impl Ground {
    /// One whose name begins like this.
    pub async fn on(cluster: &Cluster, name: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config.clone()).unwrap();
        let namespace = json!({"metadata": {"generateName": format!("{name}-")}});
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await;
        Self { config, client, namespace: made.unwrap().name_any() }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What other clients are made of.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Deletes the namespace. There is no controller that would delete what is in it.
    pub async fn terminate(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }

    /// From now on the namespace takes only pods of Kubernetes' restricted policy.
    pub async fn restrict(&self) {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.patch(&self.namespace, &PatchParams::default(), &Patch::Merge(labels)).await.unwrap();
    }

    /// A Secret with the address of a database that isn't there.
    pub async fn create_secret(&self) {
        self.create_secret_of("app-db", "postgres://127.0.0.1:1/app").await;
    }

    /// A Secret with the address of a database.
    pub async fn create_secret_of(&self, name: &str, url: &str) {
        let secret = json!({"metadata": {"name": name}, "stringData": {"uri": url}});
        self.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }

    /// Makes an object of ours.
    pub async fn create<K>(&self, name: &str, spec: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec,
        });
        self.api().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Says what the Deployment's controller would once so many pods are ready.
    pub async fn say_ready(&self, deployment: &str, count: i32) {
        let generation = self.get::<Deployment>(deployment, |_| true).await.metadata.generation;
        let status = Patch::Merge(ready_status(generation, count));
        self.api::<Deployment>().patch_status(deployment, &PatchParams::default(), &status).await.unwrap();
    }

    /// The object, once it is there and as expected.
    pub async fn get<K>(&self, name: &str, expected: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = self.api::<K>();
        until_shown(PATIENCE, &format!("{name} is as expected"), async || match api.get_opt(name).await.unwrap() {
            Some(object) if expected(&object) => Ok(object),
            found => Err(format!("{found:#?}")),
        })
        .await
    }

    /// Waits until the object is gone. Some are kept a minute on purpose.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = self.api::<K>();
        let patience = PATIENCE + Duration::from_secs(60);
        until_shown(patience, &format!("{name} is gone"), async || match api.get_opt(name).await.unwrap() {
            None => Ok(()),
            Some(found) => Err(format!("{found:#?}")),
        })
        .await;
    }

    /// Why there are Events about an object, sorted, and whether each was published again.
    async fn events(&self, object: &str) -> Vec<(String, bool)> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let of_object = |event: &Event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(object);
        let of_object = events.into_iter().filter(of_object);
        let mut reasons: Vec<_> =
            of_object.map(|event| (event.reason.unwrap_or_default(), event.series.is_some())).collect();
        reasons.sort();
        reasons
    }

    /// Whether there is an Event about an object for this reason.
    pub async fn has_had_event(&self, object: &str, reason: &str) -> bool {
        self.events(object).await.iter().any(|(why, _)| why == reason)
    }

    /// Waits until there is.
    pub async fn has_event(&self, object: &str, reason: &str) {
        until(&format!("an Event of {object} says {reason}"), async || self.has_had_event(object, reason).await).await;
    }

    /// Waits until these, sorted, are the reasons of the Events about an object, none of which was published again.
    pub async fn has_events(&self, object: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|reason| ((*reason).to_owned(), false)).collect();
        until_shown(PATIENCE, &format!("the Events of {object} are {expected:?}"), async || {
            let events = self.events(object).await;
            if events == expected { Ok(()) } else { Err(format!("and not {events:?}")) }
        })
        .await;
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    gritstone_tests::rig::until(what, async || is_so().await.then_some(())).await;
}

/// A status as the Deployment's own controller would write it.
pub fn ready_status(generation: Option<i64>, count: i32) -> Value {
    json!({"status": {
        "observedGeneration": generation, "replicas": count, "updatedReplicas": count, "readyReplicas": count,
        "availableReplicas": count,
    }})
}
