//! As many workers as the load needs. There is no kubelet: what would make pods of a Deployment, and workers of pods, is played
//! ([`Player`]); the queues are real.

use gritstone_crds::kinds::{ConditionStatus, QueueWorker};
use gritstone_store::{NewJob, Store, StoreOptions, WorkerLoad};
use gritstone_tests::jobs::{claim_any, done, job};
use gritstone_tests::servers::{Server, TestDatabase};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::database::{on, queue};
use crate::player::{self, Player, run_all};
use crate::rival;
use crate::support::{Rig, condition, managers, says};

/// A QueueWorker on the database that the Secret `queue` names.
pub fn scaled(autoscaling: Value) -> Value {
    let mut spec = on("queue");
    spec["autoscaling"] = autoscaling;
    spec
}

/// A queue, its address in the Secret `queue`.
async fn with_queue(rig: &Rig, server: Server) -> (TestDatabase, Store) {
    let database = queue(server).await;
    rig.create_secret_of("queue", &database.url).await;
    let store = Store::open(&database.url, StoreOptions::default()).unwrap();
    (database, store)
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref().unwrap().replicas
}

pub async fn has_replicas(rig: &Rig, worker: &str, wanted: i32) -> Deployment {
    rig.get::<Deployment>(&format!("{worker}-worker"), |d| replicas(d) == Some(wanted)).await
}

async fn from_zero_and_back(name: &str, server: Server) {
    let rig = Rig::new(name).await;
    let (_database, store) = with_queue(&rig, server).await;
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 5, "scaleDownDelay": "1s"})))
        .await;
    let _player = Player::start(&rig, &store, "mail");
    has_replicas(&rig, "mail", 0).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;

    store.enqueue(&[job()]).await.unwrap();
    has_replicas(&rig, "mail", 1).await;
    let last = |w: &QueueWorker| w.status.as_ref().and_then(|status| status.last_scaling.clone());
    let up = rig.get::<QueueWorker>("mail", |w| last(w).is_some()).await;
    let up = last(&up).unwrap();
    assert_eq!((up.from, up.to, up.reason.as_str()), (0, 1, "there is a job, or one is due soon"));

    let workers = player::workers(&store, 1).await;
    run_all(&store, &workers[0]).await;
    has_replicas(&rig, "mail", 0).await;
    let down = rig.get::<QueueWorker>("mail", |w| last(w).is_some_and(|last| last.to == 0)).await;
    assert_eq!(last(&down).unwrap().reason, "there is nothing to do");
    rig.has_event("mail", "ScaledUp").await;
    rig.has_event("mail", "ScaledDown").await;
}

#[tokio::test]
async fn from_zero_to_one_and_back_on_postgres() {
    from_zero_and_back("zero-postgres", Server::Postgres).await;
}

#[tokio::test]
async fn from_zero_to_one_and_back_on_mariadb() {
    from_zero_and_back("zero-mariadb", Server::MariaDb).await;
}

#[tokio::test]
async fn many_ready_jobs_take_many_workers_and_those_of_a_paused_queue_none() {
    let rig = Rig::new("many").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.session().await.unwrap().pause_queue("asleep").await.unwrap();
    store.enqueue(&vec![job().on("asleep"); 900]).await.unwrap();
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 10}))).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;
    has_replicas(&rig, "mail", 0).await;
    store.enqueue(&vec![job(); 450]).await.unwrap();
    has_replicas(&rig, "mail", 5).await;
    // More than there may be.
    store.enqueue(&vec![job(); 1_500]).await.unwrap();
    has_replicas(&rig, "mail", 10).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "MaxReplicas")).await;
}

