//! What is said of runs that a real scheduler makes.

use gritstone::process::{Scheduler, SchedulerConfig, Stop};
use gritstone_crds::kinds::{ConditionStatus, CronSchedule, RecurringTask, RunOutcome};
use gritstone_tests::servers::Server;
use serde_json::json;

use crate::on_each_database;
use crate::queue::{Queue, daily, scheduled, task};
use crate::support::{Rig, says};

on_each_database!(runs_of_a_scheduler_are_shown_with_what_became_of_their_jobs, a_run_that_nobody_came_to_is_told,);

fn last(schedule: &CronSchedule, outcome: RunOutcome) -> bool {
    schedule.status.as_ref().is_some_and(|status| status.last_run_outcome == Some(outcome))
}

async fn runs_of_a_scheduler_are_shown_with_what_became_of_their_jobs(server: Server) {
    let rig = Rig::new("runs").await;
    let queue = Queue::new(&rig, "queue", server).await;
    let spec = json!({"schedule": "every second", "job": {"class": "Tick"}, "key": "tick"});
    rig.create::<RecurringTask>("tick", task("queue", spec)).await;
    scheduled(&rig, "tick").await;

    let config = SchedulerConfig::default();
    let (scheduler, stop) = (Scheduler::new(queue.store.clone(), config), Stop::new());
    let stopping = stop.clone();
    let running = tokio::spawn(async move { scheduler.run(&stopping).await });
    let schedule = rig.get::<CronSchedule>("tick", |s| last(s, RunOutcome::Enqueued)).await;
    let status = schedule.status.unwrap();
    assert!(status.last_run_time.is_some() && status.last_job_id.is_some());
    let told = |t: &RecurringTask| t.status.as_ref().is_some_and(|status| status.last_run_time.is_some());
    rig.get::<RecurringTask>("tick", told).await;
    // No more runs from here on, so that the last one is the last.
    rig.patch::<RecurringTask>("tick", json!({"spec": {"suspend": true}})).await;
    rig.get::<RecurringTask>("tick", |t| says(t, "Ready", ConditionStatus::True, "Suspended")).await;
    stop.gracefully();
    running.await.unwrap();

    let job = queue.session().await.last_task_runs(&["tick".to_owned()]).await.unwrap().remove(0);
    let mut sql = queue.sql().await;
    sql.run("delete from solid_queue_ready_executions").await.unwrap();
    sql.run("update solid_queue_jobs set finished_at = current_timestamp").await.unwrap();
    let finished = rig.get::<CronSchedule>("tick", |s| last(s, RunOutcome::Finished)).await.status.unwrap();
    assert_eq!(finished.last_job_id, Some(job.job_id.to_string()));
    assert_eq!(finished.last_run_time, Some(job.run_at));
    let mirrored = |t: &RecurringTask| {
        t.status.as_ref().is_some_and(|status| status.last_run_outcome == Some(RunOutcome::Finished))
    };
    rig.get::<RecurringTask>("tick", mirrored).await;

    // One by hand, of a job that is discarded; before that, what is cleared leaves what was known.
    sql.run("delete from solid_queue_jobs").await.unwrap();
    let by_hand = queue.store.run_task_now("tick").await.unwrap();
    let shown = |s: &CronSchedule| {
        s.status.as_ref().is_some_and(|status| status.last_job_id == Some(by_hand.job_id.to_string()))
    };
    rig.get("tick", shown).await;
    sql.run("delete from solid_queue_jobs").await.unwrap();
    rig.get::<CronSchedule>("tick", |s| last(s, RunOutcome::Gone)).await;
}

async fn a_run_that_nobody_came_to_is_told(server: Server) {
    let rig = Rig::new("missed").await;
    let queue = Queue::new(&rig, "queue", server).await;
    rig.create::<RecurringTask>("daily", daily("queue", "k")).await;
    scheduled(&rig, "daily").await;
    // As after two days without a scheduler.
    let ago = if server == Server::Postgres { "interval '2 days'" } else { "interval 2 day" };
    let mut sql = queue.sql().await;
    sql.run(&format!("update gritstone_schedule set run_after = current_timestamp - {ago}")).await.unwrap();
    queue.session().await.suspend_task("k").await.unwrap();
    rig.get::<RecurringTask>("daily", |t| says(t, "Ready", ConditionStatus::True, "SuspendedByHand")).await;
    sql.run("update gritstone_schedule set suspended_by_hand = false").await.unwrap();
    sql.run("update gritstone_settings set value = '99' where name = 'schedule_revision'").await.unwrap();
    rig.get::<RecurringTask>("daily", |t| says(t, "OnTime", ConditionStatus::False, "RunMissed")).await;

    queue.session().await.suspend_task("k").await.unwrap();
    queue.session().await.resume_task("k").await.unwrap();
    rig.get::<RecurringTask>("daily", |t| says(t, "OnTime", ConditionStatus::True, "OnTime")).await;
}
