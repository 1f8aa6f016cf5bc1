//! Jobs that are to disappear.

use crate::support::{Db, claim_any, conformance, done, fail, finish, job, limit, start};
use gritstone_store::{JobState, NewJob, OnConflict};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    jobs_in_every_state_but_claimed_disappear,
    a_ready_job_hands_its_slot_on,
    a_blocked_job_leaves_the_slot_alone,
    a_job_that_is_dispatched_at_the_same_time_gives_its_slot_back,
    a_job_is_claimed_or_discarded_but_never_both,
);

fn blocked() -> NewJob {
    job().limited(limit("k", 1, OnConflict::Block))
}

async fn jobs_in_every_state_but_claimed_disappear(db: Db) {
    db.store.enqueue(&[job().priority(-2), job().priority(-1), job().priority(-1)]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 3).await;
    finish(&mut session, &[fail(&claimed[1], "x"), done(&claimed[2])]).await;
    db.store.enqueue(&[blocked(), blocked(), job().after(Duration::from_secs(60))]).await.unwrap();
    let expected = [("blocked", 1), ("claimed", 1), ("failed", 1), ("finished", 1), ("ready", 1), ("scheduled", 1)];
    assert_eq!(db.states().await, expected.into());

    let mut wanted: Vec<i64> = db.jobs().await.iter().map(|job| job.job_id).collect();
    wanted.push(123_456);
    let discarded = session.discard(&wanted).await.unwrap();
    assert_eq!(discarded.skipped, [claimed[0].job_id, 123_456]);
    assert_eq!(discarded.discarded.len(), 5);
    assert_eq!(db.states().await, [("claimed", 1)].into());
    assert_eq!(session.discard(&[]).await.unwrap(), gritstone_store::Discarded::default());
}

async fn a_ready_job_hands_its_slot_on(db: Db) {
    let enqueued = db.store.enqueue(&[blocked(), blocked()]).await.unwrap();
    let mut session = db.session().await;
    assert!(session.discard(&[enqueued[0].job_id]).await.unwrap().signals);
    session.signal().await.unwrap();
    assert_eq!(db.state(enqueued[1].job_id).await, Some(JobState::Ready));
}

async fn a_blocked_job_leaves_the_slot_alone(db: Db) {
    let enqueued = db.store.enqueue(&vec![blocked(); 3]).await.unwrap();
    let mut session = db.session().await;
    assert!(!session.discard(&[enqueued[1].job_id]).await.unwrap().signals);
    session.sweep_limits().await.unwrap();
    assert_eq!(db.states().await, [("blocked", 1), ("ready", 1)].into());
}

async fn a_job_that_is_dispatched_at_the_same_time_gives_its_slot_back(db: Db) {
    for round in 0..10 {
        let key = format!("k{round}");
        let limited = || job().limited(limit(&key, 1, OnConflict::Block));
        let later = db.store.enqueue(&[limited().after(Duration::from_secs(600))]).await.unwrap();
        db.let_time_pass().await;
        let store = db.store.clone();
        let dispatcher =
            tokio::spawn(async move { store.connect().await.unwrap().dispatch_due(5, true).await.unwrap() });
        let mut session = db.session().await;
        let discarded = session.discard(&[later[0].job_id]).await.unwrap();
        dispatcher.await.unwrap();
        if discarded.signals {
            session.signal().await.unwrap();
        }
        // No sweep: the slot must be free by itself.
        assert_eq!(db.int("select count(*) from gritstone_slots").await, 0);
        assert_eq!(db.count("jobs").await, 0);
    }
}

async fn a_job_is_claimed_or_discarded_but_never_both(db: Db) {
    let enqueued = db.store.enqueue(&vec![job(); 100]).await.unwrap();
    let process = start(&db).await;
    let store = db.store.clone();
    let claimer = tokio::spawn(async move {
        let mut session = store.connect().await.unwrap();
        let mut got = BTreeSet::new();
        while session.queue_size("default").await.unwrap() > 0 {
            got.extend(claim_any(&mut session, process, 3).await.iter().map(|job| job.job_id));
        }
        got
    });
    let mut discarders = JoinSet::new();
    for half in 0..2 {
        let store = db.store.clone();
        let mut ids: Vec<i64> = enqueued.iter().map(|e| e.job_id).collect();
        ids.reverse();
        discarders.spawn(async move {
            let mut session = store.connect().await.unwrap();
            let mut gone = BTreeSet::new();
            for ids in ids.chunks(4).skip(half).step_by(2) {
                gone.extend(session.discard(ids).await.unwrap().discarded);
            }
            gone
        });
    }
    let gone: BTreeSet<i64> = discarders.join_all().await.into_iter().flatten().collect();
    let got = claimer.await.unwrap();
    assert!(got.is_disjoint(&gone));
    assert_eq!(got.len() + gone.len(), 100);
    assert_eq!(db.count("claimed_executions").await, got.len() as i64);
}
