//! New jobs inside the caller's own transaction.

use crate::support::{Db, Raw, conformance, job, limit};
use gritstone_store::{Caller, ClassDefaults, EnqueueError, NewJob, OnConflict, Placed};

conformance!(
    jobs_exist_when_the_caller_commits,
    jobs_vanish_when_the_caller_rolls_back,
    many_jobs_stay_inside_the_callers_transaction,
    an_error_leaves_the_callers_transaction_as_it_was,
    limits_and_ids_hold_inside_a_transaction,
    class_defaults_hold_inside_a_transaction,
    a_database_without_class_defaults_still_takes_jobs,
    what_others_committed_since_the_transaction_began_counts,
    a_connection_of_another_kind_is_refused,
);

fn caller(raw: &mut Raw) -> Caller<'_> {
    match raw {
        Raw::Postgres(connection) => connection.into(),
        Raw::MySql(connection) => connection.into(),
        Raw::Sqlite(connection) => connection.into(),
    }
}

async fn begin(db: &Db) -> Raw {
    let mut raw = db.raw().await;
    raw.run("begin").await;
    raw
}

async fn jobs_exist_when_the_caller_commits(db: Db) {
    let mut raw = begin(&db).await;
    let (enqueued, wake) = db.store.enqueue_within(caller(&mut raw), &[job(), job().id("x")]).await.unwrap();
    assert!(enqueued.iter().all(|e| e.placed == Placed::Ready));
    assert_eq!(db.count("jobs").await, 0, "not before the commit");
    raw.run("commit").await;
    wake.send();
    assert_eq!(db.count("ready_executions").await, 2);
}

async fn jobs_vanish_when_the_caller_rolls_back(db: Db) {
    let mut raw = begin(&db).await;
    let jobs = [job(), job().id("x"), job().limited(limit("k", 1, OnConflict::Block))];
    let _ = db.store.enqueue_within(caller(&mut raw), &jobs).await.unwrap();
    raw.run("rollback").await;
    for table in ["jobs", "ready_executions", "semaphores"] {
        assert_eq!(db.count(table).await, 0, "{table}");
    }
    let again = db.store.enqueue(&jobs).await.unwrap();
    assert!(again.iter().all(|e| e.placed == Placed::Ready));
}

async fn many_jobs_stay_inside_the_callers_transaction(db: Db) {
    let mut raw = begin(&db).await;
    let jobs: Vec<NewJob> = (0..12_000).map(|_| job()).collect();
    let _ = db.store.enqueue_within(caller(&mut raw), &jobs).await.unwrap();
    assert_eq!(db.count("jobs").await, 0);
    raw.run("rollback").await;
    assert_eq!(db.count("jobs").await, 0);
}

async fn an_error_leaves_the_callers_transaction_as_it_was(db: Db) {
    db.run("create table orders (id int)").await;
    let mut raw = begin(&db).await;
    raw.run("insert into orders values (1)").await;
    let refused = db.store.enqueue_within(caller(&mut raw), &[job(), job().id("x"), job().id("x")]).await;
    assert!(matches!(refused.err(), Some(EnqueueError::Store(error)) if error.is_data()));
    raw.run("insert into orders values (2)").await;
    raw.run("commit").await;
    assert_eq!(db.int("select count(*) from orders").await, 2);
    assert_eq!(db.count("jobs").await, 0);
}

async fn limits_and_ids_hold_inside_a_transaction(db: Db) {
    let limited = || job().limited(limit("k", 1, OnConflict::Block));
    db.store.enqueue(&[limited(), job().id("x")]).await.unwrap();
    let mut raw = begin(&db).await;
    let (enqueued, wake) = db.store.enqueue_within(caller(&mut raw), &[limited(), job().id("x")]).await.unwrap();
    raw.run("commit").await;
    wake.send();
    assert_eq!([enqueued[0].placed, enqueued[1].placed], [Placed::Blocked, Placed::Duplicate]);
}

async fn what_others_committed_since_the_transaction_began_counts(db: Db) {
    let limited = || job().limited(limit("k", 1, OnConflict::Block));
    let mut session = db.session().await;
    session.declare_limit("k", limited().limit.unwrap().declare.unwrap()).await.unwrap();
    let mut raw = db.raw().await;
    if !db.is_sqlite() {
        // On MySQL this fixes what plain reads see: REPEATABLE READ is its default.
        raw.run("begin").await;
        raw.int("select count(*) from solid_queue_jobs").await;
    }
    db.store.enqueue(&[limited(), job().id("x")]).await.unwrap();
    let (enqueued, wake) = db.store.enqueue_within(caller(&mut raw), &[limited(), job().id("x")]).await.unwrap();
    if !db.is_sqlite() {
        raw.run("commit").await;
    }
    wake.send();
    assert_eq!([enqueued[0].placed, enqueued[1].placed], [Placed::Blocked, Placed::Duplicate]);
}

async fn a_connection_of_another_kind_is_refused(db: Db) {
    use gritstone_tests::servers::{Engine, Server, TestDatabase};
    let other = if db.is_sqlite() { Engine::Server(Server::Postgres) } else { Engine::Sqlite };
    let database = TestDatabase::create(other).await.unwrap();
    let mut raw = Raw::connect(other, &database.url).await;
    assert!(db.store.within(caller(&mut raw)).await.is_err());
}

async fn class_defaults_hold_inside_a_transaction(db: Db) {
    db.store.declare_classes("crew", &[ClassDefaults::new("Job").on("slow")]).await.unwrap();
    let mut raw = begin(&db).await;
    // Another process, which has read nothing before.
    let (enqueued, _wake) = db.other_store().enqueue_within(caller(&mut raw), &[job()]).await.unwrap();
    raw.run("commit").await;
    assert_eq!(db.job(enqueued[0].job_id).await.unwrap().queue, "slow");
}

/// An enqueuer may be upgraded before the tables are.
async fn a_database_without_class_defaults_still_takes_jobs(db: Db) {
    db.run("drop table gritstone_class_defaults").await;
    db.other_store().enqueue(&[job()]).await.unwrap();
    let mut raw = begin(&db).await;
    let (_, _wake) = db.other_store().enqueue_within(caller(&mut raw), &[job(), job().id("x")]).await.unwrap();
    raw.run("commit").await;
    assert_eq!(db.count("ready_executions").await, 3);
}
