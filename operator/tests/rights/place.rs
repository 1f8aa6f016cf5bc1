//! The program under the chart's rights, and what the API server wrote down of it.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Weak};

use gritstone_tests::cluster::{Cluster, helm};
use k8s_openapi::api::core::v1::ConfigMap;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, OnceCell};

use crate::support::{Ground, PATIENCE, start_cluster, until};

/// An API server that lets only those name an owner who could delete what they name it of, and finalize the owner, as OpenShift's does.
async fn start() -> Cluster {
    start_cluster(&["--enable-admission-plugins=OwnerReferencesPermissionEnforcement"]).await
}

/// One for those that look after a namespace.
async fn shared() -> Arc<Cluster> {
    static CLUSTER: OnceCell<Mutex<Weak<Cluster>>> = OnceCell::const_new();
    let shared = CLUSTER.get_or_init(|| async { Mutex::default() }).await;
    let mut shared = shared.lock().await;
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(start().await);
    *shared = Arc::downgrade(&cluster);
    cluster
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A verb, and the resource that it is done to, with its group and part: `patch`, `gritstone.dev/queueworkers/status`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub verb: String,
    pub resource: String,
}

impl Right {
    pub fn new(verb: &str, resource: &str) -> Self {
        Self { verb: verb.to_owned(), resource: resource.to_owned() }
    }

    fn of(verb: &str, group: &str, resource: &str) -> Self {
        Self::new(verb, &[group, resource].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
    }
}

/// A namespace with the chart's rights for an operator in it.
pub struct Place {
    cluster: Arc<Cluster>,
    ground: Ground,
    rights: Vec<Value>,
    folder: tempfile::TempDir,
}

impl Deref for Place {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl Place {
    /// `values` are helm's arguments.
    pub async fn new(name: &str, values: &[&str]) -> Self {
        Self::on(shared().await, name, values).await
    }

    /// One in a cluster of its own, for who looks after all of it.
    pub async fn alone(name: &str, values: &[&str]) -> Self {
        Self::on(Arc::new(start().await), name, values).await
    }

    async fn on(cluster: Arc<Cluster>, name: &str, values: &[&str]) -> Self {
        let ground = Ground::on(&cluster, name).await;
        let rights = rights(ground.namespace(), values);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rights.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": rights}).to_string()).unwrap();
        cluster.kubectl(&["apply", "-f", &file.display().to_string()]).await.unwrap();
        let place = Self { cluster, ground, rights, folder };
        place.rights_hold().await;
        place
    }

    /// The API server knows of new rights a moment after they were written.
    async fn rights_hold(&self) {
        let (of_cluster, account) = (self.granted().contains(&Right::new("get", "namespaces")), self.account());
        let mut asked = vec![("get", "leases.coordination.k8s.io/gritstone"), ("patch", "events.events.k8s.io")];
        asked.extend(of_cluster.then_some(("get", "namespaces/kube-system")));
        for (verb, resource) in asked {
            until("rights hold", async || {
                let arguments = ["auth", "can-i", verb, resource, "-n", self.namespace(), "--as", &account];
                self.cluster.kubectl(&arguments).await.is_ok_and(|said| said.lines().any(|line| line == "yes"))
            })
            .await;
        }
    }

    /// The id that is kept in the namespace.
    pub async fn cluster_id(&self) -> Option<String> {
        let map = self.api::<ConfigMap>().get_opt("gritstone-cluster-id").await.unwrap()?;
        map.data?.remove("id")
    }

    fn account(&self) -> String {
        format!("system:serviceaccount:{}:gritstone", self.namespace())
    }

    /// Starts the operator as its service account.
    pub async fn start(&self, arguments: &[&str]) -> Operator {
        let cluster = &self.cluster;
        let token = cluster.kubectl(&["create", "token", "gritstone", "-n", self.namespace()]).await.unwrap();
        let mut config: Value = serde_json::from_slice(&std::fs::read(cluster.kubeconfig()).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        config["contexts"][0]["context"]["namespace"] = json!(self.namespace());
        let path = self.folder.path().join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gritstone-operator"))
            .args(["--image", "gritstone:test", "--health", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", path)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Operator(child)
    }

    /// What it has asked for, as the API server wrote it down.
    fn events(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.cluster.audit_log()).unwrap();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let account = self.account();
        events.filter(|event| event["user"]["username"] == account.as_str()).collect()
    }

    /// What it was not allowed.
    pub fn refused(&self) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["responseStatus"]["code"] == 403).collect()
    }

