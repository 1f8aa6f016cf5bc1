//! The sweep of limits: whatever went wrong, slots follow their holders.

use crate::support::{Db, claim_any, conformance, done, finish, job, limit, start};
use gritstone_store::{Death, Limit, NewJob, OnConflict};

conformance!(
    slots_of_holders_that_vanished_are_reclaimed,
    a_signal_that_was_never_handed_on_is_handed_on,
    a_raised_limit_lets_more_run,
    a_lowered_limit_lets_fewer_start,
    held_slots_are_renewed,
    a_deleted_semaphore_is_made_anew,
    four_jobs_under_a_limit_of_three_survive_their_workers_death,
    jobs_let_past_their_limit_are_counted,
    nothing_to_do_changes_nothing,
);

fn limited(to: u32) -> NewJob {
    job().limited(limit("k", to, OnConflict::Block))
}

async fn semaphore(db: &Db) -> i64 {
    db.int("select value from solid_queue_semaphores").await
}

async fn slots_of_holders_that_vanished_are_reclaimed(db: Db) {
    let enqueued = db.store.enqueue(&vec![limited(2); 5]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    claim_any(&mut session, process, 1).await;
    // One is deleted, one finished, behind our back.
    db.run(&format!("delete from solid_queue_jobs where id = {}", enqueued[1].job_id)).await;
    db.run("delete from solid_queue_claimed_executions").await;

    let swept = session.sweep_limits().await.unwrap();
    assert_eq!((swept.reclaimed, swept.released), (2, 2));
    assert!(swept.queues.contains("default"));
    assert_eq!(db.states().await, [("blocked", 1), ("lost", 1), ("ready", 2)].into());
    assert_eq!(semaphore(&db).await, 0);
}

async fn a_signal_that_was_never_handed_on_is_handed_on(db: Db) {
    db.store.enqueue(&vec![limited(1); 2]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 1).await;
    assert!(session.finish(&[done(&claimed[0])], true).await.unwrap().signals);
    assert_eq!(session.sweep_limits().await.unwrap().queues.len(), 1);
    assert_eq!(db.states().await, [("finished", 1), ("ready", 1)].into());
}

async fn a_raised_limit_lets_more_run(db: Db) {
    db.store.enqueue(&vec![limited(1); 5]).await.unwrap();
    let mut session = db.session().await;
    session.declare_limit("k", Limit { to: 3, ..Limit::default() }).await.unwrap();
    assert_eq!(session.sweep_limits().await.unwrap().released, 2);
    assert_eq!(db.states().await, [("blocked", 2), ("ready", 3)].into());
}

async fn a_lowered_limit_lets_fewer_start(db: Db) {
    db.store.enqueue(&vec![limited(3); 6]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    session.declare_limit("k", Limit { to: 1, ..Limit::default() }).await.unwrap();
    for _ in 0..2 {
        let claimed = claim_any(&mut session, process, 1).await;
        finish(&mut session, &[done(&claimed[0])]).await;
        session.sweep_limits().await.unwrap();
    }
    assert_eq!(db.states().await, [("blocked", 3), ("finished", 2), ("ready", 1)].into());
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &[done(&claimed[0])]).await;
    assert_eq!(db.states().await, [("blocked", 2), ("finished", 3), ("ready", 1)].into());
    assert_eq!(semaphore(&db).await, 0);
}

async fn held_slots_are_renewed(db: Db) {
    db.store.enqueue(&[limited(1)]).await.unwrap();
    db.run(&format!("update solid_queue_semaphores set expires_at = {}", db.seconds_from_now(-60))).await;
    db.session().await.sweep_limits().await.unwrap();
    let renewed = format!("select count(*) from solid_queue_semaphores where expires_at > {}", db.seconds_from_now(60));
    assert_eq!(db.int(&renewed).await, 1);
}

async fn a_deleted_semaphore_is_made_anew(db: Db) {
    db.store.enqueue(&vec![limited(2); 3]).await.unwrap();
    // As Rails' maintenance does when it has expired.
    db.run("delete from solid_queue_semaphores").await;
    let mut session = db.session().await;
    assert_eq!(session.sweep_limits().await.unwrap().released, 0);
    assert_eq!(semaphore(&db).await, 0);
    db.run("delete from solid_queue_semaphores").await;
    db.store.enqueue(&[limited(2)]).await.unwrap();
    assert_eq!(db.states().await, [("blocked", 2), ("ready", 2)].into());
}

async fn four_jobs_under_a_limit_of_three_survive_their_workers_death(db: Db) {
    db.store.enqueue(&vec![limited(3); 4]).await.unwrap();
    let rails_like = crate::support::new_process(0);
    let mut session = db.session().await;
    let process = session.register(&rails_like).await.unwrap().process_id;
    assert_eq!(claim_any(&mut session, process, 10).await.len(), 3);
    let buried = session.bury(process, &Death::Exited { how: "signal 9".into() }).await.unwrap().unwrap();
    assert_eq!((buried.failed.len(), buried.signals), (3, true));
    session.signal().await.unwrap();
    assert_eq!(db.states().await, [("failed", 3), ("ready", 1)].into());
    assert_eq!(semaphore(&db).await, 2);
}

async fn jobs_let_past_their_limit_are_counted(db: Db) {
    let enqueued = db.store.enqueue(&vec![limited(1); 3]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let past = session.run_now(&[enqueued[1].job_id]).await.unwrap();
    assert_eq!(past.ready, [enqueued[1].job_id]);
    let claimed = claim_any(&mut session, process, 5).await;
    assert_eq!(claimed.len(), 2);
    finish(&mut session, &[done(&claimed[0])]).await;
    session.sweep_limits().await.unwrap();
    assert_eq!(db.states().await, [("blocked", 1), ("claimed", 1), ("finished", 1)].into());
    finish(&mut session, &[done(&claimed[1])]).await;
    assert_eq!(db.states().await, [("finished", 2), ("ready", 1)].into());
}

async fn nothing_to_do_changes_nothing(db: Db) {
    let mut session = db.session().await;
    assert_eq!(session.sweep_limits().await.unwrap(), gritstone_store::SweptLimits::default());
    db.store.enqueue(&vec![limited(2); 4]).await.unwrap();
    for _ in 0..2 {
        let swept = session.sweep_limits().await.unwrap();
        assert_eq!((swept.reclaimed, swept.released), (0, 0));
    }
    assert_eq!(db.states().await, [("blocked", 2), ("ready", 2)].into());
}
