//! What is said of the database: real ones, and what only looks like one.

use gritstone_crds::kinds::{Condition, ConditionStatus, QueueWorker};
use gritstone_store::{MigrateOptions, Store, StoreOptions};
use gritstone_tests::servers::{Server, TestDatabase};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::spec;
use crate::support::{Rig, condition};

/// A worker whose database's address is in that Secret.
pub fn on(secret: &str) -> Value {
    let mut spec = spec();
    spec["database"] = json!({"secretRef": {"name": secret}});
    spec
}

/// What is said of the worker's database, once that has this reason.
async fn reachable(rig: &Rig, worker: &str, reason: &str) -> Condition {
    let said = |w: &QueueWorker| condition(w, "DatabaseReachable").is_some_and(|said| said.reason == reason);
    let worker = rig.get::<QueueWorker>(worker, said).await;
    condition(&worker, "DatabaseReachable").unwrap().clone()
}

/// A queue: a database with its tables.
pub async fn queue(server: Server) -> TestDatabase {
    let database = TestDatabase::create(server).await.unwrap();
    let store = Store::open(&database.url, StoreOptions::default()).unwrap();
    store.migrate(MigrateOptions::default()).await.unwrap();
    database
}

#[tokio::test]
async fn a_queue_that_answers_is_said_to_and_once() {
    let rig = Rig::new("reachable").await;
    for (name, server) in [("on-postgres", Server::Postgres), ("on-mariadb", Server::MariaDb)] {
        let database = queue(server).await;
        rig.create_secret_of(name, &database.url).await;
        rig.create::<QueueWorker>(name, on(name)).await;
        let said = reachable(&rig, name, "Reachable").await;
        assert_eq!(said.status, ConditionStatus::True);
        assert!(said.message.ends_with(" answers") && said.message.contains("127.0.0.1"), "{}", said.message);
        rig.has_events(name, &["Progressing", "Reachable"]).await;
    }
}

#[tokio::test]
async fn a_database_without_the_tables_is_no_queue_until_they_are_made() {
    let rig = Rig::new("not-migrated").await;
    let database = TestDatabase::create(Server::Postgres).await.unwrap();
    rig.create_secret_of("empty", &database.url).await;
    rig.create::<QueueWorker>("mail", on("empty")).await;
    let said = reachable(&rig, "mail", "NotMigrated").await;
    assert!(said.message.contains("`gritstone migrate`") && said.message.contains("migrate: true"), "{}", said.message);
    let store = Store::open(&database.url, StoreOptions::default()).unwrap();
    store.migrate(MigrateOptions::default()).await.unwrap();
    reachable(&rig, "mail", "Reachable").await;
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_told_in_its_own_words() {
    let rig = Rig::new("refused-login").await;
    let database = queue(Server::MariaDb).await;
    let url = database.url.replace("root@", "nobody:hunter2@");
    rig.create_secret_of("wrong", &url).await;
    rig.create::<QueueWorker>("mail", on("wrong")).await;
    let said = reachable(&rig, "mail", "Unreachable").await;
    assert!(said.message.contains("Access denied for user 'nobody'"), "{}", said.message);
    assert!(!said.message.contains("hunter2"), "{}", said.message);
}

#[tokio::test]
async fn what_is_no_address_is_told_apart() {
    let rig = Rig::new("no-address").await;
    for (name, value, reason) in [
        ("text", "hunter2", "NotAUrl"),
        ("blank", " \n", "NoKey"),
        ("file", "sqlite:///data/queue.db", "FileInCluster"),
        ("parameter", "postgres://db/app?sslmode=perhaps", "NotAUrl"),
    ] {
        rig.create_secret_of(name, value).await;
        rig.create::<QueueWorker>(name, on(name)).await;
        let said = reachable(&rig, name, reason).await;
        assert_eq!(said.status, ConditionStatus::False);
        assert!(!said.message.contains("hunter2"), "{}", said.message);
    }
    rig.create::<QueueWorker>("missing", on("nowhere")).await;
    reachable(&rig, "missing", "NoSecret").await;
}

#[tokio::test]
async fn one_that_hangs_is_told_and_keeps_nobody_waiting() {
    let rig = Rig::new("hanging").await;
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let held = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let good = queue(Server::Postgres).await;
    rig.create_secret_of("silent", &format!("postgres://joe:hunter2@127.0.0.1:{port}/app")).await;
    rig.create_secret_of("good", &good.url).await;
    for number in 0..12 {
        rig.create::<QueueWorker>(&format!("silent-{number}"), on("silent")).await;
    }
    rig.create::<QueueWorker>("good", on("good")).await;
    reachable(&rig, "good", "Reachable").await;
    for number in 0..12 {
        let said = reachable(&rig, &format!("silent-{number}"), "Unreachable").await;
        assert!(said.message.contains("did not answer within 5s"), "{}", said.message);
    }
    held.abort();
}

#[tokio::test]
async fn a_secret_that_is_put_right_is_seen_though_nobody_watches_it() {
    let rig = Rig::new("put-right").await;
    let database = queue(Server::Postgres).await;
    rig.create_secret_of("later", "nonsense").await;
    rig.create::<QueueWorker>("mail", on("later")).await;
    reachable(&rig, "mail", "NotAUrl").await;
    rig.patch::<Secret>("later", json!({"stringData": {"uri": database.url}})).await;
    reachable(&rig, "mail", "Reachable").await;

    rig.api::<Secret>().delete("later", &DeleteParams::default()).await.unwrap();
    reachable(&rig, "mail", "NoSecret").await;
    let watched = rig.requests().into_iter().filter(|request| request.contains("/secrets")).collect::<Vec<_>>();
    assert!(
        watched.iter().all(|request| request.starts_with("GET ") && request.ends_with("/secrets/later")),
        "{watched:?}"
    );
}