#[tokio::test]
async fn connections_are_kept_to_and_published() {
    let rig = Rig::new("budget").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.enqueue(&vec![job(); 900]).await.unwrap();
    let autoscaling = json!({"minReplicas": 0, "maxReplicas": 10, "maxDatabaseConnections": 20});
    rig.create::<QueueWorker>("mail", scaled(autoscaling)).await;
    has_replicas(&rig, "mail", 2).await;
    let told =
        rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "ConnectionBudget")).await;
    let budget = told.status.as_ref().unwrap().connection_budget.unwrap();
    assert_eq!((budget.connections, budget.per_worker, budget.workers), (20, 8, 2));
    let message = &condition(&told, "Autoscaling").unwrap().message;
    assert!(message.contains("maxDatabaseConnections, 20"), "{message}");
}

#[tokio::test]
async fn a_rollout_makes_no_pod_besides_those_that_connections_are_kept_for() {
    let rig = Rig::new("no-surge").await;
    let (_database, _store) = with_queue(&rig, Server::Postgres).await;
    let surge = |d: &Deployment| json!(d.spec)["strategy"]["rollingUpdate"].clone();
    rig.create::<QueueWorker>("mail", scaled(json!({"maxReplicas": 10, "maxDatabaseConnections": 24}))).await;
    let kept_to = json!({"maxSurge": 0, "maxUnavailable": "25%"});
    rig.get::<Deployment>("mail-worker", |d| surge(d) == kept_to).await;
    // Nobody counts connections any more: as Kubernetes has it.
    let uncounted = json!({"spec": {"autoscaling": {"maxDatabaseConnections": null}}});
    rig.patch::<QueueWorker>("mail", uncounted).await;
    let kubernetes = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
    rig.get::<Deployment>("mail-worker", |d| surge(d) == kubernetes).await;
    rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": {"maxDatabaseConnections": 16}}})).await;
    rig.get::<Deployment>("mail-worker", |d| surge(d) == kept_to).await;
    rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": null}})).await;
    rig.get::<Deployment>("mail-worker", |d| surge(d) == kubernetes).await;
}

#[tokio::test]
async fn one_job_of_a_queue_that_two_serve_starts_one_worker() {
    let rig = Rig::new("shared").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    let autoscaling = json!({"minReplicas": 0, "maxReplicas": 3});
    for name in ["one", "two"] {
        rig.create::<QueueWorker>(name, scaled(autoscaling.clone())).await;
        rig.get::<QueueWorker>(name, |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;
    }
    store.enqueue(&[job()]).await.unwrap();
    has_replicas(&rig, "one", 1).await;
    // By the time that many jobs were seen, the one was.
    store.enqueue(&vec![job(); 250]).await.unwrap();
    has_replicas(&rig, "one", 3).await;
    let status = rig.get::<QueueWorker>("two", |_| true).await.status.unwrap();
    assert!(status.last_scaling.is_none_or(|last| last.to > 1 || last.from > 0), "two was started for one job");
}

#[tokio::test]
async fn of_two_workers_the_idle_one_goes_and_the_busy_one_stays() {
    let rig = Rig::new("busy").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.enqueue(&vec![job(); 150]).await.unwrap();
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 5, "scaleDownDelay": "1s"})))
        .await;
    let _player = Player::start(&rig, &store, "mail");
    let workers = player::workers(&store, 2).await;
    // The newest is what a ReplicaSet takes first, if it isn't told otherwise.
    let busy = workers.last().unwrap();
    store.enqueue(&[NewJob::new("Long", vec![]).priority(-1)]).await.unwrap();
    let mut session = store.session().await.unwrap();
    let long = claim_any(&mut session, busy.process_id, 1).await;
    run_all(&store, &workers[0]).await;

    has_replicas(&rig, "mail", 1).await;
    let left = player::workers(&store, 1).await;
    assert_eq!((left[0].process_id, left[0].claimed), (busy.process_id, 1));
    // A worker goes from the list before its pod does.
    let mut pods = Vec::new();
    rig.until("one pod", async || {
        pods = rig.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
        pods.len() == 1
    })
    .await;
    assert_eq!(pods[0].metadata.uid.as_ref(), Some(&busy.pod_uid));

    session.finish(&[done(&long[0])], true).await.unwrap();
    has_replicas(&rig, "mail", 0).await;
    assert!(!rig.has_had_event("mail", "OtherWorkerWent").await);
}

