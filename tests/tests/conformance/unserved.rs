//! Jobs that no live worker would claim.

use crate::support::{Db, conformance, job, new_process};
use gritstone_store::{NewJob, NewProcess, UnservedJobs, UnservedReason};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

conformance!(
    without_a_worker_nothing_is_served,
    queues_that_nobody_serves_are_told,
    classes_and_commands_that_nobody_runs_are_told,
    what_is_due_soon_counts_and_what_is_due_later_does_not,
    the_dead_serve_nothing,
    rails_workers_serve_their_queues,
    only_the_head_of_a_long_queue_is_looked_at,
);

async fn unserved(db: &Db) -> BTreeMap<String, UnservedJobs> {
    let mut session = db.session().await;
    let queues = session.queues().await.unwrap();
    session.unserved(&queues).await.unwrap()
}

async fn worker(db: &Db, metadata: serde_json::Value) -> i64 {
    let process = NewProcess { metadata, ..new_process(3) };
    db.session().await.register(&process).await.unwrap().process_id
}

fn found(jobs: u64, classes: &[&str], reason: UnservedReason) -> UnservedJobs {
    UnservedJobs { jobs, exact: true, classes: classes.iter().map(ToString::to_string).collect(), reason }
}

fn class(name: &str, queue: &str) -> NewJob {
    NewJob::new(name, if name == "Command" { vec![json!("true")] } else { vec![] }).on(queue)
}

async fn without_a_worker_nothing_is_served(db: Db) {
    assert!(unserved(&db).await.is_empty());
    db.store.enqueue(&[job(), job(), job().on("mail")]).await.unwrap();
    let none = UnservedReason::NoWorker;
    assert_eq!(
        unserved(&db).await,
        [("default".into(), found(2, &["Job"], none)), ("mail".into(), found(1, &["Job"], none))].into()
    );
}

async fn queues_that_nobody_serves_are_told(db: Db) {
    worker(&db, json!({"queues": "urgent,mail*,!mail_slow"})).await;
    for queue in ["urgent", "mail", "mail_slow", "reports", "solid_queue_recurring"] {
        db.store.enqueue(&[job().on(queue)]).await.unwrap();
    }
    let unserved = unserved(&db).await;
    assert_eq!(unserved.keys().collect::<Vec<_>>(), ["mail_slow", "reports", "solid_queue_recurring"]);
    assert!(unserved.values().all(|jobs| *jobs == found(1, &["Job"], UnservedReason::Queue)));
}

async fn classes_and_commands_that_nobody_runs_are_told(db: Db) {
    worker(&db, json!({"queues": "*", "classes": ["A", "B"]})).await;
    let jobs =
        [class("A", "q"), class("C", "q"), class("C", "q"), class("D", "q"), class("Command", "gritstone_commands")];
    db.store.enqueue(&jobs).await.unwrap();
    let commands = found(1, &["Command"], UnservedReason::Queue);
    let expected = BTreeMap::from([
        ("gritstone_commands".to_owned(), commands),
        ("q".to_owned(), found(3, &["C", "D"], UnservedReason::Class)),
    ]);
    assert_eq!(unserved(&db).await, expected);
    worker(&db, json!({"queues": "q"})).await;
    db.store.enqueue(&[class("Command", "q")]).await.unwrap();
    assert_eq!(unserved(&db).await["q"], found(1, &["Command"], UnservedReason::Commands));
    worker(&db, json!({"queues": "*", "classes": ["Command"], "allow_commands": true})).await;
    assert!(unserved(&db).await.is_empty());
}

async fn what_is_due_soon_counts_and_what_is_due_later_does_not(db: Db) {
    worker(&db, json!({"queues": "default"})).await;
    let after = |seconds| job().on("mail").after(Duration::from_secs(seconds));
    db.store.enqueue(&[after(20), after(600)]).await.unwrap();
    assert_eq!(unserved(&db).await["mail"], found(1, &["Job"], UnservedReason::Queue));
}

async fn the_dead_serve_nothing(db: Db) {
    let process = worker(&db, json!({"queues": "*"})).await;
    db.store.enqueue(&[job()]).await.unwrap();
    assert!(unserved(&db).await.is_empty());
    let long_ago = db.seconds_from_now(-121);
    db.run(&format!("update solid_queue_processes set last_heartbeat_at = {long_ago} where id = {process}")).await;
    assert_eq!(unserved(&db).await["default"].reason, UnservedReason::NoWorker);
}

async fn rails_workers_serve_their_queues(db: Db) {
    // As Rails registers it, four minutes ago: it waits five.
    let process = worker(&db, json!({"polling_interval": 0.1, "queues": "mail,a*", "thread_pool_size": 3})).await;
    db.run(&format!("delete from gritstone_processes where process_id = {process}")).await;
    let seen = db.seconds_from_now(-240);
    db.run(&format!("update solid_queue_processes set last_heartbeat_at = {seen} where id = {process}")).await;
    db.store.enqueue(&[job().on("mail"), class("Command", "a1"), job().on("b")]).await.unwrap();
    assert_eq!(unserved(&db).await.keys().collect::<Vec<_>>(), ["b"]);
}

async fn only_the_head_of_a_long_queue_is_looked_at(db: Db) {
    worker(&db, json!({"queues": "long", "classes": ["A"]})).await;
    let head = vec![class("B", "long").priority(-1); 10];
    for jobs in [head, vec![class("A", "long"); 4_000], vec![class("A", "long"); 2_000]] {
        db.store.enqueue(&jobs).await.unwrap();
    }
    let jobs = UnservedJobs { exact: false, ..found(10, &["B"], UnservedReason::Class) };
    assert_eq!(unserved(&db).await["long"], jobs);
    db.store.enqueue(&vec![class("B", "nobodys"); 5_500]).await.unwrap();
    assert_eq!(unserved(&db).await["nobodys"], found(5_500, &["B"], UnservedReason::Queue));
}
