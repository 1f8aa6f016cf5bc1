//! Who says what a limit is, and who is heard.

use crate::support::{Db, conformance, job, limit};
use gritstone_store::{DeclaredBy, Limit, OnConflict, Placed, UnsetLimit};
use std::time::Duration;

conformance!(
    what_is_set_by_hand_holds_against_manifests_and_programs,
    what_is_unset_by_hand_is_the_manifests_again,
    what_nobody_else_declares_is_gone_once_it_is_unset,
    the_last_of_manifests_and_programs_is_right,
    what_older_programs_write_leaves_the_hand_in_place,
);

fn to(to: u32) -> Limit {
    Limit { to, ..Limit::default() }
}

async fn declared(db: &Db) -> Vec<(String, u32, DeclaredBy, Option<u32>)> {
    let limits = db.session().await.declared_limits(10).await.unwrap();
    let row = |limit: gritstone_store::DeclaredLimit| {
        (limit.name, limit.limit.to, limit.by, limit.manifest.map(|(_, limit)| limit.to))
    };
    limits.into_iter().map(row).collect()
}

async fn what_is_set_by_hand_holds_against_manifests_and_programs(db: Db) {
    let mut session = db.session().await;
    session.declare_limit_of("crew", "k", to(2)).await.unwrap();
    assert_eq!(declared(&db).await, [("k".into(), 2, DeclaredBy::Manifest, Some(2))]);
    session.set_limit("k", to(3)).await.unwrap();
    assert_eq!(declared(&db).await, [("k".into(), 3, DeclaredBy::Hand, Some(2))]);
    session.declare_limit_of("crew", "k", to(5)).await.unwrap();
    assert_eq!(declared(&db).await, [("k".into(), 3, DeclaredBy::Hand, Some(5))]);
    session.declare_limit("k", to(1)).await.unwrap();
    let jobs = vec![job().limited(limit("k", 1, OnConflict::Discard)); 4];
    let placed = session.enqueue(&jobs).await.unwrap().into_iter().filter(|job| job.placed == Placed::Ready).count();
    assert_eq!(placed, 3, "also those that bring a limit along");
    assert_eq!(declared(&db).await, [("k".into(), 3, DeclaredBy::Hand, Some(5))]);
}

async fn what_is_unset_by_hand_is_the_manifests_again(db: Db) {
    let mut session = db.session().await;
    session.set_limit("k", to(3)).await.unwrap();
    let discard = Limit { to: 2, duration: Duration::from_secs(60), on_conflict: OnConflict::Discard };
    session.declare_limit_of("shop/crew", "k", discard).await.unwrap();
    let unset = session.unset_limit("k").await.unwrap();
    assert_eq!(unset, UnsetLimit::Manifest("shop/crew".into(), discard));
    let limits = session.declared_limits(10).await.unwrap();
    assert_eq!((limits[0].limit, limits[0].by), (discard, DeclaredBy::Manifest));
}

async fn what_nobody_else_declares_is_gone_once_it_is_unset(db: Db) {
    let mut session = db.session().await;
    session.set_limit("hand", to(3)).await.unwrap();
    session.declare_limit("program", to(3)).await.unwrap();
    session.declare_limit_of("crew", "manifest", to(3)).await.unwrap();
    for name in ["hand", "program", "manifest"] {
        assert_eq!(session.unset_limit(name).await.unwrap(), UnsetLimit::Gone);
        assert_eq!(session.unset_limit(name).await.unwrap(), UnsetLimit::None);
    }
    assert!(declared(&db).await.is_empty());
}

async fn the_last_of_manifests_and_programs_is_right(db: Db) {
    let mut session = db.session().await;
    session.declare_limit_of("crew", "k", to(2)).await.unwrap();
    session.enqueue(&[job().limited(limit("k", 1, OnConflict::Block))]).await.unwrap();
    assert_eq!(declared(&db).await, [("k".into(), 1, DeclaredBy::Program, Some(2))]);
    session.declare_limit_of("crew", "k", to(2)).await.unwrap();
    assert_eq!(declared(&db).await, [("k".into(), 2, DeclaredBy::Manifest, Some(2))]);
}

/// Those that know the schema of version 4 write what they know.
async fn what_older_programs_write_leaves_the_hand_in_place(db: Db) {
    let now = db.seconds_from_now(0);
    db.run(&format!(
        "insert into gritstone_limits (name, capacity, duration_micros, on_conflict, created_at, updated_at) \
         values ('k', 2, 180000000, 'block', {now}, {now})"
    ))
    .await;
    assert_eq!(declared(&db).await, [("k".into(), 2, DeclaredBy::Program, None)]);
    let mut session = db.session().await;
    session.set_limit("k", to(3)).await.unwrap();
    db.run("update gritstone_limits set capacity = 2").await;
    session.declare_limit_of("crew", "k", to(5)).await.unwrap();
    assert_eq!(declared(&db).await, [("k".into(), 2, DeclaredBy::Hand, Some(5))]);
}
