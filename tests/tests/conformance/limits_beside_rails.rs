//! Limits whose keys Rails uses too: semaphores as Solid Queue keeps them.

use crate::support::{
    Db, claim_any, conformance, done, finish, job, limit, new_process, polled, run_to_the_end, start, sweep_and_check,
};
use gritstone_store::{NewJob, OnConflict, Placed, UseLimit};

conformance!(
    a_semaphore_that_rails_made_is_used,
    a_full_semaphore_is_not_renewed_by_asking,
    a_semaphore_that_vanished_is_not_given_a_slot_back,
    an_expired_key_is_freed_as_solid_queue_frees_it,
    an_unexpired_full_key_is_left_alone,
    a_free_key_is_unblocked_at_once,
    running_a_blocked_job_now_borrows_from_rails_semaphore,
    jobs_of_rails_under_a_declared_key_hold_slots,
    a_job_that_rails_made_ready_over_its_limit_waits_once_it_is_claimed,
    a_job_that_rails_made_ready_within_its_limit_takes_a_slot_once_it_is_claimed,
    a_job_that_rails_made_ready_over_a_limit_that_drops_is_dropped_once_it_is_claimed,
    claims_that_are_gone_are_not_looked_at,
    a_look_at_claims_that_crashed_anywhere_can_be_made_again,
);

fn under(key: &str) -> NewJob {
    job().limited(UseLimit { key: key.into(), declare: None })
}

fn key_column(db: &Db) -> &'static str {
    if db.is_mysql() { "`key`" } else { "\"key\"" }
}

async fn semaphore(db: &Db, value: i64, expires_in: i64) {
    let (now, expires) = (db.seconds_from_now(0), db.seconds_from_now(expires_in));
    db.run(&format!(
        "insert into solid_queue_semaphores ({}, value, expires_at, created_at, updated_at) \
         values ('Rails/1', {value}, {expires}, {now}, {now})",
        key_column(db)
    ))
    .await;
}

async fn value(db: &Db) -> i64 {
    db.int("select value from solid_queue_semaphores").await
}

/// Jobs of Rails go into the tables without a word to us.
async fn rails_enqueues(db: &Db, id: i64, key: &str) {
    let now = db.seconds_from_now(0);
    db.run(&format!(
        "insert into solid_queue_jobs (id, queue_name, class_name, arguments, concurrency_key, created_at, updated_at) \
         values ({id}, 'default', 'Job', '{{}}', '{key}', {now}, {now})"
    ))
    .await;
    db.run(&format!(
        "insert into solid_queue_ready_executions (job_id, queue_name, created_at) values ({id}, 'default', {now})"
    ))
    .await;
    db.run(&format!("update solid_queue_semaphores set value = value - 1 where {} = '{key}'", key_column(db))).await;
}

async fn a_semaphore_that_rails_made_is_used(db: Db) {
    semaphore(&db, 2, 180).await;
    let enqueued = db.store.enqueue(&vec![under("Rails/1"); 3]).await.unwrap();
    assert_eq!(enqueued.iter().filter(|e| e.placed == Placed::Ready).count(), 2);
    assert_eq!(value(&db).await, 0);
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    assert_eq!(db.states().await, [("finished", 2), ("ready", 1)].into());
    assert_eq!(value(&db).await, 1);
}

async fn a_full_semaphore_is_not_renewed_by_asking(db: Db) {
    semaphore(&db, 0, 7).await;
    let before = db.text("select expires_at from solid_queue_semaphores").await;
    let enqueued = db.store.enqueue(&[under("Rails/1")]).await.unwrap();
    assert_eq!(enqueued[0].placed, Placed::Blocked);
    assert_eq!(db.text("select expires_at from solid_queue_semaphores").await, before);
}

