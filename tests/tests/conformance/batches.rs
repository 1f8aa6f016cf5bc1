//! Batches: members, counts, callbacks.

use crate::support::{Db, claim_any, conformance, done, fail, finish, job, limit, retry, start};
use gritstone_store::{
    BatchCallbacks, BatchRef, BatchState, EnqueueError, Error, NewBatch, NewJob, OnConflict, Session,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    success_calls_back_and_then_finish,
    a_failure_calls_back_and_then_finish,
    an_empty_batch_is_finished_at_once,
    a_finished_batch_takes_no_more_jobs,
    a_member_may_add_members,
    an_automatic_retry_keeps_its_place,
    a_retry_by_hand_does_not_rejoin,
    a_discarded_member_counts_as_completed,
    a_member_that_its_limit_dropped_counts_as_completed,
    last_members_that_end_together_call_back_once,
    what_ended_behind_our_back_is_swept,
    a_batch_whose_enqueuer_died_is_started,
    a_callback_that_could_not_be_enqueued_is_refused,
);

fn callbacks() -> BatchCallbacks {
    let callback = |class: &str| Some(NewJob::new(class, vec![json!(1)]).on("callbacks").priority(3));
    BatchCallbacks { on_finish: callback("Finish"), on_success: callback("Success"), on_failure: callback("Failure") }
}

/// A started batch of so many jobs.
async fn batch(session: &mut Session<'_>, members: usize) -> BatchRef {
    let new =
        NewBatch { description: Some("import".into()), metadata: Some(json!({"by": "joe"})), callbacks: callbacks() };
    let batch = session.create_batch(&new).await.unwrap();
    session.enqueue(&vec![member(&batch); members]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    batch
}

fn member(batch: &BatchRef) -> NewJob {
    NewJob { batch: Some(batch.clone()), ..job() }
}

async fn state(session: &mut Session<'_>, batch: &BatchRef) -> BatchState {
    let batches = session.batches(100).await.unwrap();
    batches.into_iter().find(|state| state.id == batch.id).unwrap()
}

/// The classes of callbacks that were enqueued, in order.
async fn called_back(db: &Db) -> Vec<String> {
    let jobs = db.jobs().await;
    jobs.into_iter().filter(|job| job.queue == "callbacks").map(|job| job.class).collect()
}

async fn success_calls_back_and_then_finish(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 2).await;
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    let envelope: Value = serde_json::from_str(claimed[0].envelope.as_deref().unwrap()).unwrap();
    assert_eq!(envelope["batch_id"], json!(batch.active_job_batch_id));
    finish(&mut session, &[done(&claimed[0])]).await;
    let half = state(&mut session, &batch).await;
    assert_eq!((half.total_jobs, half.completed_jobs, half.pending_jobs, half.finished_at), (2, 1, 1, None));
    assert_eq!((half.description.as_deref(), &half.metadata), (Some("import"), &Some(json!({"by": "joe"}))));
    assert!(called_back(&db).await.is_empty());

    finish(&mut session, &[done(&claimed[1])]).await;
    let whole = state(&mut session, &batch).await;
    assert_eq!((whole.completed_jobs, whole.failed_jobs, whole.pending_jobs), (2, 0, 0));
    assert!(whole.finished_at.is_some() && whole.failed_at.is_none());
    assert_eq!(called_back(&db).await, ["Success", "Finish"]);
    let callback = db.jobs().await.pop().unwrap();
    assert_eq!((callback.state.name(), callback.priority), ("ready", 3));
    let envelope: Value = serde_json::from_str(&callback.envelope.unwrap()).unwrap();
    assert_eq!(envelope["callback_batch_id"], json!(batch.active_job_batch_id));
    assert_eq!((&envelope["arguments"], &envelope["job_id"]), (&json!([1]), &json!(callback.id)));
}

async fn a_failure_calls_back_and_then_finish(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 3).await;
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &[fail(&claimed[0], "x"), done(&claimed[1]), done(&claimed[2])]).await;
    let state = state(&mut session, &batch).await;
    assert_eq!((state.completed_jobs, state.failed_jobs), (2, 1));
    assert!(state.finished_at.is_some() && state.failed_at.is_some());
    assert_eq!(called_back(&db).await, ["Failure", "Finish"]);
}

async fn an_empty_batch_is_finished_at_once(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 0).await;
    assert!(state(&mut session, &batch).await.finished_at.is_some());
    assert_eq!(called_back(&db).await, ["Success", "Finish"]);
    session.start_batch(batch.id).await.unwrap();
    session.sweep_batches().await.unwrap();
    assert_eq!(called_back(&db).await.len(), 2);
}

async fn a_finished_batch_takes_no_more_jobs(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 0).await;
    let refused = session.enqueue(&[job(), member(&batch)]).await;
    assert!(matches!(refused, Err(EnqueueError::Store(Error::Refused(_)))), "{refused:?}");
    assert_eq!(called_back(&db).await.len() as i64, db.count("jobs").await);
}

async fn a_member_may_add_members(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 1).await;
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    session.enqueue(&[member(&batch)]).await.unwrap();
    finish(&mut session, &[done(&claimed[0])]).await;
    let half = state(&mut session, &batch).await;
    assert_eq!((half.total_jobs, half.pending_jobs, half.finished_at), (2, 1, None));
}

