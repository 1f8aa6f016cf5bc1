//! QueueWorkers of two namespaces on one database, looked after by one operator: it looks at the database once, for both.

use gritstone_crds::kinds::{ConditionStatus, QueueWorker, RecurringTask};
use gritstone_store::{Store, StoreOptions};
use gritstone_tests::jobs::job;
use gritstone_tests::rig::Sql;
use gritstone_tests::servers::{Server, TestDatabase};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::database::{on, queue};
use crate::scaling::{has_replicas, scaled};
use crate::support::{Rig, condition, says};

/// One database, named by the Secret `queue` of each namespace.
async fn named_by_both(rigs: &[Rig; 2], server: Server) -> (TestDatabase, Store) {
    let database = queue(server).await;
    for rig in rigs {
        rig.create_secret_of("queue", &database.url).await;
    }
    let store = Store::open(&database.url, StoreOptions::default()).unwrap();
    (database, store)
}

/// A worker on it, for a queue of both and for one of its own.
async fn create(rig: &Rig, own: &str, autoscaling: Value) {
    let mut spec = scaled(autoscaling);
    spec["queues"] = json!(["both", own]);
    rig.create::<QueueWorker>("mail", spec).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Autoscaling", ConditionStatus::True, "Active")).await;
}

async fn is_reachable(rig: &Rig, status: ConditionStatus, reason: &str) {
    rig.get::<QueueWorker>("mail", |w| says(w, "DatabaseReachable", status, reason)).await;
}

