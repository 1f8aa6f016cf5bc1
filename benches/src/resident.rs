//! Memory, and the time to the first claim, of the command itself.

use crate::figures::{Figures, Table};
use crate::memory::resident;
use crate::server::Bench;
use anyhow::{Context as _, Result, bail};
use gritstone::store::NewJob;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Starts the command's worker, times its first claim and reads its memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Resident {
    /// The command; target/release/gritstone beside this program unless given
    #[arg(long)]
    gritstone: Option<PathBuf>,
    /// Starts to time
    #[arg(long, default_value_t = 10)]
    starts: u32,
}

impl Resident {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let gritstone = match &self.gritstone {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("gritstone"),
        };
        if !gritstone.exists() {
            bail!("{} is not there: cargo build --release -p gritstone", gritstone.display());
        }
        let mut bench = Bench::start().await?;
        let mut times = Vec::new();
        let mut memory = Vec::new();
        for _ in 0..self.starts {
            let queue = bench.queue().await?;
            queue.store.enqueue(&[NewJob::new("Hello", vec![])]).await?;
            let began = Instant::now();
            let mut child = Command::new(&gritstone)
                .args(["work", "--command", "true", "--log", "warn", "--database", &queue.url])
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()?;
            while queue.psql("select count(*) from solid_queue_ready_executions").await? != "0" {}
            times.push(began.elapsed().as_secs_f64());
            tokio::time::sleep(Duration::from_secs(1)).await;
            memory.push(resident(child.id().context("the worker has ended")?)?);
            child.kill().await?;
        }
        let (times, memory) = (Figures::new(times), Figures::new(memory));
        table.figure(
            &format!("a worker's start to its first claim, psql's own start included, {} starts", self.starts),
            format!("median {:.0} ms, max {:.0} ms", times.median() * 1e3, times.max() * 1e3),
        );
        table.figure(
            &format!("memory of an idle worker, {} starts", self.starts),
            format!("median {:.1} MB, max {:.1} MB", memory.median(), memory.max()),
        );
        Ok(())
    }
}
