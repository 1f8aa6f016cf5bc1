//! One API server for a test binary; for each test a namespace, and an operator that looks after it alone.

#![allow(dead_code, reason = "each binary uses some of it")]

use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gritstone_crds::kinds::{Condition, ConditionStatus, CronSchedule, Dispatcher, QueueWorker, RecurringTask};
use gritstone_operator::{Instruments, Settings, run};
use gritstone_tests::cluster::Cluster;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;

/// How long a busy machine may take; what is waited for comes in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let cluster = Cluster::start().await.unwrap();
            let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
            cluster.kubectl(&["apply", "-f", &crds]).await.unwrap();
            let wait = ["wait", "--for=condition=Established", "crd", "--all"];
            cluster.kubectl(&wait).await.unwrap();
            cluster
        })
        .await
}

/// An object of ours, whose status has conditions.
pub trait Conditions {
    fn conditions(&self) -> &[Condition];
}

macro_rules! conditions {
    ($($kind:ty),*) => {$(
        impl Conditions for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
        }
    )*};
}

conditions!(QueueWorker, Dispatcher, RecurringTask, CronSchedule);

/// What an object's status says of this.
pub fn condition<'a>(object: &'a impl Conditions, kind: &str) -> Option<&'a Condition> {
    object.conditions().iter().find(|condition| condition.r#type == kind)
}

/// Whether its status says this, for this reason.
pub fn says(object: &impl Conditions, kind: &str, status: ConditionStatus, reason: &str) -> bool {
    condition(object, kind).is_some_and(|found| (found.status, found.reason.as_str()) == (status, reason))
}

/// A namespace with the database's Secret, and an operator until this is dropped.
pub struct Rig {
    client: Client,
    namespace: String,
    requests: Arc<Mutex<Vec<String>>>,
    instruments: Instruments,
    config: Config,
    operator: Mutex<Option<Runtime>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(operator) = self.operator.lock().unwrap().take() {
            operator.shutdown_background();
        }
    }
}

impl Rig {
    pub async fn new(name: &str) -> Self {
        let rig = Self::without_operator(name).await;
        rig.start_operator();
        rig
    }

