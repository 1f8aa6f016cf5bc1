//! Claims at the same time as other claims, and as cordons.

use crate::support::{Db, claim_any, conformance, done, finish, job, start};
use gritstone_store::{Claim, Commands, Mark, NewJob, Selection};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

conformance!(
    few_jobs_among_many_claimers_are_shared_once_each,
    two_thousand_jobs_among_many_claimers_are_shared_once_each,
    plain_locks_share_jobs_too,
    nothing_is_claimed_once_a_cordon_returned,
    nothing_is_left_in_the_hands_of_who_deregistered,
);

async fn few_jobs_among_many_claimers_are_shared_once_each(db: Db) {
    share(db, 15, 2, true).await;
}

async fn two_thousand_jobs_among_many_claimers_are_shared_once_each(db: Db) {
    share(db, 2_000, 20, true).await;
}

async fn plain_locks_share_jobs_too(db: Db) {
    share(db, 300, 7, false).await;
}

/// Eight claimers, each on a connection of its own, finish all jobs; none gets one that another had.
async fn share(db: Db, jobs: usize, at_once: u32, skip_locked: bool) {
    let jobs: Vec<NewJob> = (0..jobs).map(|n| job().on(format!("queue{}", n % 3))).collect();
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let start_line = Arc::new(Barrier::new(8));
    let mut claimers = JoinSet::new();
    for n in 0..8 {
        let (store, start_line, process_id) = (db.store.clone(), Arc::clone(&start_line), start(&db).await);
        claimers.spawn(async move {
            let mut session = store.connect().await.unwrap();
            let names = ["queue0", "queue1", "queue2"].map(|name| (name.to_owned(), Mark::START));
            let selection = match n % 2 {
                0 => Selection::Any { excluded: vec![], mark: Mark::START },
                _ => Selection::Queues(names.to_vec()),
            };
            let claim = Claim {
                process_id,
                selection: &selection,
                limit: at_once,
                classes: None,
                skip_locked,
                commands: Commands::Leave,
                ahead: None,
            };
            let mut got = Vec::new();
            start_line.wait().await;
            // Rows that others have just locked may hide what is left: done is when nothing is ready.
            while session.queue_size("queue0").await.unwrap()
                + session.queue_size("queue1").await.unwrap()
                + session.queue_size("queue2").await.unwrap()
                > 0
            {
                let claimed = session.claim(&claim).await.unwrap().jobs;
                assert!(claimed.len() <= at_once as usize);
                finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
                got.extend(claimed.iter().map(|job| job.job_id));
            }
            got
        });
    }
    let got: Vec<i64> = claimers.join_all().await.concat();
    assert_eq!(got.len(), enqueued.len());
    assert_eq!(BTreeSet::from_iter(got), enqueued.iter().map(|e| e.job_id).collect());
    assert_eq!(db.count("claimed_executions").await, 0);
}

async fn nothing_is_claimed_once_a_cordon_returned(db: Db) {
    db.store.enqueue(&vec![job(); 2_000]).await.unwrap();
    for _ in 0..10 {
        let process = start(&db).await;
        let (store, ready) = (db.store.clone(), Arc::new(Barrier::new(2)));
        let at_line = Arc::clone(&ready);
        let claimer = tokio::spawn(async move {
            let mut session = store.connect().await.unwrap();
            at_line.wait().await;
            let mut got = 0;
            loop {
                match claim_any(&mut session, process, 1).await.len() {
                    0 => return got,
                    n => got += n as i64,
                }
            }
        });
        let mut session = db.session().await;
        ready.wait().await;
        session.cordon(process, Duration::from_secs(600)).await.unwrap();
        let seen = session.claims_of(process).await.unwrap().len() as i64;
        assert_eq!(claimer.await.unwrap(), seen);
    }
}

async fn nothing_is_left_in_the_hands_of_who_deregistered(db: Db) {
    db.store.enqueue(&vec![job(); 500]).await.unwrap();
    for _ in 0..10 {
        let process = start(&db).await;
        let (store, ready) = (db.store.clone(), Arc::new(Barrier::new(2)));
        let at_line = Arc::clone(&ready);
        let claimer = tokio::spawn(async move {
            let mut session = store.connect().await.unwrap();
            at_line.wait().await;
            while !claim_any(&mut session, process, 3).await.is_empty() {}
        });
        let mut session = db.session().await;
        ready.wait().await;
        session.deregister(process).await.unwrap();
        claimer.await.unwrap();
        assert_eq!(db.count("claimed_executions").await, 0);
        assert_eq!(db.count("ready_executions").await, 500);
    }
}
