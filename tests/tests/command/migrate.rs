//! `gritstone migrate`.

use super::support::Home;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use std::process::Stdio;

#[tokio::test]
async fn a_dry_run_changes_nothing_and_prints_sql_that_runs() {
    let home = Home::empty();
    let ran = home.run(&["migrate", "--dry-run"]).ok().says("does not exist yet").prints("-- 0001_solid_queue");
    assert!(!home.path("queue.db").exists());
    let steps = home.run(&["migrate", "--dry-run", "--json"]).ok().json();
    assert_eq!((&steps["dry_run"], &steps["steps"][0]["action"]), (&true.into(), &"would be applied".into()));
    let mut fresh = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(ran.out)).execute(&mut fresh).await.unwrap();
    sqlx::query("select * from gritstone_jobs join solid_queue_jobs").execute(&mut fresh).await.unwrap();
    home.run(&["migrate"]).ok().prints("0003_gritstone");
    home.run(&["migrate", "--dry-run"]).ok().prints("there already");
    let steps = home.run(&["migrate", "--json"]).ok().json();
    assert_eq!(steps["steps"][0]["action"], "there already");
}

#[test]
fn two_at_once_are_safe() {
    let home = Home::empty();
    let mut others: Vec<_> =
        (0..4).map(|_| home.command(&["migrate"]).stdout(Stdio::null()).spawn().unwrap()).collect();
    assert!(others.iter_mut().all(|other| other.wait().unwrap().success()));
    home.run(&["queues", "list"]).ok();
}
