//! Keys, of which a database has each once.

use gritstone_crds::kinds::{ConditionStatus, RecurringTask};
use gritstone_store::{NewTask, TaskSchedule};
use gritstone_tests::servers::Server;
use kube::api::DeleteParams;
use serde_json::json;

use crate::on_each_database;
use crate::queue::{Queue, daily, scheduled};
use crate::support::{Rig, condition, says};

on_each_database!(
    of_two_tasks_with_one_key_the_later_one_is_told_and_waits_for_it,
    a_key_of_rails_or_of_another_cluster_is_left_alone,
    a_key_that_changes_leaves_no_row_behind,
);

fn is_taken(task: &RecurringTask) -> bool {
    says(task, "Ready", ConditionStatus::False, "KeyTaken")
}

async fn of_two_tasks_with_one_key_the_later_one_is_told_and_waits_for_it(server: Server) {
    let rig = Rig::new("two").await;
    let queue = Queue::new(&rig, "queue", server).await;
    rig.create::<RecurringTask>("first", daily("queue", "k")).await;
    scheduled(&rig, "first").await;
    let row = queue.row("k").await;
    rig.create::<RecurringTask>("second", daily("queue", "k")).await;
    let told = rig.get("second", is_taken).await;
    let message = &condition(&told, "Ready").unwrap().message;
    assert!(message.contains(&format!("RecurringTask {}/first", rig.namespace())), "{message}");
    assert_eq!(queue.row("k").await, row);
    assert!(says(&rig.get::<RecurringTask>("first", |_| true).await, "Ready", ConditionStatus::True, "Scheduled"));

    rig.api::<RecurringTask>().delete("first", &DeleteParams::default()).await.unwrap();
    scheduled(&rig, "second").await;
    assert!(queue.row("k").await.unwrap().owner.ends_with("/second"));
}

async fn a_key_of_rails_or_of_another_cluster_is_left_alone(server: Server) {
    let rig = Rig::new("others").await;
    let queue = Queue::new(&rig, "queue", server).await;
    let key = if server == Server::Postgres { "\"key\"" } else { "`key`" };
    let insert = format!(
        "insert into solid_queue_recurring_tasks ({key}, schedule, class_name, static, created_at, updated_at) \
         values ('rails', 'every day', 'Theirs', {}, current_timestamp, current_timestamp)",
        if server == Server::Postgres { "true" } else { "1" }
    );
    queue.sql().await.run(&insert).await.unwrap();
    let far = NewTask::new("far", TaskSchedule::Cron("0 1 * * * UTC".to_owned()), "Theirs");
    queue.session().await.put_task("kubernetes/elsewhere/shop/far", &far).await.unwrap();
    for (name, expected) in [("rails", "Rails"), ("far", "another cluster, elsewhere")] {
        let before = queue.row(name).await;
        rig.create::<RecurringTask>(name, daily("queue", name)).await;
        let told = rig.get(name, is_taken).await;
        let message = &condition(&told, "Ready").unwrap().message;
        assert!(message.contains(expected), "{message}");
        assert_eq!(queue.row(name).await, before);
        // It leaves what it never had.
        rig.api::<RecurringTask>().delete(name, &DeleteParams::default()).await.unwrap();
        rig.gone::<RecurringTask>(name).await;
        assert_eq!(queue.row(name).await, before);
    }
}

async fn a_key_that_changes_leaves_no_row_behind(server: Server) {
    let rig = Rig::new("renamed").await;
    let queue = Queue::new(&rig, "queue", server).await;
    rig.create::<RecurringTask>("daily", daily("queue", "old")).await;
    scheduled(&rig, "daily").await;
    rig.patch::<RecurringTask>("daily", json!({"spec": {"key": "new"}})).await;
    queue.row_when("new", |row| row.is_some()).await;
    assert_eq!(queue.row("old").await, None);
    rig.get::<RecurringTask>("daily", |t| t.status.as_ref().is_some_and(|s| s.key.as_deref() == Some("new"))).await;
}
