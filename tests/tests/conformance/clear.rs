//! Finished jobs that have been kept long enough.

use crate::support::{Db, claim_any, conformance, done, fail, finish, job, start};
use gritstone_store::{BatchCallbacks, ClearOptions, NewBatch, NewJob};
use std::time::Duration;

conformance!(
    old_ones_go_in_batches,
    the_newest_are_kept_by_count,
    only_one_class_goes_when_one_is_named,
    jobs_of_failed_batches_stay,
    ids_whose_jobs_are_gone_are_forgotten,
);

/// Finishes jobs, `seconds[n]` ago.
async fn finished(db: &Db, jobs: &[NewJob], seconds: &[i64]) -> Vec<i64> {
    let enqueued = db.store.enqueue(jobs).await.unwrap();
    let process = start(db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 100).await;
    finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    for (enqueued, seconds) in enqueued.iter().zip(seconds) {
        let (at, id) = (db.seconds_from_now(-seconds), enqueued.job_id);
        db.run(&format!("update solid_queue_jobs set finished_at = {at} where id = {id}")).await;
    }
    enqueued.iter().map(|e| e.job_id).collect()
}

async fn ids(db: &Db) -> Vec<i64> {
    db.jobs().await.iter().map(|job| job.job_id).collect()
}

async fn old_ones_go_in_batches(db: Db) {
    let jobs = finished(&db, &vec![job(); 6], &[100, 10, 200, 300, 400, 500]).await;
    db.store.enqueue(&[job()]).await.unwrap();
    let options =
        ClearOptions { finished_before: Some(Duration::from_secs(60)), batch_size: 2, ..ClearOptions::default() };
    let mut session = db.session().await;
    for cleared in [2, 2, 1, 0] {
        assert_eq!(session.clear_finished(&options).await.unwrap(), cleared);
    }
    assert_eq!(db.states().await, [("finished", 1), ("ready", 1)].into());
    assert_eq!(ids(&db).await[0], jobs[1]);
}

async fn the_newest_are_kept_by_count(db: Db) {
    let jobs = finished(&db, &vec![job(); 5], &[10, 50, 20, 40, 30]).await;
    let options = ClearOptions { keep_at_most: Some(2), batch_size: 2, ..ClearOptions::default() };
    let mut session = db.session().await;
    for cleared in [2, 1, 0] {
        assert_eq!(session.clear_finished(&options).await.unwrap(), cleared);
    }
    assert_eq!(ids(&db).await, [jobs[0], jobs[2]]);
}

async fn only_one_class_goes_when_one_is_named(db: Db) {
    let jobs = [NewJob::new("A", vec![]), NewJob::new("B", vec![])];
    let jobs = finished(&db, &jobs, &[100, 100]).await;
    let options = ClearOptions { class: Some("A".into()), batch_size: 10, ..ClearOptions::default() };
    assert_eq!(db.session().await.clear_finished(&options).await.unwrap(), 1);
    assert_eq!(ids(&db).await, [jobs[1]]);
}

async fn jobs_of_failed_batches_stay(db: Db) {
    let mut session = db.session().await;
    let new = NewBatch { callbacks: BatchCallbacks::default(), ..NewBatch::default() };
    let (good, bad) = (session.create_batch(&new).await.unwrap(), session.create_batch(&new).await.unwrap());
    let member = |batch: &gritstone_store::BatchRef| NewJob { batch: Some(batch.clone()), ..job() };
    let jobs = [member(&good), member(&bad), member(&bad)];
    let enqueued = session.enqueue(&jobs).await.unwrap();
    session.start_batch(good.id).await.unwrap();
    session.start_batch(bad.id).await.unwrap();
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &[done(&claimed[0]), done(&claimed[1]), fail(&claimed[2], "x")]).await;

    let options = ClearOptions { batch_size: 10, ..ClearOptions::default() };
    assert_eq!(session.clear_finished(&options).await.unwrap(), 1);
    assert_eq!(ids(&db).await, [enqueued[1].job_id, enqueued[2].job_id]);
}

async fn ids_whose_jobs_are_gone_are_forgotten(db: Db) {
    let enqueued = db.store.enqueue(&[job().id("a"), job().id("b")]).await.unwrap();
    let mut session = db.session().await;
    session.discard(&[enqueued[0].job_id]).await.unwrap();
    assert_eq!(session.sweep_unique_keys().await.unwrap(), 0, "not within the minute");
    db.run(&format!("update gritstone_unique_keys set created_at = {}", db.seconds_from_now(-90))).await;
    assert_eq!(session.sweep_unique_keys().await.unwrap(), 1);
    assert_eq!(db.text("select name from gritstone_unique_keys").await, "id:b");
}