#[tokio::test]
async fn pods_that_no_node_has_room_for_go_at_once_and_keep_nobody() {
    let rig = Rig::new("no-room").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.enqueue(&vec![job(); 450]).await.unwrap();
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 5, "scaleDownDelay": "1s"})))
        .await;
    let _player = Player::start_with_room(&rig, &store, "mail", 2);
    has_replicas(&rig, "mail", 5).await;
    let workers = player::workers(&store, 2).await;
    store.enqueue(&vec![NewJob::new("Long", vec![]).priority(-1); 2]).await.unwrap();
    let mut session = store.session().await.unwrap();
    let mut held = Vec::new();
    for worker in &workers {
        held.extend(claim_any(&mut session, worker.process_id, 1).await);
    }
    // Both are at a job, which doesn't keep the three that never began.
    rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": {"maxReplicas": 2}}})).await;
    has_replicas(&rig, "mail", 2).await;
    let left = player::workers(&store, 2).await;
    let jobs = |workers: &[WorkerLoad]| workers.iter().map(|it| (it.process_id, it.claimed)).collect::<Vec<_>>();
    assert_eq!(jobs(&left), [(workers[0].process_id, 1), (workers[1].process_id, 1)]);

    let finishes: Vec<_> = held.iter().map(done).collect();
    session.finish(&finishes, true).await.unwrap();
    run_all(&store, &workers[0]).await;
    has_replicas(&rig, "mail", 0).await;
    assert!(!rig.has_had_event("mail", "OtherWorkerWent").await);
}

#[tokio::test]
async fn nobody_goes_while_the_database_is_away() {
    let rig = Rig::new("away").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.enqueue(&vec![job(); 250]).await.unwrap();
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 5, "scaleDownDelay": "1s"})))
        .await;
    let player = Player::start(&rig, &store, "mail");
    let workers = player::workers(&store, 3).await;
    let tells_what_waits = || rig.metrics().contains("gritstone_queue_worker_oldest_ready_job_seconds{");
    rig.until("it is told what waits", async || tells_what_waits()).await;
    // As pods would, which have the address from the same Secret.
    rig.patch::<Secret>("queue", json!({"stringData": {"uri": "postgres://127.0.0.1:1/away"}})).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "DatabaseReachable", ConditionStatus::False, "Unreachable")).await;
    run_all(&store, &workers[0]).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::False, "NoData")).await;
    let deployment = has_replicas(&rig, "mail", 3).await;
    rig.until("what waited a while ago is no longer told", async || !tells_what_waits()).await;
    drop((player, deployment));
}

#[tokio::test]
async fn the_number_is_handed_over_and_back_and_is_never_nobodys() {
    let rig = Rig::new("ownership").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    let mut spec = on("queue");
    spec["replicas"] = json!(3);
    rig.create::<QueueWorker>("mail", spec).await;
    let _player = Player::start(&rig, &store, "mail");
    let fixed = has_replicas(&rig, "mail", 3).await;
    assert_eq!(managers(&fixed), ["gritstone-operator"]);

    // Ten minutes until fewer will do.
    let autoscaling = json!({"spec": {"autoscaling": {"minReplicas": 0, "maxReplicas": 9, "scaleDownDelay": "10m"}}});
    rig.patch::<QueueWorker>("mail", autoscaling.clone()).await;
    let scaled = rig.get::<Deployment>("mail-worker", |d| managers(d) == ["gritstone-scaler"]).await;
    assert_eq!(replicas(&scaled), Some(3));
    let ignored = rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;
    assert!(condition(&ignored, "Autoscaling").unwrap().message.contains("replicas is ignored"));

    // An edit rolls the pods and leaves the number alone.
    rig.patch::<QueueWorker>("mail", json!({"spec": {"threads": 7}})).await;
    let edited = rig.get::<Deployment>("mail-worker", |d| json!(d.spec).to_string().contains("threads\\\":7")).await;
    assert_eq!((replicas(&edited), managers(&edited)), (Some(3), vec!["gritstone-scaler".to_owned()]));

    rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": null, "replicas": 2}})).await;
    rig.get::<Deployment>("mail-worker", |d| managers(d) == ["gritstone-operator"] && replicas(d) == Some(2)).await;

    // To and fro, before any watch can tell of it.
    for _ in 0..5 {
        rig.patch::<QueueWorker>("mail", autoscaling.clone()).await;
        let taken = rig.get::<Deployment>("mail-worker", |d| managers(d) == ["gritstone-scaler"]).await;
        assert_eq!(replicas(&taken), Some(2));
        rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": null}})).await;
        let given = rig.get::<Deployment>("mail-worker", |d| managers(d) == ["gritstone-operator"]).await;
        assert_eq!(replicas(&given), Some(2));
    }
    let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
    rig.api::<QueueWorker>().patch_scale("mail", &PatchParams::default(), &scale).await.unwrap();
    has_replicas(&rig, "mail", 4).await;
}

