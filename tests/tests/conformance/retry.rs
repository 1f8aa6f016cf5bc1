//! Failed jobs, once more; and jobs that wait, at once.

use crate::support::{Db, claim_any, conformance, fail, finish, job, limit, retry, start};
use gritstone_store::{JobState, NewJob, OnConflict, Retried};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    a_retried_job_starts_anew,
    many_are_retried_as_one_is,
    limits_hold_for_retried_jobs,
    what_has_not_failed_is_skipped,
    two_who_retry_the_same_make_one_run,
    a_job_written_by_hand_can_be_retried,
    scheduled_jobs_run_now_under_their_limit,
    blocked_jobs_run_now_past_their_limit,
);

/// Enqueues, claims and fails jobs; their ids.
async fn failed(db: &Db, jobs: &[NewJob]) -> Vec<i64> {
    let enqueued = db.store.enqueue(jobs).await.unwrap();
    let process = start(db).await;
    let mut session = db.session().await;
    loop {
        let claimed = claim_any(&mut session, process, 100).await;
        if claimed.is_empty() {
            break enqueued.iter().map(|e| e.job_id).collect();
        }
        finish(&mut session, &claimed.iter().map(|job| fail(job, "x")).collect::<Vec<_>>()).await;
    }
}

async fn envelope(db: &Db, job_id: i64) -> Value {
    serde_json::from_str(&db.job(job_id).await.unwrap().envelope.unwrap()).unwrap()
}

async fn a_retried_job_starts_anew(db: Db) {
    db.store.enqueue(&[NewJob::new("Job", vec![json!(7)])]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    for round in 0..3 {
        let claimed = claim_any(&mut session, process, 1).await;
        let ending = if round < 2 { retry(&claimed[0], Duration::ZERO) } else { fail(&claimed[0], "x") };
        finish(&mut session, &[ending]).await;
        session.dispatch_due(5, true).await.unwrap();
    }
    let job_id = db.jobs().await[0].job_id;
    assert_eq!(envelope(&db, job_id).await["executions"], json!(2));

    let retried = session.retry_failed(&[job_id]).await.unwrap();
    assert_eq!(retried, Retried { ready: vec![job_id], ..Retried::default() });
    let fresh = envelope(&db, job_id).await;
    assert_eq!((&fresh["executions"], &fresh["exception_executions"]), (&json!(0), &json!({})));
    assert_eq!(fresh["arguments"], json!([7]));
    assert_eq!((db.state(job_id).await, db.count("failed_executions").await), (Some(JobState::Ready), 0));
}

async fn many_are_retried_as_one_is(db: Db) {
    let ids = failed(&db, &vec![job(); 20]).await;
    db.run("update solid_queue_jobs set arguments = replace(arguments, '\"executions\":0', '\"executions\":5')").await;
    let retried = db.session().await.retry_failed(&ids).await.unwrap();
    assert_eq!(retried.ready, ids);
    for id in ids {
        assert_eq!(envelope(&db, id).await["executions"], json!(0));
    }
    assert_eq!(db.states().await, [("ready", 20)].into());
}

async fn limits_hold_for_retried_jobs(db: Db) {
    let blocked = || job().limited(limit("b", 1, OnConflict::Block));
    let dropped = || job().limited(limit("d", 1, OnConflict::Discard));
    let ids = [failed(&db, &[blocked(), blocked(), dropped()]).await, failed(&db, &[dropped()]).await].concat();
    let retried = db.session().await.retry_failed(&ids).await.unwrap();
    assert_eq!((retried.ready, retried.blocked), (vec![ids[0], ids[2]], vec![ids[1]]));
    assert_eq!(retried.discarded, [ids[3]]);
    assert_eq!(db.states().await, [("blocked", 1), ("ready", 2)].into());
}

async fn what_has_not_failed_is_skipped(db: Db) {
    let enqueued = db.store.enqueue(&[job(), job().after(Duration::from_secs(60))]).await.unwrap();
    let ids = [enqueued[0].job_id, enqueued[1].job_id, 12_345];
    let mut session = db.session().await;
    assert_eq!(session.retry_failed(&ids).await.unwrap().skipped, ids);
    assert_eq!(session.run_now(&[ids[0], ids[2]]).await.unwrap().skipped, [ids[0], ids[2]]);
    assert_eq!(db.states().await, [("ready", 1), ("scheduled", 1)].into());
}

async fn two_who_retry_the_same_make_one_run(db: Db) {
    let ids = failed(&db, &vec![job(); 30]).await;
    let mut tasks = JoinSet::new();
    for n in 0..4 {
        let (store, mut ids) = (db.store.clone(), ids.clone());
        ids.rotate_left(n * 7);
        tasks.spawn(async move { store.connect().await.unwrap().retry_failed(&ids).await.unwrap().ready.len() });
    }
    assert_eq!(tasks.join_all().await.iter().sum::<usize>(), 30);
    assert_eq!(db.states().await, [("ready", 30)].into());
}

async fn a_job_written_by_hand_can_be_retried(db: Db) {
    let ids = failed(&db, &[job(), job()]).await;
    db.run(&format!("update solid_queue_jobs set arguments = 'no JSON' where id = {}", ids[0])).await;
    db.run(&format!("update solid_queue_jobs set arguments = null where id = {}", ids[1])).await;
    assert_eq!(db.session().await.retry_failed(&ids).await.unwrap().ready, ids);
    assert_eq!(db.job(ids[0]).await.unwrap().envelope.as_deref(), Some("no JSON"));
}

async fn scheduled_jobs_run_now_under_their_limit(db: Db) {
    let later = Duration::from_secs(600);
    let limited = || job().limited(limit("k", 1, OnConflict::Block)).after(later);
    let enqueued = db.store.enqueue(&[job().after(later), limited(), limited()]).await.unwrap();
    let ids: Vec<i64> = enqueued.iter().map(|e| e.job_id).collect();
    let now = db.session().await.run_now(&ids).await.unwrap();
    assert_eq!((now.ready, now.blocked), (vec![ids[0], ids[1]], vec![ids[2]]));
    let job = db.job(ids[0]).await.unwrap();
    assert!(job.scheduled_at.unwrap().duration_since(job.created_at).as_secs() < 300);
}

async fn blocked_jobs_run_now_past_their_limit(db: Db) {
    let enqueued = db.store.enqueue(&vec![job().limited(limit("k", 1, OnConflict::Block)); 3]).await.unwrap();
    let now = db.session().await.run_now(&[enqueued[2].job_id]).await.unwrap();
    assert_eq!(now.ready, [enqueued[2].job_id]);
    assert_eq!(db.states().await, [("blocked", 1), ("ready", 2)].into());
}
