//! A RecurringTask's CronSchedule and its row, kept true by the operator against a real API server and real databases.

#[path = "../support/mod.rs"]
mod support;

mod edits;
mod keys;
mod leaving;
mod queue;
mod runs;

use gritstone_crds::kinds::{ConditionStatus, CronSchedule, RecurringTask};
use gritstone_store::TaskSchedule;
use gritstone_tests::servers::Server;
use serde_json::json;
use std::time::Duration;

use queue::{Queue, scheduled, task};
use support::{Rig, condition, says};

/// A test of each database for a case that is given one.
macro_rules! on_each_database {
    ($($case:ident),* $(,)?) => {$(
        mod $case {
            #[tokio::test]
            async fn postgres() {
                super::$case(gritstone_tests::servers::Server::Postgres).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$case(gritstone_tests::servers::Server::MariaDb).await;
            }
        }
    )*};
}
pub(crate) use on_each_database;

on_each_database!(a_task_becomes_a_schedule_and_a_row, a_command_and_an_interval_become_a_row,);

async fn a_task_becomes_a_schedule_and_a_row(server: Server) {
    let rig = Rig::new("created").await;
    let queue = Queue::new(&rig, "queue", server).await;
    let spec = json!({
        "schedule": "every weekday at 9am in Asia/Seoul", "description": "for sales",
        "job": {"class": "DailyReport", "args": [42, {"status": "open"}], "queue": "reports", "priority": 5},
        "missedRuns": {"policy": "All", "limit": 3},
    });
    let task = rig.create::<RecurringTask>("daily", task("queue", spec)).await;
    let told = scheduled(&rig, "daily").await;
    let key = format!("test/{}/daily", rig.namespace());
    let status = told.status.clone().unwrap();
    assert_eq!((status.key.as_deref(), status.last_run_time), (Some(key.as_str()), None));
    assert!(says(&told, "DatabaseReachable", ConditionStatus::True, "Reachable"));

    let schedule = rig.get::<CronSchedule>("daily", |s| s.status.is_some()).await;
    let owner = &schedule.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), &owner.uid), ("RecurringTask", task.metadata.uid.as_ref().unwrap()));
    assert_eq!(schedule.spec.cron.as_deref(), Some("0 9 * * 1,2,3,4,5"));
    assert_eq!((schedule.spec.time_zone.as_str(), &schedule.spec.key), ("Asia/Seoul", &key));
    assert_eq!(schedule.status.as_ref().unwrap().next_run_time, status.next_run_time);

    let row = queue.row(&key).await.unwrap();
    assert_eq!(row.owner, format!("kubernetes/test/{}/daily", rig.namespace()));
    assert_eq!(row.schedule, TaskSchedule::Cron("0 9 * * 1,2,3,4,5 Asia/Seoul".to_owned()));
    assert_eq!(
        (row.class.as_deref(), row.queue.as_deref(), row.priority),
        (Some("DailyReport"), Some("reports"), Some(5))
    );
    assert_eq!(row.arguments.as_deref(), Some(r#"[42,{"status":"open","_aj_symbol_keys":["status"]}]"#));
    assert_eq!(row.description.as_deref(), Some("for sales"));
    rig.has_events("daily", &["Reachable", "Scheduled"]).await;
}

async fn a_command_and_an_interval_become_a_row(server: Server) {
    let rig = Rig::new("command").await;
    let queue = Queue::new(&rig, "queue", server).await;
    let spec = json!({"schedule": {"every": "90m", "offset": "5m"}, "command": "bin/vacuum --all", "key": "vacuum"});
    rig.create::<RecurringTask>("vacuum", task("queue", spec)).await;
    scheduled(&rig, "vacuum").await;
    let row = queue.row("vacuum").await.unwrap();
    let (every, offset) = (Duration::from_secs(5_400), Duration::from_secs(300));
    assert_eq!(row.schedule, TaskSchedule::Every { every, offset });
    assert_eq!((row.class.as_deref(), row.queue.as_deref()), (Some("Command"), Some("gritstone_commands")));
    assert_eq!(row.arguments.as_deref(), Some(r#"["bin/vacuum --all"]"#));
}

#[tokio::test]
async fn kubectl_prints_when_a_task_runs_next() {
    let rig = Rig::new("printed").await;
    let _queue = Queue::new(&rig, "queue", Server::Postgres).await;
    let words = json!({"schedule": "every day at noon", "job": {"class": "A"}});
    rig.create::<RecurringTask>("daily", task("queue", words)).await;
    let interval = json!({"schedule": {"every": "90m"}, "job": {"class": "A"}});
    rig.create::<RecurringTask>("often", task("queue", interval)).await;
    for name in ["daily", "often"] {
        scheduled(&rig, name).await;
        rig.get::<CronSchedule>(name, |s| s.status.as_ref().is_some_and(|status| status.next_run_time.is_some())).await;
    }
    // `cs` is one of Kubernetes' own, older kinds.
    for kinds in ["rt", "cronschedules"] {
        let printed = rig.kubectl(&["get", kinds, "-o", "wide"]).await;
        assert!(printed.contains("T12:00:00Z") && !printed.contains("invalid"), "{printed}");
    }
}

#[tokio::test]
async fn a_task_whose_database_is_no_queue_waits_for_it() {
    let rig = Rig::new("no-queue").await;
    let queue = Queue::empty(&rig, "queue", Server::Postgres).await;
    let spec = json!({"schedule": "every day at noon", "job": {"class": "A"}, "key": "k"});
    rig.create::<RecurringTask>("daily", task("queue", spec)).await;
    let waiting = |t: &RecurringTask| says(t, "Ready", ConditionStatus::False, "DatabaseNotReachable");
    let told = rig.get("daily", waiting).await;
    assert!(condition(&told, "Ready").unwrap().message.contains("migrate"));
    queue.migrate().await;
    scheduled(&rig, "daily").await;
    assert!(queue.row("k").await.is_some());
}
