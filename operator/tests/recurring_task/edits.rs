//! What people change: the manifest, and what they shouldn't.

use gritstone_crds::kinds::{ConditionStatus, CronSchedule, RecurringTask};
use gritstone_store::{NewTask, TaskSchedule};
use gritstone_tests::servers::Server;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

use crate::on_each_database;
use crate::queue::{Queue, daily, scheduled, task};
use crate::support::{Rig, condition, says};

on_each_database!(
    an_edit_reaches_the_row_and_a_suspended_task_rests,
    a_task_that_moves_leaves_nothing_in_the_first_database,
    a_row_that_somebody_deleted_is_put_again_and_the_rows_of_others_are_left_alone,
);

async fn an_edit_reaches_the_row_and_a_suspended_task_rests(server: Server) {
    let rig = Rig::new("edited").await;
    let queue = Queue::new(&rig, "queue", server).await;
    rig.create::<RecurringTask>("daily", daily("queue", "k")).await;
    scheduled(&rig, "daily").await;

    rig.patch::<RecurringTask>("daily", json!({"spec": {"schedule": "every hour", "job": {"args": [7]}}})).await;
    let edited =
        |row: Option<&gritstone_store::TaskView>| row.is_some_and(|row| row.arguments.as_deref() == Some("[7]"));
    let row = queue.row_when("k", edited).await.unwrap();
    assert_eq!(row.schedule, TaskSchedule::Cron("0 * * * * UTC".to_owned()));
    rig.get::<CronSchedule>("daily", |s| s.spec.cron.as_deref() == Some("0 * * * *")).await;

    rig.patch::<RecurringTask>("daily", json!({"spec": {"suspend": true}})).await;
    let rests = |t: &RecurringTask| says(t, "Ready", ConditionStatus::True, "Suspended");
    let resting = rig.get("daily", rests).await;
    assert_eq!(resting.status.unwrap().next_run_time, None);
    assert!(queue.row("k").await.unwrap().suspended);

    rig.patch::<RecurringTask>("daily", json!({"spec": {"suspend": false}})).await;
    assert!(scheduled(&rig, "daily").await.status.unwrap().next_run_time.is_some());

    // By hand, in the database.
    queue.session().await.suspend_task("k").await.unwrap();
    let rests = |t: &RecurringTask| says(t, "Ready", ConditionStatus::True, "SuspendedByHand");
    assert!(condition(&rig.get("daily", rests).await, "Ready").unwrap().message.contains("recurring resume k"));
    queue.session().await.resume_task("k").await.unwrap();
    scheduled(&rig, "daily").await;
}

async fn a_task_that_moves_leaves_nothing_in_the_first_database(server: Server) {
    let rig = Rig::new("moved").await;
    let first = Queue::new(&rig, "first", server).await;
    let second = Queue::new(&rig, "second", Server::Postgres).await;
    rig.create::<RecurringTask>("daily", daily("first", "k")).await;
    scheduled(&rig, "daily").await;
    rig.patch::<RecurringTask>("daily", json!({"spec": {"database": {"secretRef": {"name": "second"}}}})).await;
    second.row_when("k", |row| row.is_some()).await;
    assert_eq!(first.row("k").await, None);
}

