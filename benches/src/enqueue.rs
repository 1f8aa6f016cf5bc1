//! How fast jobs are enqueued.

use crate::figures::{Figures, Table};
use crate::server::Bench;
use anyhow::Result;
use gritstone::store::{NewJob, Store};
use serde_json::json;
use std::time::{Duration, Instant};

/// Enqueues in bulk, raw and by the library, in turns; then one at a time.
#[derive(Debug, clap::Args)]
pub(crate) struct Enqueue {
    /// Jobs a run
    #[arg(long, default_value_t = 200_000)]
    jobs: u64,
    /// Jobs a call
    #[arg(long, default_value_t = 500)]
    batch: usize,
    /// Pairs of runs
    #[arg(long, default_value_t = 7)]
    pairs: u32,
    /// Single enqueues to time
    #[arg(long, default_value_t = 2_000)]
    singles: u32,
}

impl Enqueue {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let mut bench = Bench::start().await?;
        let mut pairs = Vec::new();
        for _ in 0..self.pairs {
            let queue = bench.queue().await?;
            queue.checkpoint().await?;
            let raw = queue.pgbench("enqueue.sql", 500, self.jobs / 500 / 2).await?;
            let queue = bench.queue().await?;
            queue.checkpoint().await?;
            let ours = bulk(&queue.store, self.jobs, self.batch).await?;
            pairs.push((self.jobs as f64 / raw.as_secs_f64(), self.jobs as f64 / ours.as_secs_f64()));
        }
        let title = format!("bulk enqueue of {} jobs, {} a call, 2 clients", self.jobs, self.batch);
        table.rates(&title, "raw SQL", &pairs);
        let queue = bench.queue().await?;
        let times = single(&queue.store, self.singles).await?;
        let figure = format!("median {:.3} ms, p99 {:.3} ms", times.median() * 1e3, times.quantile(0.99) * 1e3);
        table.figure(&format!("single enqueue, {}", self.singles), figure);
        Ok(())
    }
}

/// Enqueues so many jobs, so many a call, in two clients; the time it took.
pub(crate) async fn bulk(store: &Store, jobs: u64, batch: usize) -> Result<Duration> {
    let calls = jobs / batch as u64 / 2;
    let batch = vec![NewJob::new("Hello", vec![json!(1), json!("two")]); batch];
    let began = Instant::now();
    let client = async || -> Result<()> {
        for _ in 0..calls {
            store.enqueue(&batch).await?;
        }
        Ok(())
    };
    let (a, b) = futures::join!(client(), client());
    a?;
    b?;
    Ok(began.elapsed())
}

/// Times enqueues of one job each.
pub(crate) async fn single(store: &Store, count: u32) -> Result<Figures> {
    let job = NewJob::new("Hello", vec![json!(1), json!("two")]);
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        store.enqueue(std::slice::from_ref(&job)).await?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(Figures::new(times))
}