    /// The rights that it has used.
    pub fn asked(&self) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for event in self.events() {
            let text = |field: &str| event["objectRef"][field].as_str().unwrap_or_default().to_owned();
            let part = text("subresource");
            let resource = if part.is_empty() { text("resource") } else { format!("{}/{part}", text("resource")) };
            let verb = event["verb"].as_str().unwrap();
            rights.insert(Right::of(verb, &text("apiGroup"), &resource));
            // A patch that makes an object needs the right to create it, too.
            if verb == "patch" && event["responseStatus"]["code"] == 201 {
                rights.insert(Right::of("create", &text("apiGroup"), &resource));
            }
        }
        rights
    }

    /// The rights that it has.
    pub fn granted(&self) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for role in self.rights.iter().filter(|object| is_of_operator(object)) {
            for rule in role["rules"].as_array().unwrap() {
                for group in texts(&rule["apiGroups"]) {
                    for resource in texts(&rule["resources"]) {
                        rights.extend(texts(&rule["verbs"]).iter().map(|verb| Right::of(verb, &group, &resource)));
                    }
                }
            }
        }
        rights
    }

    /// Gives a person what the cluster's own role, which the chart adds to, would.
    pub async fn bind(&self, role: &str, person: &str) {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
        let added = self.rights.iter().find(|object| object["metadata"]["labels"][&label] == "true").unwrap();
        let arguments = [
            "create",
            "rolebinding",
            &format!("{person}-{role}"),
            "-n",
            self.namespace(),
            &format!("--clusterrole={}", added["metadata"]["name"].as_str().unwrap()),
            &format!("--user={person}"),
        ];
        self.cluster.kubectl(&arguments).await.unwrap();
    }

    /// What kubectl says to a person.
    pub async fn as_person(&self, person: &str, arguments: &[&str]) -> Result<String, String> {
        let arguments = [arguments, &["-n", self.namespace(), "--as", person]].concat();
        self.cluster.kubectl(&arguments).await.map_err(|error| format!("{error:#}"))
    }

    pub async fn may(&self, person: &str, verb: &str, resource: &str) -> bool {
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let resource = format!("{resource}.gritstone.dev");
        let part = format!("--subresource={part}");
        let arguments = ["auth", "can-i", verb, &resource, &part, "-n", self.namespace(), "--as", person];
        // It says no by its exit code, too.
        self.cluster.kubectl(&arguments).await.is_ok_and(|said| said.lines().any(|line| line == "yes"))
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The roles of people are not the operator's.
fn is_of_operator(object: &Value) -> bool {
    let labels = object["metadata"]["labels"].as_object();
    let is_role = object["kind"].as_str().is_some_and(|kind| kind.ends_with("Role"));
    is_role && !labels.is_some_and(|labels| labels.keys().any(|label| label.contains("/aggregate-to-")))
}

/// What the chart makes that is about rights.
fn rights(namespace: &str, values: &[&str]) -> Vec<Value> {
    let mut command = std::process::Command::new(helm().unwrap());
    command.current_dir(root()).env_clear().env("HOME", std::env::temp_dir().join("gritstone-helm"));
    command.args(["template", "gritstone", "charts/gritstone", "--namespace", namespace]);
    let output = command.args(["--set", "gritstone-crds.enabled=false"]).args(values).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered = String::from_utf8(output.stdout).unwrap();
    let documents = rendered.split("\n---\n").filter(|document| document.contains("kind:"));
    let objects = documents.map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let kinds = ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
    objects.filter(|object| kinds.contains(&object["kind"].as_str().unwrap_or_default())).collect()
}

/// A running operator.
pub struct Operator(Child);

impl Operator {
    pub async fn stop(&mut self) {
        kill(Pid::from_raw(self.0.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(tokio::time::timeout(PATIENCE, self.0.wait()).await.unwrap().unwrap().success());
    }
}