async fn a_semaphore_that_vanished_is_not_given_a_slot_back(db: Db) {
    db.store.enqueue(&vec![under("Rails/1"); 3]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    db.run("delete from solid_queue_semaphores").await;
    finish(&mut session, &[done(&claimed[0])]).await;
    assert_eq!(db.states().await, [("blocked", 2), ("finished", 1)].into());
    let past = db.seconds_from_now(-1);
    db.run(&format!("update solid_queue_blocked_executions set expires_at = {past}")).await;
    assert_eq!(session.sweep_limits().await.unwrap().released, 1);
    assert_eq!(db.states().await, [("blocked", 1), ("finished", 1), ("ready", 1)].into());
    assert_eq!(value(&db).await, 0);
}

async fn an_expired_key_is_freed_as_solid_queue_frees_it(db: Db) {
    semaphore(&db, 0, -5).await;
    db.store.enqueue(&vec![under("Rails/1"); 2]).await.unwrap();
    let mut session = db.session().await;
    assert_eq!(session.sweep_limits().await.unwrap().released, 0, "the jobs have not waited long enough");
    let past = db.seconds_from_now(-1);
    db.run(&format!("update solid_queue_blocked_executions set expires_at = {past}")).await;
    assert_eq!(session.sweep_limits().await.unwrap().released, 1);
    assert_eq!(session.sweep_limits().await.unwrap().released, 0);
    assert_eq!(value(&db).await, 0);
}

async fn an_unexpired_full_key_is_left_alone(db: Db) {
    semaphore(&db, 0, 180).await;
    db.store.enqueue(&[under("Rails/1")]).await.unwrap();
    let past = db.seconds_from_now(-1);
    db.run(&format!("update solid_queue_blocked_executions set expires_at = {past}")).await;
    assert_eq!(db.session().await.sweep_limits().await.unwrap().released, 0);
}

async fn a_free_key_is_unblocked_at_once(db: Db) {
    semaphore(&db, 0, 180).await;
    db.store.enqueue(&vec![under("Rails/1"); 2]).await.unwrap();
    db.run("update solid_queue_semaphores set value = 1").await;
    assert_eq!(db.session().await.sweep_limits().await.unwrap().released, 1);
    assert_eq!((value(&db).await, db.count("blocked_executions").await), (0, 1));
}

async fn running_a_blocked_job_now_borrows_from_rails_semaphore(db: Db) {
    let enqueued = db.store.enqueue(&vec![under("Rails/1"); 3]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    session.run_now(&[enqueued[1].job_id]).await.unwrap();
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(claimed.len(), 2);
    finish(&mut session, &[done(&claimed[0])]).await;
    assert_eq!(db.count("blocked_executions").await, 1, "the other one still runs");
    finish(&mut session, &[done(&claimed[1])]).await;
    assert_eq!(db.count("blocked_executions").await, 0);
    assert_eq!(value(&db).await, 0);
}

async fn jobs_of_rails_under_a_declared_key_hold_slots(db: Db) {
    let ours = || job().limited(limit("Rails/1", 2, OnConflict::Block));
    db.store.enqueue(&[ours()]).await.unwrap();
    rails_enqueues(&db, 1_000, "Rails/1").await;
    assert_eq!(db.store.enqueue(&[ours()]).await.unwrap()[0].placed, Placed::Blocked);
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(claimed.len(), 2);
    finish(&mut session, &[done(claimed.iter().find(|job| job.job_id == 1_000).unwrap())]).await;
    assert_eq!(db.states().await, [("claimed", 1), ("finished", 1), ("ready", 1)].into());
    assert_eq!(value(&db).await, 0);
}

/// Rails' dispatcher knows no limit of a class that isn't its own: it makes the job ready and touches no semaphore.
async fn rails_dispatches(db: &Db) {
    db.let_time_pass().await;
    let now = db.seconds_from_now(0);
    db.run(&format!(
        "insert into solid_queue_ready_executions (job_id, queue_name, priority, created_at) \
         select job_id, queue_name, priority, {now} from solid_queue_scheduled_executions"
    ))
    .await;
    db.run("delete from solid_queue_scheduled_executions").await;
}

fn later(to: u32, on_conflict: OnConflict) -> NewJob {
    job().limited(limit("k", to, on_conflict)).after(std::time::Duration::from_secs(600))
}

async fn a_job_that_rails_made_ready_over_its_limit_waits_once_it_is_claimed(db: Db) {
    db.store.enqueue(&vec![later(2, OnConflict::Block); 3]).await.unwrap();
    rails_dispatches(&db).await;
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    let over = session.check_claimed(&claimed).await.unwrap();
    assert_eq!(over.claims, [claimed[2].claim_id].into());
    assert_eq!(db.states().await, [("claimed", 2), ("blocked", 1)].into());
    assert_eq!(value(&db).await, 0);
    assert!(session.check_claimed(&claimed[..2]).await.unwrap().claims.is_empty(), "they hold their slots by now");
    sweep_and_check(&db).await;
    finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    assert_eq!(db.states().await, [("finished", 2), ("ready", 1)].into());
    run_to_the_end(&db).await;
}

async fn a_job_that_rails_made_ready_within_its_limit_takes_a_slot_once_it_is_claimed(db: Db) {
    db.store.enqueue(&[later(2, OnConflict::Block)]).await.unwrap();
    rails_dispatches(&db).await;
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    assert!(session.check_claimed(&claimed).await.unwrap().claims.is_empty());
    assert_eq!((db.int("select count(*) from gritstone_slots").await, value(&db).await), (1, 1));
    sweep_and_check(&db).await;
}

async fn a_job_that_rails_made_ready_over_a_limit_that_drops_is_dropped_once_it_is_claimed(db: Db) {
    db.store.enqueue(&vec![later(1, OnConflict::Discard); 2]).await.unwrap();
    rails_dispatches(&db).await;
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(session.check_claimed(&claimed).await.unwrap().claims, [claimed[1].claim_id].into());
    assert_eq!(db.states().await, [("claimed", 1)].into());
}

async fn claims_that_are_gone_are_not_looked_at(db: Db) {
    db.store.enqueue(&[later(1, OnConflict::Block)]).await.unwrap();
    rails_dispatches(&db).await;
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    session.deregister(process).await.unwrap();
    assert!(session.check_claimed(&claimed).await.unwrap().claims.is_empty());
    assert_eq!(db.int("select count(*) from gritstone_slots").await, 0);
    assert_eq!(db.states().await, [("ready", 1)].into());
}

async fn a_look_at_claims_that_crashed_anywhere_can_be_made_again(db: Db) {
    let mut raw = db.raw().await;
    for polls in 1.. {
        db.session().await.enqueue(&vec![later(1, OnConflict::Block); 3]).await.unwrap();
        rails_dispatches(&db).await;
        let store = db.other_store();
        let mut session = store.connect().await.unwrap();
        let process = session.register(&new_process(3)).await.unwrap().process_id;
        let claimed = claim_any(&mut session, process, 5).await;
        let looked = polled(session.check_claimed(&claimed), polls).await.is_some();
        drop(session);
        store.close().await;
        db.wait_to_be_alone(&mut raw).await;
        let mut session = db.session().await;
        let held = session.claims_of(process).await.unwrap();
        session.check_claimed(&held).await.unwrap();
        assert_eq!(db.states().await.get("claimed"), Some(&1), "after {polls} polls");
        sweep_and_check(&db).await;
        run_to_the_end(&db).await;
        if looked {
            break;
        }
    }
}