    /// The namespace alone.
    pub async fn without_operator(name: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster().await.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config.clone()).unwrap();
        let namespace = json!({"metadata": {"generateName": format!("{name}-")}});
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await;
        let namespace = made.unwrap().name_any();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (operator, instruments) = (Mutex::default(), Instruments::default());
        let rig = Self { client, config, namespace, requests, instruments, operator };
        rig.create_secret().await;
        rig
    }

    /// Starts an operator. The one before, if there is one, ends in the middle of whatever it does, as if it was killed.
    pub fn start_operator(&self) {
        self.start_operator_with(|client| client);
    }

    /// Starts one whose client is made of the one that is given.
    pub fn start_operator_with(&self, client: impl FnOnce(Client) -> Client + Send + 'static) {
        let settings = Settings {
            namespace: Some(self.namespace.clone()),
            image: "gritstone:test".to_owned(),
            cluster_id: "test".to_owned(),
        };
        let noted = self.requests.clone();
        let note = move |request: http::Request<Body>| {
            noted.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            request
        };
        if let Some(before) = self.operator.lock().unwrap().take() {
            before.shutdown_background();
        }
        // A runtime of its own: dropped, nothing of it is left, whatever it has begun.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (config, instruments) = (self.config.clone(), self.instruments.clone());
        runtime.spawn(async move {
            let builder = ClientBuilder::try_from(config).unwrap();
            let client = client(builder.with_layer(&MapRequestLayer::new(note)).build());
            run(client, settings, instruments, CancellationToken::new()).await;
        });
        *self.operator.lock().unwrap() = Some(runtime);
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What kubectl prints in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments: Vec<_> = ["-n", &self.namespace].into_iter().chain(arguments.iter().copied()).collect();
        cluster().await.kubectl(&arguments).await.unwrap()
    }

    /// Deletes the namespace. There is no controller that would delete what is in it.
    pub async fn terminate(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }

    pub async fn create_secret(&self) {
        self.create_secret_of("app-db", "postgres://127.0.0.1:1/app").await;
    }

    /// A Secret with the address of a database.
    pub async fn create_secret_of(&self, name: &str, url: &str) {
        let secret = json!({"metadata": {"name": name}, "stringData": {"uri": url}});
        self.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }

    /// Between two looks at something.
    /// Waits until something is so.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(tokio::time::Instant::now() < deadline, "never {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether there is an Event about an object for this reason.
    pub async fn has_had_event(&self, object: &str, reason: &str) -> bool {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let of_object = |event: &Event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(object);
        events.iter().any(|event| of_object(event) && event.reason.as_deref() == Some(reason))
    }

    /// Waits until there is.
    pub async fn has_event(&self, object: &str, reason: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.has_had_event(object, reason).await {
            assert!(tokio::time::Instant::now() < deadline, "no Event says {reason}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until these, sorted, are the reasons of the Events about an object, none of which was published again.
    pub async fn has_events(&self, object: &str, expected: &[&str]) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let events = self.api::<Event>().list(&ListParams::default()).await.unwrap().items;
            let name = |event: &Event| event.regarding.as_ref().and_then(|object| object.name.clone());
            let of_object = events.into_iter().filter(|event| name(event).as_deref() == Some(object));
            let mut reasons: Vec<_> =
                of_object.map(|event| (event.reason.unwrap_or_default(), event.series.is_some())).collect();
            reasons.sort();
            if reasons == expected.iter().map(|reason| ((*reason).to_owned(), false)).collect::<Vec<_>>() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{reasons:?} and not {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the object is gone. Some are kept a minute on purpose.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let deadline = tokio::time::Instant::now() + 3 * PATIENCE;
        while let Some(found) = self.api::<K>().get_opt(name).await.unwrap() {
            assert!(tokio::time::Instant::now() < deadline, "{name} never went: {found:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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

    /// The object, once it is there and as expected.
    pub async fn get<K>(&self, name: &str, expected: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = self.api::<K>();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = api.get_opt(name).await.unwrap();
            match found {
                Some(object) if expected(&object) => return object,
                found if tokio::time::Instant::now() > deadline => {
                    panic!("{name} never became as expected: {found:#?}")
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// What the operator counts, as text.
    pub fn metrics(&self) -> String {
        self.instruments.metrics.text()
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How many reconciliations are over.
    pub fn reconciliations(&self) -> u64 {
        let text = self.metrics();
        let counts = text.lines().filter(|line| line.starts_with("controller_runtime_reconcile_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// What a metric says of the controller of a kind.
    pub fn metric(&self, name: &str, controller: &str) -> f64 {
        let series = format!("{name}{{name=\"{controller}\",controller=\"{controller}\"}} ");
        let value = self.metrics().lines().find_map(|line| line.strip_prefix(&series)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {series}"))
    }

    /// Everything that the operator has asked of the API server.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub async fn wait_until(&self, holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Says what the Deployment's controller would once so many pods are ready.
    pub async fn say_ready(&self, deployment: &str, count: i32) {
        let generation = self.get::<Deployment>(deployment, |_| true).await.metadata.generation;
        let status = Patch::Merge(ready_status(generation, count));
        self.api::<Deployment>().patch_status(deployment, &PatchParams::default(), &status).await.unwrap();
    }

    /// From now on the namespace takes only pods of Kubernetes' restricted policy.
    pub async fn restrict(&self) {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.patch(&self.namespace, &PatchParams::default(), &Patch::Merge(labels)).await.unwrap();
    }
}

/// A status as the Deployment's own controller would write it.
pub fn ready_status(generation: Option<i64>, count: i32) -> Value {
    json!({"status": {
        "observedGeneration": generation, "replicas": count, "updatedReplicas": count, "readyReplicas": count,
        "availableReplicas": count,
    }})
}
