//! Tasks that go, also where their database doesn't answer.

use gritstone_crds::kinds::{ConditionStatus, CronSchedule, RecurringTask};
use gritstone_tests::servers::Server;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

use crate::on_each_database;
use crate::queue::{Queue, daily, scheduled};
use crate::support::{Rig, says};

on_each_database!(a_task_that_goes_takes_its_schedule_and_its_row_along);

async fn a_task_that_goes_takes_its_schedule_and_its_row_along(server: Server) {
    let rig = Rig::new("gone").await;
    let queue = Queue::new(&rig, "queue", server).await;
    for name in ["stays", "goes"] {
        rig.create::<RecurringTask>(name, daily("queue", name)).await;
        scheduled(&rig, name).await;
    }
    rig.api::<RecurringTask>().delete("goes", &DeleteParams::default()).await.unwrap();
    rig.gone::<RecurringTask>("goes").await;
    rig.gone::<CronSchedule>("goes").await;
    assert_eq!(queue.row("goes").await, None);
    assert!(queue.row("stays").await.is_some());
}

#[tokio::test]
async fn a_row_goes_although_the_secret_went_before_it() {
    let rig = Rig::new("secret-gone").await;
    let queue = Queue::new(&rig, "queue", Server::Postgres).await;
    rig.create::<RecurringTask>("daily", daily("queue", "k")).await;
    scheduled(&rig, "daily").await;
    // As when a namespace goes.
    rig.terminate().await;
    rig.api::<Secret>().delete("queue", &DeleteParams::default()).await.unwrap();
    rig.get::<RecurringTask>("daily", |t| says(t, "DatabaseReachable", ConditionStatus::False, "NoSecret")).await;
    rig.api::<CronSchedule>().delete("daily", &DeleteParams::default()).await.unwrap();
    rig.api::<RecurringTask>().delete("daily", &DeleteParams::default()).await.unwrap();
    rig.gone::<RecurringTask>("daily").await;
    assert_eq!(queue.row("k").await, None);
}

#[tokio::test]
async fn a_task_whose_database_is_away_is_let_go_after_a_while_with_a_word_about_what_may_be_left() {
    let rig = Rig::new("away").await;
    rig.create_secret_of("away", "postgres://127.0.0.1:1/app").await;
    for (name, secret) in [("database", "away"), ("secret", "missing")] {
        rig.create::<RecurringTask>(name, daily(secret, name)).await;
        rig.get::<RecurringTask>(name, |t| says(t, "Ready", ConditionStatus::False, "DatabaseNotReachable")).await;
        rig.api::<RecurringTask>().delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in ["database", "secret"] {
        rig.get::<RecurringTask>(name, |t| says(t, "Ready", ConditionStatus::False, "Deleting")).await;
    }
    for name in ["database", "secret"] {
        rig.gone::<RecurringTask>(name).await;
        rig.gone::<CronSchedule>(name).await;
        rig.has_event(name, "RowLeft").await;
    }
}

/// The command is that of the chart's page.
#[tokio::test]
async fn tasks_that_no_operator_is_there_for_any_more_are_let_go_by_hand() {
    let rig = Rig::new("by-hand").await;
    let queue = Queue::new(&rig, "queue", Server::Postgres).await;
    let names = ["one", "two"];
    for name in names {
        rig.create::<RecurringTask>(name, daily("queue", name)).await;
        scheduled(&rig, name).await;
    }
    rig.stop_operator();
    for name in names {
        rig.api::<RecurringTask>().delete(name, &DeleteParams::default()).await.unwrap();
        rig.get::<RecurringTask>(name, |task| task.metadata.deletion_timestamp.is_some()).await;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/gritstone/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (before, after) = page.split_once(" patch --type=merge --patch '").unwrap();
    assert!(before.ends_with(
        "kubectl --namespace shop get recurringtasks --output name |\n    xargs -r kubectl --namespace shop"
    ));
    let patch = after.split('\'').next().unwrap();
    let tasks = rig.kubectl(&["get", "recurringtasks", "--output", "name"]).await;
    let arguments: Vec<_> = ["patch", "--type=merge", "--patch", patch].into_iter().chain(tasks.lines()).collect();
    rig.kubectl(&arguments).await;
    for name in names {
        rig.gone::<RecurringTask>(name).await;
        assert!(queue.row(name).await.is_some(), "nobody was there who would remove it");
    }
}

#[tokio::test]
async fn a_new_operator_finds_everything_as_it_is_and_what_was_deleted_meanwhile_goes() {
    let rig = Rig::new("replaced").await;
    let queue = Queue::new(&rig, "queue", Server::Postgres).await;
    for name in ["stays", "goes"] {
        rig.create::<RecurringTask>(name, daily("queue", name)).await;
        scheduled(&rig, name).await;
    }
    rig.get::<CronSchedule>("stays", |s| s.status.is_some()).await;
    let before = rig.get::<RecurringTask>("stays", |_| true).await;
    let schedule = rig.get::<CronSchedule>("stays", |_| true).await;
    rig.start_operator();
    rig.api::<RecurringTask>().delete("goes", &DeleteParams::default()).await.unwrap();
    rig.gone::<RecurringTask>("goes").await;
    rig.create::<RecurringTask>("new", daily("queue", "new")).await;
    scheduled(&rig, "new").await;
    assert_eq!(queue.row("goes").await, None);
    assert_eq!(rig.get::<RecurringTask>("stays", |_| true).await.metadata, before.metadata);
    let after = rig.get::<CronSchedule>("stays", |_| true).await;
    assert_eq!(after.metadata.resource_version, schedule.metadata.resource_version);
    rig.has_events("stays", &["Reachable", "Scheduled"]).await;
}

/// Each operator is replaced at another point of moving a row to another key in another database.
#[tokio::test]
async fn one_row_is_left_wherever_operators_died_while_a_task_moved() {
    let rig = Rig::new("moving").await;
    let queues = [Queue::new(&rig, "zero", Server::Postgres).await, Queue::new(&rig, "one", Server::MariaDb).await];
    rig.create::<RecurringTask>("daily", daily("zero", "k0")).await;
    scheduled(&rig, "daily").await;
    for round in 1..=12_u64 {
        let (secret, key) = (["zero", "one"][round as usize % 2], format!("k{round}"));
        let database = json!({"secretRef": {"name": secret}});
        rig.patch::<RecurringTask>("daily", json!({"spec": {"database": database, "key": key}})).await;
        tokio::time::sleep(Duration::from_millis(23 * round)).await;
        rig.start_operator();
    }
    queues[0].row_when("k12", |row| row.is_some()).await;
    rig.get::<RecurringTask>("daily", |t| t.status.as_ref().is_some_and(|s| s.key.as_deref() == Some("k12"))).await;
    let mut keys = Vec::new();
    for queue in &queues {
        keys.extend(queue.session().await.tasks().await.unwrap().into_iter().map(|task| task.key));
    }
    assert_eq!(keys, ["k12"]);
    rig.api::<RecurringTask>().delete("daily", &DeleteParams::default()).await.unwrap();
    rig.gone::<RecurringTask>("daily").await;
    assert_eq!(queues[0].row("k12").await, None);
}
