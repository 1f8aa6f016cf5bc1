//! Concurrency limits: who may run, who waits, who is dropped.

use crate::support::{Db, claim_any, conformance, done, fail, finish, job, limit, retry, start};
use gritstone_store::{Enqueued, Limit, NewJob, OnConflict, Placed, UseLimit, Verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

conformance!(
    what_finds_no_slot_waits,
    what_finds_no_slot_is_dropped_where_the_limit_says_so,
    a_limit_lets_as_many_run_as_it_says,
    a_group_lends_its_limit_to_its_keys,
    an_undeclared_key_lets_one_run,
    nine_mixed_jobs_go_where_they_belong,
    scheduled_jobs_meet_their_limit_when_due,
    slots_are_handed_on_by_priority,
    every_end_of_a_run_gives_the_slot_back,
    a_released_job_keeps_its_slot,
    a_job_blocked_beside_a_signal_is_never_lost,
    many_enqueuers_never_get_more_than_the_limit,
);

fn blocked(key: &str) -> NewJob {
    job().limited(limit(key, 1, OnConflict::Block))
}

fn places(enqueued: &[Enqueued]) -> Vec<Placed> {
    enqueued.iter().map(|e| e.placed).collect()
}

async fn free(db: &Db, key: &str) -> i64 {
    let limits = db.session().await.limits(100).await.unwrap();
    limits.into_iter().find(|limit| limit.key == key).unwrap().free
}

async fn what_finds_no_slot_waits(db: Db) {
    let enqueued = db.store.enqueue(&[blocked("k"), blocked("k")]).await.unwrap();
    let third = db.store.enqueue(&[blocked("k")]).await.unwrap();
    assert_eq!(places(&enqueued), [Placed::Ready, Placed::Blocked]);
    assert_eq!(places(&third), [Placed::Blocked]);
    let expiry = "select count(*) from solid_queue_blocked_executions where expires_at > created_at";
    assert_eq!(db.int(expiry).await, 2);
    let state = db.session().await.limits(10).await.unwrap().remove(0);
    assert_eq!((state.key.as_str(), state.to, state.free, state.held, state.blocked), ("k", Some(1), 0, 1, 2));

    let process = start(&db).await;
    let mut session = db.session().await;
    for expected in [&enqueued[0], &enqueued[1], &third[0]] {
        let claimed = claim_any(&mut session, process, 10).await;
        assert_eq!(claimed.iter().map(|job| job.job_id).collect::<Vec<_>>(), [expected.job_id]);
        assert_eq!(claimed[0].concurrency_key.as_deref(), Some("k"));
        assert!(finish(&mut session, &[done(&claimed[0])]).await.signals);
    }
    assert_eq!(db.states().await, [("finished", 3)].into());
    assert_eq!(free(&db, "k").await, 1);
}

async fn what_finds_no_slot_is_dropped_where_the_limit_says_so(db: Db) {
    let dropped = || job().limited(limit("k", 1, OnConflict::Discard)).id("once");
    assert_eq!(places(&db.store.enqueue(&[dropped()]).await.unwrap()), [Placed::Ready]);
    let more = [dropped().id("b"), job(), dropped().id("c").attempts(3)];
    let enqueued = db.store.enqueue(&more).await.unwrap();
    assert_eq!(places(&enqueued), [Placed::Discarded, Placed::Ready, Placed::Discarded]);
    assert_eq!(db.count("jobs").await, 2);
    // Its id is free: nothing runs under it.
    assert_eq!(places(&db.store.enqueue(&[job().id("b")]).await.unwrap()), [Placed::Ready]);
}

async fn a_limit_lets_as_many_run_as_it_says(db: Db) {
    let jobs = vec![job().limited(limit("k", 3, OnConflict::Block)); 5];
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    assert_eq!(enqueued.iter().filter(|e| e.placed == Placed::Ready).count(), 3);
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 10).await;
    assert_eq!(claimed.len(), 3);
    finish(&mut session, &[done(&claimed[0]), fail(&claimed[2], "x")]).await;
    assert_eq!(db.states().await, [("claimed", 1), ("failed", 1), ("finished", 1), ("ready", 2)].into());
}

async fn a_group_lends_its_limit_to_its_keys(db: Db) {
    let mut session = db.session().await;
    session.declare_limit("accounts", Limit { to: 2, ..Limit::default() }).await.unwrap();
    session
        .declare_limit("accounts/7", Limit { to: 1, on_conflict: OnConflict::Discard, ..Limit::default() })
        .await
        .unwrap();
    let under = |key: &str| job().limited(UseLimit { key: key.into(), declare: None });
    let jobs = [vec![under("accounts/6"); 3], vec![under("accounts/7"); 2]].concat();
    let expected = [Placed::Ready, Placed::Ready, Placed::Blocked, Placed::Ready, Placed::Discarded];
    assert_eq!(places(&db.store.enqueue(&jobs).await.unwrap()), expected);
}

async fn an_undeclared_key_lets_one_run(db: Db) {
    let under = || job().limited(UseLimit { key: "rails/1".into(), declare: None });
    let enqueued = db.store.enqueue(&[under(), under()]).await.unwrap();
    assert_eq!(places(&enqueued), [Placed::Ready, Placed::Blocked]);
    assert_eq!(db.int("select count(*) from gritstone_slots").await, 0);
}

