//! A namespace and an operator that looks after it, inside this process.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use gritstone_operator::{Instruments, Pull, PullPolicy, Scope, Settings, run};
use gritstone_tests::cluster::Cluster;
use kube::Client;
use kube::client::{Body, ClientBuilder};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;

use super::ground::{Ground, start_cluster, until};

/// One API server for all tests of a binary.
async fn cluster() -> Arc<Cluster> {
    static CLUSTER: OnceCell<Arc<Cluster>> = OnceCell::const_new();
    CLUSTER.get_or_init(own_cluster).await.clone()
}

async fn own_cluster() -> Arc<Cluster> {
    Arc::new(start_cluster(&[]).await)
}

/// A namespace with the database's Secret, and an operator until this is dropped.
pub struct Rig {
    cluster: Arc<Cluster>,
    ground: Ground,
    /// What its operator looks after.
    scopes: Vec<Scope>,
    requests: Arc<Mutex<Vec<String>>>,
    instruments: Instruments,
    operator: Mutex<Option<Runtime>>,
}

impl Deref for Rig {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop_operator();
    }
}

impl Rig {
    pub async fn new(name: &str) -> Self {
        let rig = Self::without_operator(name).await;
        rig.start_operator();
        rig
    }

    /// Two namespaces, by their names' order. The operator of the first looks after both, each for itself.
    pub async fn pair(name: &str) -> [Self; 2] {
        let [mut first, second] = Self::two(cluster().await, name).await;
        first.scopes.extend(second.scopes.clone());
        first.start_operator();
        [first, second]
    }

    /// Two namespaces of a cluster whose operator looks after everything.
    pub async fn pair_of_all(name: &str) -> [Self; 2] {
        let [mut first, second] = Self::two(own_cluster().await, name).await;
        first.scopes = vec![Scope::Everywhere];
        first.start_operator();
        [first, second]
    }

    async fn two(cluster: Arc<Cluster>, name: &str) -> [Self; 2] {
        let mut rigs = [Self::on(cluster.clone(), name).await, Self::on(cluster, name).await];
        rigs.sort_by(|a, b| a.namespace().cmp(b.namespace()));
        rigs
    }

    /// The namespace alone.
    pub async fn without_operator(name: &str) -> Self {
        Self::on(cluster().await, name).await
    }

    async fn on(cluster: Arc<Cluster>, name: &str) -> Self {
        let ground = Ground::on(&cluster, name).await;
        ground.create_secret().await;
        let scopes = vec![Scope::Namespace(ground.namespace().to_owned())];
        let (requests, instruments, operator) = (Arc::default(), Instruments::default(), Mutex::default());
        Self { cluster, ground, scopes, requests, instruments, operator }
    }

    /// Starts an operator. The one before, if there is one, ends in the middle of whatever it does, as if it was killed.
    pub fn start_operator(&self) {
        self.start_operator_with(|client| client);
    }

    /// Starts one whose client is made of the one that is given.
    pub fn start_operator_with(&self, client: impl FnOnce(Client) -> Client + Send + 'static) {
        let settings = Settings {
            scopes: self.scopes.clone(),
            image: "gritstone:test".to_owned(),
            pull: Pull { secrets: vec!["registry".to_owned()], policy: Some(PullPolicy::IfNotPresent) },
            cluster_id: "test".to_owned(),
        };
        let noted = self.requests.clone();
        let note = move |request: http::Request<Body>| {
            noted.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            request
        };
        self.stop_operator();
        // A runtime of its own: dropped, nothing of it is left, whatever it has begun.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (config, instruments) = (self.config(), self.instruments.clone());
        runtime.spawn(async move {
            let builder = ClientBuilder::try_from(config).unwrap();
            let client = client(builder.with_layer(&MapRequestLayer::new(note)).build());
            run(client, settings, instruments, CancellationToken::new()).await;
        });
        *self.operator.lock().unwrap() = Some(runtime);
    }

    /// Ends the operator in the middle of whatever it does; there is no other then.
    pub fn stop_operator(&self) {
        if let Some(operator) = self.operator.lock().unwrap().take() {
            operator.shutdown_background();
        }
    }

    /// What kubectl prints in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments: Vec<_> = ["-n", self.namespace()].into_iter().chain(arguments.iter().copied()).collect();
        self.cluster.kubectl(&arguments).await.unwrap()
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, is_so: impl AsyncFnMut() -> bool) {
        until(what, is_so).await;
    }

    /// Waits until what is known here is so.
    pub async fn wait_until(&self, holds: impl Fn() -> bool) {
        until("it holds", async || holds()).await;
    }

    /// What the operator counts, as text.
    pub fn metrics(&self) -> String {
        self.instruments.metrics.text()
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
}
