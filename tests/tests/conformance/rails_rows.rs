//! Rows that Rails wrote: understood, run, and left readable for Rails.

use crate::support::{Db, claim_any, conformance, done, finish, load_rails_rows, start};
use gritstone_store::{JobState, Selector};
use serde_json::Value;

conformance!(
    with Db::rails;
    every_job_is_in_the_state_that_rails_left_it_in,
    jobs_of_rails_run_to_their_end,
    a_job_that_rails_failed_is_retried,
    processes_of_rails_are_shown,
);

async fn every_job_is_in_the_state_that_rails_left_it_in(db: Db) {
    load_rails_rows(&db).await;
    let jobs = db.jobs().await;
    assert_eq!(jobs.len(), 19);
    let count = |state| jobs.iter().filter(|job| job.state == state).count() as i64;
    for (state, table) in [
        (JobState::Ready, "ready_executions"),
        (JobState::Scheduled, "scheduled_executions"),
        (JobState::Blocked, "blocked_executions"),
        (JobState::Failed, "failed_executions"),
    ] {
        assert_eq!(count(state), db.count(table).await, "{table}");
    }
    let failed = jobs.iter().find(|job| job.state == JobState::Failed).unwrap();
    let error = failed.error.as_ref().unwrap();
    assert_eq!(
        (error.exception_class.as_str(), error.message.as_str()),
        ("ArgumentError", r#"boom ["it", {:code=>7}]"#)
    );
    assert!(error.backtrace.as_ref().unwrap()[0].starts_with("app/jobs/fail_job.rb:25"));
    let scheduled = jobs.iter().find(|job| job.job_id == 6).unwrap();
    assert_eq!(scheduled.scheduled_at.unwrap().to_string(), "2030-01-01T00:00:00Z");
}

async fn jobs_of_rails_run_to_their_end(db: Db) {
    load_rails_rows(&db).await;
    db.let_time_pass().await;
    let process = start(&db).await;
    let mut session = db.session().await;
    session.dispatch_due(100, true).await.unwrap();
    loop {
        let claimed = claim_any(&mut session, process, 100).await;
        if claimed.is_empty() {
            break;
        }
        finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    }
    let states = db.states().await;
    assert_eq!(
        (states.get("scheduled"), states.get("blocked"), states.get("failed")),
        (None, None, Some(&1)),
        "{states:?}"
    );
}

async fn a_job_that_rails_failed_is_retried(db: Db) {
    load_rails_rows(&db).await;
    let failed = db.jobs().await.into_iter().find(|job| job.state == JobState::Failed).unwrap();
    assert_eq!(db.session().await.retry_failed(&[failed.job_id]).await.unwrap().ready, [failed.job_id]);
    let before: Value = serde_json::from_str(&failed.envelope.unwrap()).unwrap();
    let after: Value = serde_json::from_str(&db.job(failed.job_id).await.unwrap().envelope.unwrap()).unwrap();
    for (key, value) in before.as_object().unwrap() {
        if !["executions", "exception_executions"].contains(&key.as_str()) {
            assert_eq!(&after[key], value, "{key}");
        }
    }
}

async fn processes_of_rails_are_shown(db: Db) {
    load_rails_rows(&db).await;
    let mut session = db.session().await;
    let view = session.processes().await.unwrap().remove(0);
    assert_eq!((view.kind.as_str(), view.incarnation, view.cordoned), ("Worker", None, false));
    assert_eq!(view.metadata.unwrap()["queues"], "a,b*");
    assert_eq!(session.paused_queues().await.unwrap(), ["paused_q"]);
    assert!(!session.resolve_queues(&[Selector::All]).await.unwrap().contains(&"paused_q".to_owned()));
}
