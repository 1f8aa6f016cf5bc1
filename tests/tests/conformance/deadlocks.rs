//! Mixed load from many processes at once: transactions that meet are run again, and no caller hears of it.

use crate::support::{Db, conformance, run_to_the_end};
use std::process::Stdio;
use tokio::process::{Child, Command};

conformance!(no_conflict_reaches_a_caller,);

const PROCESSES: u64 = 8;

/// How long each goes on: so many steps, or seconds with an `s`. `docs/reference/faults.md` has the long way.
const LENGTH: &str = "100";

async fn no_conflict_reaches_a_caller(db: Db) {
    let length = std::env::var("GRITSTONE_MIXED_LOAD").unwrap_or_else(|_| LENGTH.into());
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let start = |n| {
        Command::new(env!("CARGO_BIN_EXE_mixed-load"))
            .args([db.url(), &seed.wrapping_add(n).to_string(), &length])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    let processes: Vec<Child> = (0..PROCESSES).map(start).collect();
    let mut steps = 0;
    for process in processes {
        let output = process.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}: its stderr is above", output.status);
        steps += String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().unwrap();
    }
    println!("{}: {PROCESSES} processes, {steps} steps", db.engine);
    run_to_the_end(&db).await;
}
