//! Scheduled jobs whose time has come.

use crate::support::{Db, conformance, job};
use gritstone_store::{Dispatched, NewJob};
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    due_jobs_become_ready_and_others_wait,
    a_round_takes_no_more_than_a_batch,
    two_dispatchers_share_the_jobs_once_each,
    a_time_that_comes_by_itself_is_noticed,
);

const LATER: Duration = Duration::from_secs(600);

async fn due_jobs_become_ready_and_others_wait(db: Db) {
    db.store.enqueue(&[job().on("a").after(LATER), job().on("b").priority(2).after(LATER)]).await.unwrap();
    let mut session = db.session().await;
    assert_eq!(session.dispatch_due(10, true).await.unwrap(), Dispatched::default());
    db.let_time_pass().await;
    db.store.enqueue(&[job().after(LATER)]).await.unwrap();
    let dispatched = session.dispatch_due(10, true).await.unwrap();
    assert_eq!((dispatched.taken, dispatched.placed), (2, 2));
    assert_eq!(Vec::from_iter(dispatched.queues), ["a", "b"]);
    assert_eq!(db.states().await, [("ready", 2), ("scheduled", 1)].into());
    assert_eq!(db.int("select priority from solid_queue_ready_executions where queue_name = 'b'").await, 2);
}

async fn a_round_takes_no_more_than_a_batch(db: Db) {
    let jobs: Vec<NewJob> = (0..25).map(|n| job().priority(n % 3).after(LATER)).collect();
    db.store.enqueue(&jobs).await.unwrap();
    db.let_time_pass().await;
    let mut session = db.session().await;
    for taken in [10, 10, 5, 0] {
        assert_eq!(session.dispatch_due(10, false).await.unwrap().taken, taken);
    }
    assert_eq!(db.states().await, [("ready", 25)].into());
}

async fn two_dispatchers_share_the_jobs_once_each(db: Db) {
    db.store.enqueue(&vec![job().after(LATER); 300]).await.unwrap();
    db.let_time_pass().await;
    let mut dispatchers = JoinSet::new();
    for n in 0..4 {
        let store = db.store.clone();
        dispatchers.spawn(async move {
            let mut session = store.connect().await.unwrap();
            let mut taken = 0;
            while session.queue_size("default").await.unwrap() < 300 {
                taken += session.dispatch_due(7, n % 2 == 0).await.unwrap().taken;
            }
            taken
        });
    }
    assert_eq!(dispatchers.join_all().await.iter().sum::<usize>(), 300);
    assert_eq!(db.states().await, [("ready", 300)].into());
}

async fn a_time_that_comes_by_itself_is_noticed(db: Db) {
    db.store.enqueue(&[job().after(Duration::from_millis(30))]).await.unwrap();
    let mut session = db.session().await;
    while session.dispatch_due(10, true).await.unwrap().taken == 0 {}
    assert_eq!(db.states().await, [("ready", 1)].into());
}
