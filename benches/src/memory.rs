//! Whether a worker's memory stays what it is over many jobs.

use crate::drain::{all_written, drain_with_worker, no_op};
use crate::figures::Table;
use crate::server::Bench;
use anyhow::{Context as _, Result};
use gritstone::store::Selector;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// Drains many jobs in a worker inside this process, and reads its memory all the while.
#[derive(Debug, clap::Args)]
pub(crate) struct Memory {
    /// Jobs
    #[arg(long, default_value_t = 1_000_000)]
    jobs: u64,
    /// Jobs at a time in the worker
    #[arg(long, default_value_t = 10)]
    threads: u32,
}

impl Memory {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let mut bench = Bench::start().await?;
        let queue = bench.queue().await?;
        queue.fill(self.jobs).await?;
        let samples = RefCell::new(Vec::new());
        let sampling = async {
            loop {
                match resident(std::process::id()) {
                    Ok(megabytes) => samples.borrow_mut().push(megabytes),
                    Err(error) => break error,
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let url = queue.url.clone();
        let draining = drain_with_worker(
            &queue.store,
            self.threads,
            vec![Selector::All],
            Arc::new(no_op()),
            self.jobs,
            || async move { all_written(&url, 0).await },
        );
        let took = tokio::select! {
            took = draining => took?,
            error = sampling => return Err(error),
        };
        let samples = samples.borrow();
        let at = |share: usize| {
            samples.get((samples.len() * share / 100).min(samples.len() - 1)).copied().unwrap_or_default()
        };
        println!("{} jobs at {} threads in {:.0} s; resident:", self.jobs, self.threads, took.as_secs_f64());
        for share in [0, 10, 25, 50, 75, 100] {
            println!("  after {share:>3} % of the time {:>6.1} MB", at(share));
        }
        table.figure(
            &format!("memory of a worker over {} jobs, threads {}", self.jobs, self.threads),
            format!("{:.1} MB after a tenth of the time, {:.1} MB at its end", at(10), at(100)),
        );
        Ok(())
    }
}

/// What a process has in memory, in megabytes.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
