//! Databases that Rails made.

use crate::support::{Db, catalogue, claim_any, conformance, done, finish, job, start};
use gritstone_store::{Action, Error, MigrateOptions, NewBatch};

conformance!(
    with Db::rails;
    nothing_of_rails_is_touched,
    batches_are_added_when_asked_for,
    an_adopted_database_stays_adopted,
    a_database_without_batches_works,
    a_rails_application_without_a_queue_gets_all_tables,
    other_collations_than_the_default_work,
);

const ALTER: MigrateOptions = MigrateOptions { dry_run: false, alter_solid_queue: true };

async fn nothing_of_rails_is_touched(db: Db) {
    let before = catalogue(&db, "solid_queue_").await;
    let steps = db.store.migrate(MigrateOptions::default()).await.unwrap();
    let actions: Vec<Action> = steps.iter().map(|step| step.action).collect();
    assert_eq!(actions[..2], [Action::Adopt, Action::Withheld]);
    assert_eq!(actions[2..], [Action::Apply; 4]);
    assert!(steps[0].sql.is_empty() && steps[1].sql.is_empty());
    assert_eq!(catalogue(&db, "solid_queue_").await, before);
    assert!(catalogue(&db, "gritstone_").await.len() > 30);
    db.store.check_schema().await.unwrap();
}

async fn batches_are_added_when_asked_for(db: Db) {
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    let steps = db.store.migrate(ALTER).await.unwrap();
    assert_eq!(steps[1].action, Action::Apply);
    let fresh = Db::new(db.engine).await;
    // The column stands last here, wherever it stands there.
    assert_eq!(catalogue(&db, "solid_queue_").await, catalogue(&fresh, "solid_queue_").await);
    db.session().await.create_batch(&NewBatch::default()).await.unwrap();
}

async fn an_adopted_database_stays_adopted(db: Db) {
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    db.run("drop table schema_migrations").await;
    let again = db.store.migrate(MigrateOptions::default()).await.unwrap();
    let actions: Vec<Action> = again.iter().map(|step| step.action).collect();
    assert_eq!(actions[..2], [Action::Applied, Action::Withheld]);
    assert_eq!(actions[2..], [Action::Applied; 4]);
}

async fn a_database_without_batches_works(db: Db) {
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    let mut session = db.session().await;
    assert!(matches!(session.create_batch(&NewBatch::default()).await, Err(Error::Schema(_))));
    assert!(session.batches(5).await.unwrap().is_empty());
    assert!(session.sweep_batches().await.unwrap().is_empty());
    db.store.enqueue(&[job(), job().attempts(2)]).await.unwrap();
    let process = start(&db).await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &[done(&claimed[0]), crate::support::fail(&claimed[1], "x")]).await;
    session.discard(&[claimed[1].job_id]).await.unwrap();
    let options = gritstone_store::ClearOptions { batch_size: 5, ..Default::default() };
    assert_eq!(session.clear_finished(&options).await.unwrap(), 1);
    assert_eq!(db.count("jobs").await, 0);
}

async fn a_rails_application_without_a_queue_gets_all_tables(db: Db) {
    let app = Db::empty(db.engine).await;
    app.run("create table schema_migrations (version varchar(255) not null primary key)").await;
    let steps = app.store.migrate(MigrateOptions::default()).await.unwrap();
    assert!(steps.iter().all(|step| step.action == Action::Apply));
    app.session().await.create_batch(&NewBatch::default()).await.unwrap();
}

/// Rails' tables and ours may have different collations, which MySQL refuses to compare.
async fn other_collations_than_the_default_work(db: Db) {
    use crate::support::limit;
    use gritstone_store::{OnConflict, UseLimit};
    if db.is_mysql() {
        let tables = "select table_name from information_schema.tables \
                      where table_schema = database() and table_name like 'solid_queue_%'";
        let mut raw = db.raw().await;
        raw.run("set foreign_key_checks = 0").await;
        for table in raw.texts(tables).await {
            raw.run(&format!("alter table {table} convert to character set utf8mb4 collate utf8mb4_swedish_ci")).await;
        }
    }
    db.store.migrate(MigrateOptions::default()).await.unwrap();
    let limited = |n: i32| job().limited(limit(&format!("k/{n}"), 1, OnConflict::Block)).id(format!("id-{n}"));
    let foreign = || job().limited(UseLimit { key: "r".into(), declare: None });
    db.store.enqueue(&[limited(1), foreign(), foreign()]).await.unwrap();
    db.store.enqueue(&[limited(1).id("other")]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    session.sweep_limits().await.unwrap();
    assert_eq!(session.limits(10).await.unwrap().len(), 2);
    session.queues().await.unwrap();
    session.sweep_unique_keys().await.unwrap();
    assert_eq!(db.states().await, [("finished", 2), ("ready", 2)].into());
}
