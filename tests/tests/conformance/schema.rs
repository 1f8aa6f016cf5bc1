//! The tables that `migrate` makes.

use crate::support::{Db, catalogue, conformance, job};
use gritstone_store::{Action, Error, MigrateOptions, SCHEMA_VERSION, Step};
use tokio::task::JoinSet;

conformance!(
    with Db::empty;
    the_tables_are_those_of_rails,
    a_dry_run_changes_nothing_and_tells_all,
    migrating_again_does_nothing,
    many_migrations_at_once_are_one,
    a_migration_that_was_cut_off_goes_on,
    a_newer_database_is_refused,
    a_newer_database_that_still_fits_is_accepted,
    an_unmigrated_database_is_told_apart,
    a_store_that_was_there_first_notices_the_tables,
);

fn actions(steps: &[Step]) -> Vec<Action> {
    steps.iter().map(|step| step.action).collect()
}

const DRY: MigrateOptions = MigrateOptions { dry_run: true, alter_solid_queue: false };

async fn the_tables_are_those_of_rails(db: Db) {
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    let rails = Db::rails(db.engine).await;
    let mut ours = catalogue(&db, "solid_queue_").await;
    // Solid Queue has batches since 1.7; this schema is older.
    ours.retain(|line| !line.contains("batch"));
    let theirs = catalogue(&rails, "solid_queue_").await;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

async fn a_dry_run_changes_nothing_and_tells_all(db: Db) {
    let steps = db.store.migrate(DRY).await.unwrap();
    assert_eq!(actions(&steps), [Action::Apply; 6]);
    let is_told =
        |step: &Step| ["create table", "alter table"].iter().any(|what| step.sql.to_lowercase().contains(what));
    assert!(steps.iter().all(is_told));
    assert!(matches!(db.store.check_schema().await, Err(Error::Schema(_))));
    let tables = match db.is_sqlite() {
        true => "select count(*) from sqlite_master",
        false if db.is_mysql() => "select count(*) from information_schema.tables where table_schema = database()",
        false => "select count(*) from information_schema.tables where table_schema = 'public'",
    };
    assert_eq!(db.int(tables).await, 0);
}

async fn migrating_again_does_nothing(db: Db) {
    assert_eq!(actions(&db.store.migrate(MigrateOptions::default()).await.unwrap()), [Action::Apply; 6]);
    let before = [catalogue(&db, "solid_queue_").await, catalogue(&db, "gritstone_").await];
    for options in [MigrateOptions::default(), DRY, MigrateOptions { alter_solid_queue: true, ..DRY }] {
        assert_eq!(actions(&db.store.migrate(options).await.unwrap()), [Action::Applied; 6]);
    }
    assert_eq!([catalogue(&db, "solid_queue_").await, catalogue(&db, "gritstone_").await], before);
    assert_eq!(db.int("select count(*) from gritstone_migrations").await, 6);
    assert_eq!(db.int("select max(version) from gritstone_migrations").await, i64::from(SCHEMA_VERSION));
    db.store.check_schema().await.unwrap();
}

async fn many_migrations_at_once_are_one(db: Db) {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let store = db.other_store();
        tasks.spawn(async move { actions(&store.migrate(MigrateOptions::default()).await.unwrap()) });
    }
    let all = tasks.join_all().await;
    assert_eq!(all.iter().filter(|actions| **actions == [Action::Apply; 6]).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|actions| **actions == [Action::Applied; 6]).count(), 3, "{all:?}");
    db.store.enqueue(&[job()]).await.unwrap();
}

/// The database, or we, may go away at any moment; MySQL commits at each `create table`.
async fn a_migration_that_was_cut_off_goes_on(db: Db) {
    let whole = Db::new(db.engine).await;
    for polls in [3, 6, 9, 12, 16, 20, 26, 33, 40, 50, 60, 70, 80] {
        let store = db.other_store();
        if crate::support::polled(store.migrate(MigrateOptions::default()), polls).await.is_some() {
            break;
        }
    }
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    for tables in ["solid_queue_", "gritstone_"] {
        assert_eq!(catalogue(&db, tables).await, catalogue(&whole, tables).await);
    }
    assert_eq!(db.int("select count(*) from gritstone_migrations").await, 6);
    db.store.check_schema().await.unwrap();
    db.store.enqueue(&[job()]).await.unwrap();
}

async fn note_future_migration(db: &Db, min_compatible: i32) {
    let now = db.seconds_from_now(0);
    db.run(&format!(
        "insert into gritstone_migrations (version, name, min_compatible, applied_at) values (99, 'x', {min_compatible}, {now})"
    ))
    .await;
}

async fn a_newer_database_is_refused(db: Db) {
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    note_future_migration(&db, SCHEMA_VERSION + 1).await;
    for result in [
        db.store.migrate(MigrateOptions::default()).await.map(drop),
        db.store.migrate(DRY).await.map(drop),
        db.store.check_schema().await,
    ] {
        let too_old = Error::TooOld { min_compatible: SCHEMA_VERSION + 1, known: SCHEMA_VERSION };
        assert_eq!(result.unwrap_err().to_string(), too_old.to_string());
    }
}

async fn a_newer_database_that_still_fits_is_accepted(db: Db) {
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    note_future_migration(&db, SCHEMA_VERSION).await;
    db.store.check_schema().await.unwrap();
    assert_eq!(actions(&db.store.migrate(MigrateOptions::default()).await.unwrap()), [Action::Applied; 6]);
}

async fn an_unmigrated_database_is_told_apart(db: Db) {
    assert!(matches!(db.store.check_schema().await, Err(Error::Schema(_))));
    let refused = db.store.enqueue(&[job()]).await.unwrap_err().to_string();
    assert!(refused.contains("gritstone migrate"), "{refused}");
}

async fn a_store_that_was_there_first_notices_the_tables(db: Db) {
    assert!(db.store.check_schema().await.is_err());
    db.other_store().migrate(MigrateOptions::default()).await.unwrap();
    db.store.check_schema().await.unwrap();
    let batch = db.session().await.create_batch(&gritstone_store::NewBatch::default()).await.unwrap();
    let member = gritstone_store::NewJob { batch: Some(batch), ..job() };
    db.store.enqueue(&[member]).await.unwrap();
    assert_eq!(db.count("batch_executions").await, 1);
}
