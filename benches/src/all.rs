//! Everything that is measured in minutes, one after the other, in one table.

use crate::figures::Table;
use crate::{Cli, measure};
use anyhow::{Result, bail};
use clap::Parser as _;
use std::time::Instant;

/// What is run. Sizes are moderate; what takes long (ten million finished jobs, five minutes beside an open transaction) is left to
/// its own command.
const STANDARD: [&str; 17] = [
    // First: it reads the memory of this very process.
    "memory --jobs 300000",
    "drain --pairs 3",
    "drain --pairs 3 --jobs 100000 --threads 200 --batch 100",
    "drain --pairs 3 --jobs 50000 --threads 3 --batch 20",
    "enqueue --pairs 3",
    "claim --claims 1000",
    "latency",
    "handlers process --pairs 3 --jobs 20000",
    "handlers http --pairs 3 --jobs 20000",
    "agenda --seconds 20",
    "filtered postgres --jobs 50000 --seconds 5",
    "schedule",
    "resident",
    "others mariadb --pairs 3 --jobs 10000",
    "others mysql --pairs 3 --jobs 10000",
    "others sqlite --pairs 3 --jobs 10000",
    "peers --pairs 3",
];

/// Runs them all; one that fails is a row that says so, and the others go on.
pub(crate) async fn run(table: &mut Table) -> Result<()> {
    let mut failed = Vec::new();
    for words in STANDARD {
        println!("\nbench {words}");
        let began = Instant::now();
        let line = Cli::try_parse_from(std::iter::once("bench").chain(words.split(' ')))?;
        if let Err(error) = Box::pin(measure(line.what, table)).await {
            println!("failed: {error:#}");
            table.figure(&format!("bench {words}"), format!("failed: {error}"));
            failed.push(words);
        }
        println!("{:.0} s", began.elapsed().as_secs_f64());
    }
    if !failed.is_empty() {
        bail!("{} of {} failed: {}", failed.len(), STANDARD.len(), failed.join("; "));
    }
    Ok(())
}
