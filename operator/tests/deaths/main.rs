//! What happens to the jobs of pods that die, by who says so. There is no kubelet: its words, and those of others about pods, the tests
//! write. The databases are real.

#[path = "../support/mod.rs"]
mod support;

use gritstone_crds::kinds::{ConditionStatus, QueueWorker};
use gritstone_store::{Incarnation, MigrateOptions, Store, StoreOptions};
use gritstone_tests::jobs::{claim_any, job, new_process};
use gritstone_tests::rig::until;
use gritstone_tests::servers::{Server, TestDatabase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use support::{Rig, says};

/// A namespace with a queue that its workers use, and an operator.
struct Scene {
    rig: Rig,
    _database: TestDatabase,
    store: Store,
}

impl Scene {
    async fn new(name: &str, server: Server) -> Self {
        let database = TestDatabase::create(server).await.unwrap();
        let store = Store::open(&database.url, StoreOptions::default()).unwrap();
        store.migrate(MigrateOptions::default()).await.unwrap();
        let rig = Rig::new(name).await;
        let scene = Self { rig, _database: database, store };
        scene.name_database("mail").await;
        scene
    }

    async fn name_database(&self, name: &str) {
        self.rig.create_secret_of(name, &self._database.url).await;
        let spec = json!({
            "database": {"secretRef": {"name": name}},
            "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
        });
        self.rig.create::<QueueWorker>(name, spec).await;
        self.rig
            .get::<QueueWorker>(name, |worker| says(worker, "DatabaseReachable", ConditionStatus::True, "Reachable"))
            .await;
    }

    /// A pod of a worker, as its Deployment would make it, running.
    async fn pod(&self, name: &str) -> Pod {
        let env = json!([{"name": "GRITSTONE_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]);
        let pod = json!({
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "gritstone-operator"}},
            "spec": {"nodeName": "a", "containers": [{"name": "gritstone", "image": "gritstone:test", "env": env}]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        let pod = self.rig.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap();
        self.say(name, json!({"phase": "Running", "containerStatuses": [engine(&running())]})).await;
        pod
    }

    /// Says this of a pod, as its kubelet does.
    async fn say(&self, pod: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.rig.api::<Pod>().patch_status(pod, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A worker's row with a job in its hands. It says that it began then, in that pod of that cluster and namespace.
    async fn worker(&self, pod: &Pod, began: Timestamp, elsewhere: Option<(&str, &str)>) -> i64 {
        let mut new = new_process(3);
        let own = ("test", self.rig.namespace());
        let (cluster, namespace) = elsewhere.unwrap_or(own);
        new.identity.cluster_id = Some(cluster.to_owned());
        new.identity.namespace = Some(namespace.to_owned());
        new.identity.pod = Some(pod.name_any());
        new.identity.pod_uid = pod.uid();
        new.identity.incarnation =
            Incarnation { host: "b:pid:[7]".to_owned(), pid: 1, start: 1, at: Some(began) }.to_string();
        let mut session = self.store.session().await.unwrap();
        let process = session.register(&new).await.unwrap().process_id;
        self.store.enqueue(&[job()]).await.unwrap();
        assert_eq!(claim_any(&mut session, process, 1).await.len(), 1);
        process
    }

    async fn is_listed(&self, process: i64) -> bool {
        let processes = self.store.session().await.unwrap().processes().await.unwrap();
        processes.iter().any(|listed| listed.id == process)
    }

    async fn is_pruned(&self, process: i64) {
        until("the worker is pruned", async || (!self.is_listed(process).await).then_some(())).await;
    }

    /// Another pod's end, of which the operator heard after all that was said before.
    async fn another_end_is_heard(&self) {
        let pod = self.pod("another").await;
        let worker = self.worker(&pod, minute_ago(), None).await;
        self.say("another", json!({"containerStatuses": [engine(&terminated("Error", Timestamp::now()))]})).await;
        self.is_pruned(worker).await;
    }
}

fn engine(state: &Value) -> Value {
    json!({"name": "gritstone", "image": "gritstone:test", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn running() -> Value {
    json!({"running": {"startedAt": second(minute_ago())}})
}

fn terminated(reason: &str, at: Timestamp) -> Value {
    let (started, at) = (second(minute_ago()), second(at));
    json!({"terminated": {"exitCode": 137, "reason": reason, "startedAt": started, "finishedAt": at, "containerID": "containerd://1"}})
}

/// As Kubernetes writes times.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn minute_ago() -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(1)
}

async fn a_container_that_memory_killed_gives_its_jobs_on(server: Server) {
    let scene = Scene::new("killed", server).await;
    let pod = scene.pod("mail-1").await;
    let dead = scene.worker(&pod, minute_ago(), None).await;
    let next = scene.worker(&pod, Timestamp::now() + SignedDuration::from_secs(1), None).await;
    let mut status = engine(&json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    status["lastState"] = terminated("OOMKilled", Timestamp::now());
    status["restartCount"] = json!(1);

    // Nobody else is there who would prune it, and its heartbeat is young.
    scene.say("mail-1", json!({"containerStatuses": [status]})).await;
    scene.is_pruned(dead).await;
    let mut session = scene.store.session().await.unwrap();
    let again = claim_any(&mut session, next, 5).await;
    assert_eq!(again.iter().map(|job| job.interruptions).collect::<Vec<_>>(), [1]);
    assert!(scene.is_listed(next).await, "the container after it lives");

    scene.rig.has_events("mail-1", &["WorkerPruned"]).await;
    let metrics = scene.rig.metrics();
    assert!(metrics.contains("gritstone_operator_pruned_processes_total{reason=\"OOMKilled\"} 1\n"), "{metrics}");
    assert!(metrics.contains("gritstone_operator_pruned_jobs_total{outcome=\"interrupted\"} 1\n"), "{metrics}");
}

async fn a_deleted_pods_end_is_the_last_that_is_heard_of_it(server: Server) {
    let scene = Scene::new("deleted", server).await;
    let pod = scene.pod("mail-1").await;
    let dead = scene.worker(&pod, minute_ago(), None).await;
    let ended = engine(&terminated("Error", Timestamp::now()));
    scene.say("mail-1", json!({"phase": "Failed", "containerStatuses": [ended]})).await;
    scene.rig.api::<Pod>().delete("mail-1", &DeleteParams::default().grace_period(0)).await.unwrap();
    scene.is_pruned(dead).await;
}

async fn a_forced_deletion_is_no_proof(server: Server) {
    let scene = Scene::new("forced", server).await;
    let pod = scene.pod("mail-1").await;
    let alive = scene.worker(&pod, minute_ago(), None).await;
    scene.rig.api::<Pod>().delete("mail-1", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(scene.rig.api::<Pod>().get_opt("mail-1").await.unwrap().is_none());
    scene.another_end_is_heard().await;
    assert!(scene.is_listed(alive).await);
}

async fn a_lost_node_is_no_proof(server: Server) {
    let scene = Scene::new("lost", server).await;
    let mut alive = Vec::new();
    for (name, said) in [
        // The node's lifecycle controller, the pod garbage collector, and a kubelet that came back without its containers' history.
        ("unreachable", json!({"conditions": [{"type": "Ready", "status": "False"}], "reason": "NodeLost"})),
        (
            "collected",
            json!({"phase": "Failed", "conditions": [
            {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]}),
        ),
        (
            "made-up",
            json!({"phase": "Failed", "containerStatuses": [
            engine(&terminated("ContainerStatusUnknown", Timestamp::now()))]}),
        ),
    ] {
        let pod = scene.pod(name).await;
        alive.push(scene.worker(&pod, minute_ago(), None).await);
        scene.say(name, said).await;
    }
    // Evicted by a taint: to go, and nobody can tell whether it did.
    let pod = scene.pod("evicted").await;
    alive.push(scene.worker(&pod, minute_ago(), None).await);
    scene.rig.api::<Pod>().delete("evicted", &DeleteParams::default()).await.unwrap();
    scene.another_end_is_heard().await;
    for process in alive {
        assert!(scene.is_listed(process).await);
    }
}

async fn rows_of_another_cluster_or_namespace_are_left_alone(server: Server) {
    let scene = Scene::new("others", server).await;
    let pod = scene.pod("mail-1").await;
    let dead = scene.worker(&pod, minute_ago(), None).await;
    let namespace = scene.rig.namespace().to_owned();
    let others = [
        scene.worker(&pod, minute_ago(), Some(("another", &namespace))).await,
        scene.worker(&pod, minute_ago(), Some(("test", "another"))).await,
    ];
    scene.say("mail-1", json!({"containerStatuses": [engine(&terminated("Error", Timestamp::now()))]})).await;
    scene.is_pruned(dead).await;
    scene.another_end_is_heard().await;
    for process in others {
        assert!(scene.is_listed(process).await);
    }
}

async fn an_operator_replaced_in_the_middle_leaves_the_rest_to_the_next(server: Server) {
    let scene = Scene::new("replaced", server).await;
    let pod = scene.pod("mail-1").await;
    let first = scene.worker(&pod, minute_ago(), None).await;
    let second = scene.worker(&pod, minute_ago(), None).await;
    // Keeps whoever wants to bury the second waiting.
    let mut holding = gritstone_tests::rig::Sql::connect(server.into(), &scene._database.url).await.unwrap();
    holding.run("begin").await.unwrap();
    holding.rows(&format!("select 1 from gritstone_processes where process_id = {second} for update")).await.unwrap();
    scene.say("mail-1", json!({"containerStatuses": [engine(&terminated("Error", Timestamp::now()))]})).await;
    scene.is_pruned(first).await;

    scene.rig.start_operator();
    holding.run("rollback").await.unwrap();
    scene.is_pruned(second).await;
    let survivor = scene.store.session().await.unwrap().register(&new_process(3)).await.unwrap().process_id;
    let again = claim_any(&mut scene.store.session().await.unwrap(), survivor, 5).await;
    assert_eq!(again.iter().map(|job| job.interruptions).collect::<Vec<_>>(), [1, 1], "each counted once");
}

macro_rules! on_servers {
    ($($case:ident),* $(,)?) => {
        mod postgres { $(#[tokio::test] async fn $case() { super::$case(super::Server::Postgres).await; })* }
        mod mariadb { $(#[tokio::test] async fn $case() { super::$case(super::Server::MariaDb).await; })* }
    };
}

on_servers!(
    a_container_that_memory_killed_gives_its_jobs_on,
    a_deleted_pods_end_is_the_last_that_is_heard_of_it,
    a_forced_deletion_is_no_proof,
    a_lost_node_is_no_proof,
    rows_of_another_cluster_or_namespace_are_left_alone,
    an_operator_replaced_in_the_middle_leaves_the_rest_to_the_next,
);
