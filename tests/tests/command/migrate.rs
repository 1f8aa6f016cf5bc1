//! `gritstone migrate`.

use super::support::Home;
use std::process::Stdio;

#[test]
fn a_dry_run_changes_nothing() {
    let home = Home::empty();
    home.run(&["migrate", "--dry-run"]).code(1).says("does not exist yet");
    assert!(!home.path("queue.db").exists());
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