/// The jobs that the operator of the first sees the workers of a namespace to be there for.
fn ready(rigs: &[Rig; 2], of: &Rig) -> Option<u64> {
    let start = format!("gritstone_queue_worker_ready_jobs{{namespace=\"{}\",queue_worker=\"mail\"}} ", of.namespace());
    rigs[0].metrics().lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

/// How many connections of the operator's listen to the database, and how many do anything else there.
async fn connections(database: &TestDatabase) -> (usize, usize) {
    let mut sql = Sql::connect(database.engine(), &database.url).await.unwrap();
    let found = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gritstone-operator'";
    let found = sql.rows(found).await.unwrap();
    let (listening, others): (Vec<_>, Vec<_>) = found.iter().partition(|row| row[0].starts_with("LISTEN"));
    (listening.len(), others.len())
}

async fn one_job_starts_one_worker(rigs: [Rig; 2]) {
    let (database, store) = named_by_both(&rigs, Server::Postgres).await;
    let autoscaling = json!({"minReplicas": 0, "maxReplicas": 3});
    create(&rigs[0], "first", autoscaling.clone()).await;
    create(&rigs[1], "second", autoscaling).await;
    rigs[0].until("looked at by one", async || connections(&database).await == (1, 1)).await;

    store.enqueue(&[job().on("both")]).await.unwrap();
    has_replicas(&rigs[0], "mail", 1).await;
    // By the time that these are seen, the one was. It stays with who has a worker, or comes first.
    store.enqueue(&vec![job().on("second"); 50]).await.unwrap();
    has_replicas(&rigs[1], "mail", 1).await;
    rigs[0].wait_until(|| (ready(&rigs, &rigs[0]), ready(&rigs, &rigs[1])) == (Some(1), Some(50))).await;
    rigs[0].until("still by one", async || connections(&database).await == (1, 1)).await;
}

#[tokio::test]
async fn one_job_of_a_queue_that_two_namespaces_serve_starts_one_worker() {
    one_job_starts_one_worker(Rig::pair("both").await).await;
}

#[tokio::test]
async fn so_it_does_where_everything_is_looked_after() {
    one_job_starts_one_worker(Rig::pair_of_all("all").await).await;
}

#[tokio::test]
async fn a_queue_is_shared_out_by_what_the_workers_of_each_namespace_can_take_on() {
    let rigs = Rig::pair("capacity").await;
    let (_database, store) = named_by_both(&rigs, Server::MariaDb).await;
    for (rig, workers) in rigs.iter().zip([1, 3]) {
        create(rig, "own", json!({"minReplicas": workers, "maxReplicas": workers})).await;
    }
    store.enqueue(&vec![job().on("both"); 100]).await.unwrap();
    let shares = || (ready(&rigs, &rigs[0]), ready(&rigs, &rigs[1]));
    rigs[0].wait_until(|| shares() == (Some(25), Some(75))).await;

    rigs[0].api::<QueueWorker>().delete("mail", &DeleteParams::default()).await.unwrap();
    rigs[0].wait_until(|| shares() == (None, Some(100))).await;
}

#[tokio::test]
async fn a_secret_that_breaks_in_one_namespace_leaves_the_other_alone() {
    let rigs = Rig::pair("broken").await;
    let [broken, whole] = &rigs;
    let (database, store) = named_by_both(&rigs, Server::MariaDb).await;
    for rig in &rigs {
        create(rig, "own", json!({"minReplicas": 0, "maxReplicas": 3})).await;
    }
    let puts = async |url: &str| broken.patch::<Secret>("queue", json!({"stringData": {"uri": url}})).await;
    puts("nonsense").await;
    is_reachable(broken, ConditionStatus::False, "NotAUrl").await;
    // The first in order would have been started for it.
    store.enqueue(&[job().on("both")]).await.unwrap();
    has_replicas(whole, "mail", 1).await;
    has_replicas(broken, "mail", 0).await;

    // Another's password lets nobody in.
    puts(&database.url.replace("root@", "nobody:hunter2@")).await;
    is_reachable(broken, ConditionStatus::False, "Unreachable").await;
    is_reachable(whole, ConditionStatus::True, "Reachable").await;
    assert!(!whole.has_had_event("mail", "NotAUrl").await);

    puts(&database.url).await;
    is_reachable(broken, ConditionStatus::True, "Reachable").await;
    store.enqueue(&vec![job().on("both"); 1_000]).await.unwrap();
    has_replicas(broken, "mail", 3).await;
    has_replicas(whole, "mail", 3).await;
}

#[tokio::test]
async fn a_database_is_let_go_when_the_last_namespace_needs_it_no_more() {
    let rigs = Rig::pair("leaving").await;
    let (database, store) = named_by_both(&rigs, Server::Postgres).await;
    for rig in &rigs {
        create(rig, "own", json!({"minReplicas": 0, "maxReplicas": 3})).await;
        let mut task = on("queue");
        task.as_object_mut().unwrap().remove("handler");
        task["schedule"] = json!("every day at 9am");
        task["job"] = json!({"class": "Report"});
        rig.create::<RecurringTask>("report", task).await;
        rig.get::<RecurringTask>("report", |t| says(t, "Ready", ConditionStatus::True, "Scheduled")).await;
    }
    // One looks at queues, and one at tasks.
    rigs[0].until("three connections", async || connections(&database).await == (1, 2)).await;

    let leave = async |rig: &Rig| {
        rig.api::<QueueWorker>().delete("mail", &DeleteParams::default()).await.unwrap();
        rig.api::<RecurringTask>().delete("report", &DeleteParams::default()).await.unwrap();
        rig.gone::<RecurringTask>("report").await;
    };
    leave(&rigs[0]).await;
    store.enqueue(&[job().on("both")]).await.unwrap();
    has_replicas(&rigs[1], "mail", 1).await;
    rigs[1].patch::<RecurringTask>("report", json!({"spec": {"suspend": true}})).await;
    rigs[1].get::<RecurringTask>("report", |t| says(t, "Ready", ConditionStatus::True, "Suspended")).await;
    rigs[1].until("still three", async || connections(&database).await == (1, 2)).await;

    leave(&rigs[1]).await;
    rigs[1].until("no connection", async || connections(&database).await == (0, 0)).await;
}

#[tokio::test]
async fn the_next_operator_looks_after_both_again() {
    let rigs = Rig::pair("next").await;
    let (database, store) = named_by_both(&rigs, Server::Postgres).await;
    for rig in &rigs {
        create(rig, rig.namespace(), json!({"minReplicas": 0, "maxReplicas": 3})).await;
    }
    rigs[0].start_operator();
    for rig in &rigs {
        store.enqueue(&[job().on(rig.namespace())]).await.unwrap();
        has_replicas(rig, "mail", 1).await;
    }
    rigs[0].until("looked at by one", async || connections(&database).await == (1, 1)).await;
}

#[tokio::test]
async fn a_file_is_opened_for_the_namespace_that_its_folder_is_called_like() {
    let rigs = Rig::pair("files").await;
    let [of_key, other] = &rigs;
    let (database, _store) = named_by_both(&rigs, Server::Postgres).await;
    let names = async |rig: &Rig, file: &str| {
        // Without TLS it is not asked for.
        let url = format!("{}?sslmode=disable&sslrootcert={file}", database.url);
        rig.patch::<Secret>("queue", json!({"stringData": {"uri": url}})).await;
    };
    let file = format!("/etc/databases/{}/ca.crt", of_key.namespace());
    for rig in &rigs {
        names(rig, &file).await;
        rig.create::<QueueWorker>("mail", on("queue")).await;
    }
    is_reachable(other, ConditionStatus::False, "FileNotAllowed").await;
    let said = other.get::<QueueWorker>("mail", |w| condition(w, "DatabaseReachable").is_some()).await;
    let said = condition(&said, "DatabaseReachable").unwrap().message.clone();
    assert!(said.contains(&file) && said.contains(&format!("/etc/databases/{}, ", other.namespace())), "{said}");
    is_reachable(of_key, ConditionStatus::True, "Reachable").await;

    names(of_key, "/srv/ca.crt").await;
    is_reachable(of_key, ConditionStatus::False, "FileNotAllowed").await;
    of_key.patch::<Secret>("queue", json!({"stringData": {"uri": database.url}})).await;
    is_reachable(of_key, ConditionStatus::True, "Reachable").await;

    // Where nobody else is, any file will do.
    let alone = Rig::new("files-alone").await;
    alone.create_secret_of("queue", &database.url).await;
    names(&alone, "/srv/ca.crt").await;
    alone.create::<QueueWorker>("mail", on("queue")).await;
    is_reachable(&alone, ConditionStatus::True, "Reachable").await;
}