#[tokio::test]
async fn a_number_that_somebody_changes_while_it_is_taken_over_is_taken_over_as_it_is() {
    let rig = Rig::without_operator("taken").await;
    let deployments = rig.api::<Deployment>();
    rig.start_operator_with(|client| rival::before_write(1, 4, deployments, client));
    let (_database, _store) = with_queue(&rig, Server::Postgres).await;
    let mut spec = on("queue");
    spec["replicas"] = json!(3);
    rig.create::<QueueWorker>("mail", spec).await;
    has_replicas(&rig, "mail", 3).await;
    let autoscaling = json!({"spec": {"autoscaling": {"minReplicas": 0, "maxReplicas": 9, "scaleDownDelay": "10m"}}});
    rig.patch::<QueueWorker>("mail", autoscaling).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;
    has_replicas(&rig, "mail", 4).await;
}

#[tokio::test]
async fn a_number_that_somebody_raises_while_it_is_written_is_not_lowered() {
    let rig = Rig::without_operator("raised").await;
    let deployments = rig.api::<Deployment>();
    // The first write takes the number over.
    rig.start_operator_with(|client| rival::before_write(2, 7, deployments, client));
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.enqueue(&vec![job(); 250]).await.unwrap();
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 9, "scaleDownDelay": "1s"})))
        .await;
    has_replicas(&rig, "mail", 7).await;
    // Fewer would do; but nobody was chosen, and so nobody goes.
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "PodsNotReady")).await;
    has_replicas(&rig, "mail", 7).await;
    assert!(!rig.has_had_event("mail", "ScaledDown").await);
}

#[tokio::test]
async fn one_that_scales_is_looked_at_without_asking_the_api_server() {
    let rig = Rig::new("unasked").await;
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 9}))).await;
    let is_taken = |d: &Deployment| d.managed_fields().iter().any(|e| e.manager.as_deref() == Some("gritstone-scaler"));
    rig.get::<Deployment>("mail-worker", is_taken).await;
    // The second of two looks begins when all of the first is over, and the first when what was taken is known.
    let mut before = 0;
    for look in ["first", "second", "third"] {
        before = rig.requests().len();
        let until_now = rig.reconciliations();
        rig.patch::<QueueWorker>("mail", json!({"metadata": {"annotations": {"look": look}}})).await;
        rig.wait_until(|| rig.reconciliations() > until_now).await;
    }
    let asked = rig.requests().split_off(before);
    let asked: Vec<_> = asked.iter().filter(|request| request.contains("/deployments/")).collect();
    assert!(asked.is_empty(), "{asked:?}");
}