async fn nine_mixed_jobs_go_where_they_belong(db: Db) {
    let later = Duration::from_secs(600);
    let jobs = [
        job(),
        job(),
        job(),
        blocked("a"),
        blocked("a"),
        blocked("b"),
        blocked("b"),
        job().after(later),
        blocked("a").after(later),
    ];
    db.store.enqueue(&jobs).await.unwrap();
    assert_eq!(db.states().await, [("blocked", 2), ("ready", 5), ("scheduled", 2)].into());
}

async fn scheduled_jobs_meet_their_limit_when_due(db: Db) {
    let later = Duration::from_secs(600);
    let mut session = db.session().await;
    db.store.enqueue(&[blocked("b"), blocked("b").after(later)]).await.unwrap();
    let dropped = || job().limited(limit("d", 1, OnConflict::Discard));
    db.store.enqueue(&[dropped(), dropped().after(later).attempts(2)]).await.unwrap();
    assert_eq!(session.dispatch_due(10, true).await.unwrap().taken, 0);

    db.let_time_pass().await;
    let dispatched = session.dispatch_due(10, true).await.unwrap();
    assert_eq!((dispatched.taken, dispatched.placed), (2, 1));
    assert_eq!(db.states().await, [("blocked", 1), ("ready", 2)].into());
}

async fn slots_are_handed_on_by_priority(db: Db) {
    let jobs =
        [blocked("k"), blocked("k").priority(5), blocked("k").priority(-5).on("urgent"), blocked("k").priority(5)];
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    for expected in [0, 2, 1, 3] {
        let claimed = claim_any(&mut session, process, 10).await;
        assert_eq!(claimed.iter().map(|job| job.job_id).collect::<Vec<_>>(), [enqueued[expected].job_id]);
        session.finish(&[done(&claimed[0])], true).await.unwrap();
        let woken = session.signal().await.unwrap();
        assert_eq!(woken.contains("urgent"), expected == 0);
    }
}

async fn every_end_of_a_run_gives_the_slot_back(db: Db) {
    db.store.enqueue(&vec![blocked("k"); 5]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    for round in 0..5 {
        let claimed = claim_any(&mut session, process, 10).await;
        assert_eq!(claimed.len(), 1, "round {round}");
        let mut ending = match round {
            0 => done(&claimed[0]),
            1 => fail(&claimed[0], "x"),
            2 => retry(&claimed[0], Duration::from_secs(600)),
            3 => done(&claimed[0]),
            _ => done(&claimed[0]),
        };
        if round == 3 {
            ending.verdict = Verdict::Release { delay: Some(Duration::from_secs(600)), envelope: None };
        }
        assert!(session.finish(&[ending], round != 4).await.unwrap().signals);
        session.signal().await.unwrap();
    }
    assert_eq!(free(&db, "k").await, 1);
    // What comes back meets the limit again.
    db.let_time_pass().await;
    session.dispatch_due(10, true).await.unwrap();
    assert_eq!(db.states().await, [("blocked", 1), ("failed", 1), ("finished", 1), ("ready", 1)].into());
}

async fn a_released_job_keeps_its_slot(db: Db) {
    db.store.enqueue(&[blocked("k"), blocked("k")]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 10).await;
    session.release(&[(claimed[0].claim_id, claimed[0].job_id)]).await.unwrap();
    assert!(session.signal().await.unwrap().is_empty());
    assert_eq!(db.states().await, [("blocked", 1), ("ready", 1)].into());
    claim_any(&mut session, process, 10).await;
    session.deregister(process).await.unwrap();
    assert_eq!(db.states().await, [("blocked", 1), ("ready", 1)].into());
    assert_eq!(free(&db, "k").await, 0);
}

/// One task enqueues, another claims, finishes and signals, and no sweep helps: every job must get its turn.
async fn a_job_blocked_beside_a_signal_is_never_lost(db: Db) {
    const JOBS: usize = 150;
    let start_line = Arc::new(Barrier::new(3));
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (store, start_line) = (db.store.clone(), Arc::clone(&start_line));
        tasks.spawn(async move {
            start_line.wait().await;
            for _ in 0..JOBS / 2 {
                store.enqueue(&[blocked("k")]).await.unwrap();
            }
        });
    }
    let process = start(&db).await;
    let mut session = db.session().await;
    start_line.wait().await;
    let mut finished = 0;
    while finished < JOBS {
        let claimed = claim_any(&mut session, process, 10).await;
        assert!(claimed.len() <= 1);
        finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
        finished += claimed.len();
        if claimed.is_empty() && tasks.is_empty() {
            let states = db.states().await;
            assert!(states.contains_key("ready"), "lost after {finished}: {states:?}");
        }
        while tasks.try_join_next().is_some() {}
    }
    assert_eq!(db.states().await, [("finished", JOBS)].into());
}

async fn many_enqueuers_never_get_more_than_the_limit(db: Db) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = db.store.clone();
        tasks.spawn(async move {
            let mut session = store.connect().await.unwrap();
            for n in 0..10 {
                let key = format!("k{}", n % 2);
                session.enqueue(&[job().limited(limit(&key, 3, OnConflict::Block))]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(db.states().await, [("blocked", 74), ("ready", 6)].into());
}