async fn a_row_that_somebody_deleted_is_put_again_and_the_rows_of_others_are_left_alone(server: Server) {
    let rig = Rig::new("deleted-row").await;
    let queue = Queue::new(&rig, "queue", server).await;
    let theirs = NewTask::new("theirs", TaskSchedule::Cron("0 1 * * * UTC".to_owned()), "Theirs");
    queue.session().await.put_task("/srv/tasks", &theirs).await.unwrap();
    let mut sql = queue.sql().await;
    let key = if server == Server::Postgres { "\"key\"" } else { "`key`" };
    sql.run(&format!(
        "insert into solid_queue_recurring_tasks ({key}, schedule, command, static, created_at, updated_at) \
         values ('rails', 'every day', 'puts 1', {}, current_timestamp, current_timestamp)",
        if server == Server::Postgres { "true" } else { "1" }
    ))
    .await
    .unwrap();
    let count = "select cast(count(*) as char(10)) from solid_queue_recurring_tasks";
    for name in ["quiet", "daily"] {
        rig.create::<RecurringTask>(name, daily("queue", name)).await;
        scheduled(&rig, name).await;
    }
    rig.get::<CronSchedule>("quiet", |s| s.status.as_ref().is_some_and(|status| status.next_run_time.is_some())).await;
    assert_eq!(sql.rows(count).await.unwrap()[0][0].trim(), "4");
    let quiet = rig.get::<RecurringTask>("quiet", |_| true).await.resource_version();
    let schedule = rig.get::<CronSchedule>("quiet", |_| true).await.resource_version();

    sql.run(&format!("delete from solid_queue_recurring_tasks where {key} = 'daily'")).await.unwrap();
    queue.row_when("daily", |row| row.is_some_and(gritstone_store::TaskView::runs)).await;
    assert_eq!(sql.rows(count).await.unwrap()[0][0].trim(), "4");
    assert_eq!(queue.row("theirs").await.unwrap().owner, "/srv/tasks");

    // Looked at as often, and nothing of it is otherwise.
    assert_eq!(rig.get::<RecurringTask>("quiet", |_| true).await.resource_version(), quiet);
    assert_eq!(rig.get::<CronSchedule>("quiet", |_| true).await.resource_version(), schedule);
    rig.has_events("quiet", &["Reachable", "Scheduled"]).await;
}

#[tokio::test]
async fn a_schedule_that_was_deleted_or_edited_is_made_anew_and_its_row_stays() {
    let rig = Rig::new("schedule").await;
    let queue = Queue::new(&rig, "queue", Server::Postgres).await;
    rig.create::<RecurringTask>("daily", daily("queue", "k")).await;
    scheduled(&rig, "daily").await;
    let before = queue.row("k").await.unwrap();

    rig.patch::<CronSchedule>("daily", json!({"spec": {"suspend": true, "cron": "* * * * *"}})).await;
    rig.get::<CronSchedule>("daily", |s| !s.spec.suspend && s.spec.cron.as_deref() == Some("0 12 * * *")).await;

    let schedule = rig.api::<CronSchedule>().get("daily").await.unwrap();
    rig.api::<CronSchedule>().delete("daily", &DeleteParams::default()).await.unwrap();
    rig.get::<CronSchedule>("daily", |s| s.metadata.uid != schedule.metadata.uid && s.status.is_some()).await;
    assert_eq!(queue.row("k").await, Some(before));
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_is_told_with_its_place_and_the_one_before_goes_on() {
    let rig = Rig::new("unreadable").await;
    let queue = Queue::new(&rig, "queue", Server::Postgres).await;
    rig.create::<RecurringTask>("daily", daily("queue", "k")).await;
    scheduled(&rig, "daily").await;
    let before = queue.row("k").await;

    rig.patch::<RecurringTask>("daily", json!({"spec": {"schedule": "every weekday at 9amm"}})).await;
    let told = |t: &RecurringTask| says(t, "Ready", ConditionStatus::False, "InvalidSpec");
    let told = rig.get("daily", told).await;
    let message = &condition(&told, "Ready").unwrap().message;
    assert!(message.starts_with("spec.schedule: `amm` is not a word"), "{message}");
    assert!(told.status.as_ref().unwrap().next_run_time.is_some(), "the one before goes on");
    assert_eq!(queue.row("k").await, before);

    rig.patch::<RecurringTask>("daily", json!({"spec": {"schedule": "every weekday at 9am"}})).await;
    scheduled(&rig, "daily").await;

    let nowhere = json!({"schedule": "every day", "job": {"class": "A"}});
    rig.create::<RecurringTask>("nowhere", nowhere).await;
    let told = |t: &RecurringTask| says(t, "Ready", ConditionStatus::False, "InvalidSpec");
    assert!(condition(&rig.get("nowhere", told).await, "Ready").unwrap().message.contains("spec.database"));
    let other = task("queue", json!({"schedule": "every day", "job": {"class": "A"}, "timeZone": "Asia/Seul"}));
    rig.create::<RecurringTask>("zone", other).await;
    let told = |t: &RecurringTask| says(t, "Ready", ConditionStatus::False, "InvalidSpec");
    assert!(condition(&rig.get("zone", told).await, "Ready").unwrap().message.contains("did you mean Asia/Seoul?"));
}