#[tokio::test]
async fn one_that_is_deleted_while_it_scales_disturbs_nobody() {
    let rig = Rig::new("deleted").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    for name in ["gone", "here"] {
        let mut spec = scaled(json!({"minReplicas": 0, "maxReplicas": 9}));
        spec["queues"] = json!(name);
        rig.create::<QueueWorker>(name, spec).await;
        rig.get::<QueueWorker>(name, |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;
    }
    store.enqueue(&vec![job().on("gone"); 150]).await.unwrap();
    has_replicas(&rig, "gone", 2).await;
    assert!(rig.metrics().contains("queue_worker=\"gone\""));
    rig.api::<QueueWorker>().delete("gone", &DeleteParams::default()).await.unwrap();
    rig.wait_until(|| !rig.metrics().contains("queue_worker=\"gone\"")).await;
    store.enqueue(&vec![job().on("gone"); 500]).await.unwrap();
    store.enqueue(&vec![job().on("here"); 150]).await.unwrap();
    has_replicas(&rig, "here", 2).await;
    // Without garbage collection it is still there.
    assert_eq!(replicas(&rig.get::<Deployment>("gone-worker", |_| true).await), Some(2));
}

#[tokio::test]
async fn another_address_in_the_secret_rolls_the_pods_and_a_missing_secret_does_not() {
    let rig = Rig::new("rolled").await;
    let (_database, _store) = with_queue(&rig, Server::Postgres).await;
    rig.create::<QueueWorker>("mail", on("queue")).await;
    let annotations = |d: &Deployment| d.spec.clone().unwrap().template.metadata.unwrap().annotations.unwrap();
    let first = annotations(&rig.get::<Deployment>("mail-worker", |_| true).await);
    let other = queue(Server::MariaDb).await;
    rig.patch::<Secret>("queue", json!({"stringData": {"uri": other.url}})).await;
    let rolled = rig.get::<Deployment>("mail-worker", |d| annotations(d) != first).await;

    rig.api::<Secret>().delete("queue", &DeleteParams::default()).await.unwrap();
    rig.get::<QueueWorker>("mail", |w| says(w, "DatabaseReachable", ConditionStatus::False, "NoSecret")).await;
    let kept = rig.get::<Deployment>("mail-worker", |_| true).await;
    assert_eq!(kept.spec.unwrap().template, rolled.spec.unwrap().template);
}

#[tokio::test]
async fn an_operator_that_is_replaced_while_workers_are_on_their_way_out_goes_on() {
    let rig = Rig::new("replaced").await;
    let (_database, store) = with_queue(&rig, Server::Postgres).await;
    store.enqueue(&vec![job(); 250]).await.unwrap();
    rig.create::<QueueWorker>("mail", scaled(json!({"minReplicas": 0, "maxReplicas": 5, "scaleDownDelay": "1s"})))
        .await;
    let _player = Player::start(&rig, &store, "mail");
    let workers = player::workers(&store, 3).await;
    let busy = workers.last().unwrap();
    store.enqueue(&[NewJob::new("Long", vec![]).priority(-1)]).await.unwrap();
    let mut session = store.session().await.unwrap();
    let long = claim_any(&mut session, busy.process_id, 1).await;
    run_all(&store, &workers[0]).await;

    // One ends when somebody is cordoned, the next when somebody is marked; or later, where this machine is so busy that it was over
    // between two looks.
    let pods = async || rig.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    rig.until("cordoned", async || {
        let workers = session.workers_of("test").await.unwrap();
        workers.iter().any(|worker| worker.cordoned) || pods().await.len() < 3
    })
    .await;
    rig.start_operator();
    let is_marked = |pod: &Pod| pod.annotations().contains_key("controller.kubernetes.io/pod-deletion-cost");
    rig.until("marked", async || {
        let pods = pods().await;
        pods.iter().any(is_marked) || pods.len() < 3
    })
    .await;
    rig.start_operator();
    has_replicas(&rig, "mail", 1).await;
    let left = player::workers(&store, 1).await;
    assert_eq!((left[0].process_id, left[0].claimed), (busy.process_id, 1));
    session.finish(&[done(&long[0])], true).await.unwrap();
    has_replicas(&rig, "mail", 0).await;
}
