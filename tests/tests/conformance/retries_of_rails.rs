//! `retry_on` on Rails' workers: the job enqueues itself anew, so one job has several rows with the same id.

use crate::support::{Db, claim_any, conformance, done, finish, job, start};
use gritstone_store::{BatchCallbacks, JobState, NewBatch, NewJob};
use serde_json::json;

conformance!(
    the_newest_row_stands_for_the_job,
    a_limited_job_waits_for_its_slot_again,
    a_member_of_a_batch_is_not_counted_again,
);

const ID: &str = "5e2c3a3f-3d0a-4a7e-9c35-6f3a7b1f0001";

/// What Rails' worker does with the job's newest row, when the job raises: a new row, due now, and the old one is finished.
async fn rails_retries(db: &Db, executions: i64) -> i64 {
    let (now, old) = (db.seconds_from_now(0), db.int("select max(id) from solid_queue_jobs").await);
    let envelope = json!({"job_class": "Job", "job_id": ID, "arguments": [], "executions": executions});
    let batch = if db.int("select count(*) from solid_queue_batches").await > 0 { "batch_id" } else { "null" };
    db.run(&format!(
        "insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, scheduled_at, \
           concurrency_key, batch_id, created_at, updated_at) \
         select queue_name, class_name, '{envelope}', priority, active_job_id, {now}, concurrency_key, {batch}, {now}, {now} \
         from solid_queue_jobs where id = {old}"
    ))
    .await;
    let new = db.int("select max(id) from solid_queue_jobs").await;
    db.run(&format!(
        "insert into solid_queue_scheduled_executions (job_id, queue_name, priority, scheduled_at, created_at) \
         select id, queue_name, priority, scheduled_at, {now} from solid_queue_jobs where id = {new}"
    ))
    .await;
    db.run(&format!(
        "insert into solid_queue_batch_executions (job_id, batch_id, created_at) \
         select id, batch_id, {now} from solid_queue_jobs where id = {new} and batch_id is not null"
    ))
    .await;
    db.run(&format!("delete from solid_queue_batch_executions where job_id = {old}")).await;
    db.run(&format!("delete from solid_queue_ready_executions where job_id = {old}")).await;
    db.run(&format!("update solid_queue_jobs set finished_at = {now}, updated_at = {now} where id = {old}")).await;
    new
}

async fn the_newest_row_stands_for_the_job(db: Db) {
    db.store.enqueue(&[job().id(ID)]).await.unwrap();
    let first = db.int("select max(id) from solid_queue_jobs").await;
    let second = rails_retries(&db, 1).await;
    let mut session = db.session().await;
    let found = session.job(ID).await.unwrap().unwrap();
    assert_eq!((found.job_id, found.state), (second, JobState::Scheduled));
    db.let_time_pass().await;
    session.dispatch_due(5, true).await.unwrap();
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(claimed.iter().map(|job| job.job_id).collect::<Vec<_>>(), [second]);
    assert!(claimed[0].envelope.as_ref().unwrap().contains(r#""executions":1"#));
    finish(&mut session, &[done(&claimed[0])]).await;
    assert_eq!(db.state(first).await, Some(JobState::Finished));
    assert_eq!(db.state(second).await, Some(JobState::Finished));
    assert_eq!(
        session.job(&first.to_string()).await.unwrap().unwrap().job_id,
        first,
        "each row has a number of its own"
    );
}

async fn a_limited_job_waits_for_its_slot_again(db: Db) {
    let (now, later) = (db.seconds_from_now(0), db.seconds_from_now(600));
    let key = if db.is_mysql() { "`key`" } else { "\"key\"" };
    db.run(&format!(
        "insert into solid_queue_semaphores ({key}, value, expires_at, created_at, updated_at) \
         values ('Rails/1', 1, {later}, {now}, {now})"
    ))
    .await;
    db.store.enqueue(&[job().id(ID)]).await.unwrap();
    db.run("update solid_queue_jobs set concurrency_key = 'Rails/1'").await;
    let second = rails_retries(&db, 1).await;
    // Between its runs the slot is free, and another takes it.
    let other = job().limited(gritstone_store::UseLimit { key: "Rails/1".into(), declare: None });
    let mut session = db.session().await;
    session.enqueue(&[other]).await.unwrap();
    db.let_time_pass().await;
    session.dispatch_due(5, true).await.unwrap();
    assert_eq!(db.state(second).await, Some(JobState::Blocked));
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(claimed.len(), 1);
    finish(&mut session, &[done(&claimed[0])]).await;
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(claimed.iter().map(|job| job.job_id).collect::<Vec<_>>(), [second]);
    finish(&mut session, &[done(&claimed[0])]).await;
    assert_eq!(db.int("select value from solid_queue_semaphores").await, 1);
}

async fn a_member_of_a_batch_is_not_counted_again(db: Db) {
    let mut session = db.session().await;
    let on_success = Some(NewJob::new("Success", vec![]).on("callbacks"));
    let callbacks = BatchCallbacks { on_success, ..BatchCallbacks::default() };
    let batch = session.create_batch(&NewBatch { callbacks, ..NewBatch::default() }).await.unwrap();
    session.enqueue(&[NewJob { batch: Some(batch.clone()), ..job().id(ID) }]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    for executions in 1..3 {
        rails_retries(&db, executions).await;
        session.sweep_batches().await.unwrap();
        let state = session.batches(1).await.unwrap().remove(0);
        assert_eq!((state.total_jobs, state.pending_jobs, state.finished_at), (1, 1, None), "after {executions} runs");
        db.let_time_pass().await;
        session.dispatch_due(5, true).await.unwrap();
    }
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    let state = session.batches(1).await.unwrap().remove(0);
    assert_eq!((state.total_jobs, state.completed_jobs, state.finished_at.is_some()), (1, 1, true));
    let callbacks = db.jobs().await.into_iter().filter(|job| job.queue == "callbacks").count();
    assert_eq!(callbacks, 1);
}
