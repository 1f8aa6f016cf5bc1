//! A crash at every point of every transition: what is left is as before it or as after it, once a sweep went over it.

use crate::support::{
    Db, claim_any, claim_from, conformance, done, fail, finish, job, limit, polled, retry, run_to_the_end, start,
    sweep_and_check,
};
use gritstone_store::{
    BatchCallbacks, BatchRef, ClaimedJob, Death, DueTask, NewBatch, NewJob, NewTask, OnConflict, Session, TaskSchedule,
};
use std::time::Duration;

conformance!(
    while_enqueuing,
    while_claiming,
    while_finishing,
    while_signalling,
    while_completing_a_batch,
    while_retrying,
    while_discarding,
    while_running_now,
    while_dispatching,
    while_burying,
    while_deregistering,
    while_sweeping,
    while_running_a_recurring_task,
);

/// A little of everything, one member of each state.
struct World {
    process: i64,
    claimed: Vec<ClaimedJob>,
    batch: BatchRef,
    failed: i64,
    waiting: Vec<i64>,
}

fn limited() -> NewJob {
    job().limited(limit("k", 2, OnConflict::Block))
}

async fn world(db: &Db) -> World {
    let mut session = db.session().await;
    let callbacks = BatchCallbacks { on_finish: Some(job().on("callbacks")), ..BatchCallbacks::default() };
    let batch = session.create_batch(&NewBatch { callbacks, ..NewBatch::default() }).await.unwrap();
    let member = |job: NewJob| NewJob { batch: Some(batch.clone()), ..job };
    let later = Duration::from_secs(600);
    let process = start(db).await;
    let mut claimed = Vec::new();
    session.enqueue(&[job().on("first"), member(job()).on("first"), member(limited()).on("first")]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    claimed.extend(claim_from(&mut session, process, &["first"], 5).await);
    session.enqueue(&[limited().on("failing")]).await.unwrap();
    let failing = claim_from(&mut session, process, &["failing"], 5).await;
    let failed = failing.first().map_or(0, |job| job.job_id);
    finish(&mut session, &failing.iter().map(|job| fail(job, "x")).collect::<Vec<_>>()).await;
    let jobs = [limited(), limited(), limited().after(later), job().after(later), job()];
    let waiting = session.enqueue(&jobs).await.unwrap();
    db.let_time_pass().await;
    World { process, claimed, batch, failed, waiting: waiting.iter().map(|e| e.job_id).collect() }
}

/// Runs `what` on a session that is lost after one poll, two, three, until it gets to its end.
async fn crash_everywhere(db: &Db, what: impl AsyncFn(&mut Session<'static>, &World)) {
    let mut raw = db.raw().await;
    for polls in 1.. {
        let world = world(db).await;
        // In a process of its own: it takes its turn to write with it.
        let store = db.other_store();
        let mut session = store.connect().await.unwrap();
        let ended = polled(what(&mut session, &world), polls).await;
        drop(session);
        store.close().await;
        db.wait_to_be_alone(&mut raw).await;
        sweep_and_check(db).await;
        db.session().await.bury(world.process, &Death::Exited { how: "it crashed".into() }).await.unwrap();
        // What is ready now would change what the next round claims.
        let process = start(db).await;
        let mut session = db.session().await;
        loop {
            let left = claim_any(&mut session, process, 100).await;
            if left.is_empty() {
                break;
            }
            finish(&mut session, &left.iter().map(done).collect::<Vec<_>>()).await;
        }
        session.deregister(process).await.unwrap();
        if ended.is_some() {
            break;
        }
    }
    run_to_the_end(db).await;
}

async fn while_enqueuing(db: Db) {
    crash_everywhere(&db, async |session, world| {
        let member = NewJob { batch: Some(world.batch.clone()), ..limited() };
        let jobs = [job(), member, limited(), job().after(Duration::from_secs(600)), job().attempts(2)];
        session.enqueue(&jobs).await.unwrap();
    })
    .await;
}

async fn while_claiming(db: Db) {
    crash_everywhere(&db, async |session, world| drop(claim_any(session, world.process, 3).await)).await;
}

async fn while_finishing(db: Db) {
    crash_everywhere(&db, async |session, world| {
        let [first, second, third] = world.claimed.as_slice() else { panic!("{} claimed", world.claimed.len()) };
        let finishes = [fail(first, "x"), retry(second, Duration::ZERO), done(third)];
        session.finish(&finishes, true).await.unwrap();
        session.signal().await.unwrap();
    })
    .await;
}

async fn while_signalling(db: Db) {
    crash_everywhere(&db, async |session, world| {
        finish(session, &world.claimed.iter().map(done).collect::<Vec<_>>()).await;
    })
    .await;
}

async fn while_completing_a_batch(db: Db) {
    crash_everywhere(&db, async |session, world| {
        session.finish(&world.claimed.iter().map(done).collect::<Vec<_>>(), false).await.unwrap();
        session.complete_batches(&[world.batch.id]).await.unwrap();
    })
    .await;
}

async fn while_retrying(db: Db) {
    crash_everywhere(&db, async |session, world| drop(session.retry_failed(&[world.failed]).await.unwrap())).await;
}

async fn while_discarding(db: Db) {
    crash_everywhere(&db, async |session, world| drop(session.discard(&world.waiting).await.unwrap())).await;
}

async fn while_running_now(db: Db) {
    crash_everywhere(&db, async |session, world| drop(session.run_now(&world.waiting[2..]).await.unwrap())).await;
}

async fn while_dispatching(db: Db) {
    crash_everywhere(&db, async |session, _| drop(session.dispatch_due(10, true).await.unwrap())).await;
}

async fn while_burying(db: Db) {
    crash_everywhere(&db, async |session, world| {
        let death = Death::Exited { how: "signal 9".into() };
        session.write_unstarted(world.process, &[world.claimed[0].claim_id]).await.unwrap();
        session.bury(world.process, &death).await.unwrap();
    })
    .await;
}

async fn while_deregistering(db: Db) {
    crash_everywhere(&db, async |session, world| {
        session.deregister(world.process).await.unwrap();
    })
    .await;
}

async fn while_sweeping(db: Db) {
    crash_everywhere(&db, async |session, world| {
        session.finish(&world.claimed.iter().map(done).collect::<Vec<_>>(), true).await.unwrap();
        session.sweep_limits().await.unwrap();
        session.sweep_batches().await.unwrap();
    })
    .await;
}

/// Every round puts the task back by its one run, as a scheduler does that doesn't know how the last attempt ended.
async fn while_running_a_recurring_task(db: Db) {
    let cron = TaskSchedule::Cron("* * * * * * Etc/UTC".into());
    db.session().await.put_task("test", &NewTask::new("k", cron.clone(), "Recurring")).await.unwrap();
    db.run(&format!("update gritstone_schedule set run_after = {}", db.seconds_from_now(-3600))).await;
    let since = db.session().await.task("k").await.unwrap().unwrap().run_after.unwrap();
    let run_at = jiff::Timestamp::from_second(since.as_second() + 1).unwrap();
    let due = [DueTask { key: "k".into(), run_at, schedule: cron }];
    crash_everywhere(&db, async |session, _| drop(session.run_tasks(&due).await.unwrap())).await;
    let jobs = "select count(*) from solid_queue_jobs where class_name = 'Recurring'";
    assert_eq!((db.int(jobs).await, db.count("recurring_executions").await), (1, 1));
    db.session().await.run_tasks(&due).await.unwrap();
    assert_eq!(db.int(jobs).await, 1);
}