async fn an_automatic_retry_keeps_its_place(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 1).await;
    let process = start(&db).await;
    for round in 0..3 {
        let claimed = claim_any(&mut session, process, 5).await;
        let ending = if round < 2 { retry(&claimed[0], Duration::ZERO) } else { done(&claimed[0]) };
        assert_eq!(state(&mut session, &batch).await.pending_jobs, 1);
        finish(&mut session, &[ending]).await;
        session.dispatch_due(5, true).await.unwrap();
    }
    let state = state(&mut session, &batch).await;
    assert_eq!((state.total_jobs, state.completed_jobs, state.finished_at.is_some()), (1, 1, true));
}

async fn a_retry_by_hand_does_not_rejoin(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 1).await;
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &[fail(&claimed[0], "x")]).await;
    session.retry_failed(&[claimed[0].job_id]).await.unwrap();
    let again: Vec<_> = claim_any(&mut session, process, 5).await;
    let again = again.into_iter().find(|job| job.job_id == claimed[0].job_id).unwrap();
    finish(&mut session, &[done(&again)]).await;
    let state = state(&mut session, &batch).await;
    assert_eq!((state.total_jobs, state.completed_jobs, state.failed_jobs), (1, 0, 1));
    assert_eq!(called_back(&db).await, ["Failure", "Finish"]);
}

async fn a_discarded_member_counts_as_completed(db: Db) {
    let mut session = db.session().await;
    let batch = batch(&mut session, 1).await;
    let job_id = db.jobs().await[0].job_id;
    let discarded = session.discard(&[job_id]).await.unwrap();
    assert_eq!(discarded.batch_ids, [batch.id]);
    session.complete_batches(&discarded.batch_ids).await.unwrap();
    let state = state(&mut session, &batch).await;
    assert_eq!((state.completed_jobs, state.finished_at.is_some()), (1, true));
    assert_eq!(called_back(&db).await, ["Success", "Finish"]);
}

async fn a_member_that_its_limit_dropped_counts_as_completed(db: Db) {
    let mut session = db.session().await;
    let batch = session.create_batch(&NewBatch { callbacks: callbacks(), ..NewBatch::default() }).await.unwrap();
    let dropped = member(&batch).limited(limit("k", 1, OnConflict::Discard));
    session.enqueue(&[dropped.clone(), dropped]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    let half = state(&mut session, &batch).await;
    assert_eq!((half.total_jobs, half.completed_jobs, half.pending_jobs), (2, 1, 1));
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &[done(&claimed[0])]).await;
    assert!(state(&mut session, &batch).await.finished_at.is_some());
}

async fn last_members_that_end_together_call_back_once(db: Db) {
    for round in 1..=5 {
        let mut session = db.session().await;
        batch(&mut session, 8).await;
        let mut workers = JoinSet::new();
        for _ in 0..8 {
            let (store, process) = (db.store.clone(), start(&db).await);
            workers.spawn(async move {
                let mut session = store.connect().await.unwrap();
                let mut left = 1;
                while left > 0 {
                    let claimed = crate::support::claim_from(&mut session, process, &["default"], 1).await;
                    finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
                    left = session.queue_size("default").await.unwrap();
                }
            });
        }
        workers.join_all().await;
        assert_eq!(called_back(&db).await.len(), round * 2);
    }
}

async fn what_ended_behind_our_back_is_swept(db: Db) {
    let mut session = db.session().await;
    let (finished, failed, deleted) =
        (batch(&mut session, 1).await, batch(&mut session, 1).await, batch(&mut session, 1).await);
    let jobs: Vec<i64> = db.jobs().await.iter().map(|job| job.job_id).collect();
    let now = db.seconds_from_now(0);
    db.run("delete from solid_queue_ready_executions").await;
    db.run(&format!("update solid_queue_jobs set finished_at = {now} where id = {}", jobs[0])).await;
    db.run(&format!(
        "insert into solid_queue_failed_executions (job_id, error, created_at) values ({}, '{{}}', {now})",
        jobs[1]
    ))
    .await;
    db.run(&format!("delete from solid_queue_jobs where id = {}", jobs[2])).await;
    assert_eq!(session.sweep_batches().await.unwrap().len(), 6);
    let ends = |state: BatchState| (state.completed_jobs, state.failed_jobs, state.finished_at.is_some());
    assert_eq!(ends(state(&mut session, &finished).await), (1, 0, true));
    assert_eq!(ends(state(&mut session, &failed).await), (0, 1, true));
    assert_eq!(ends(state(&mut session, &deleted).await), (0, 0, true));
    assert!(session.sweep_batches().await.unwrap().is_empty());
}

async fn a_batch_whose_enqueuer_died_is_started(db: Db) {
    let mut session = db.session().await;
    let batch = session.create_batch(&NewBatch { callbacks: callbacks(), ..NewBatch::default() }).await.unwrap();
    session.sweep_batches().await.unwrap();
    assert!(state(&mut session, &batch).await.enqueued_at.is_none());
    db.run(&format!("update solid_queue_batches set created_at = {}", db.seconds_from_now(-301))).await;
    assert_eq!(session.sweep_batches().await.unwrap(), ["callbacks", "callbacks"]);
    assert!(state(&mut session, &batch).await.finished_at.is_some());
}

async fn a_callback_that_could_not_be_enqueued_is_refused(db: Db) {
    let callbacks = BatchCallbacks { on_finish: Some(job().on("x".repeat(300))), ..BatchCallbacks::default() };
    let refused = db.session().await.create_batch(&NewBatch { callbacks, ..NewBatch::default() }).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(db.count("batches").await, 0);
}
