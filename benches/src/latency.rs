//! From the commit of an enqueue to the start of its handler.

use crate::figures::{Figures, Table};
use crate::server::Bench;
use anyhow::Result;
use gritstone::execute::native::{JobContext, Native, Stop as JobStop};
use gritstone::process::{Stop, Worker, WorkerConfig};
use gritstone::store::{NewJob, Store};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Enqueues at random moments and times how long each job waits for its handler.
#[derive(Debug, clap::Args)]
pub(crate) struct Latency {
    /// Arrivals
    #[arg(long, default_value_t = 1_000)]
    pub(crate) arrivals: u32,
    /// The longest pause between two, in milliseconds
    #[arg(long, default_value_t = 40)]
    pub(crate) pause: u64,
}

impl Latency {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let mut bench = Bench::start().await?;
        let queue = bench.queue().await?;
        self.on(&queue.store, &queue.url, "PostgreSQL", table).await
    }

    /// The same on any database.
    pub(crate) async fn on(&self, store: &Store, url: &str, database: &str, table: &mut Table) -> Result<()> {
        let waits: Arc<Mutex<Vec<f64>>> = Arc::default();
        let committed: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let native = {
            let (waits, committed) = (Arc::clone(&waits), Arc::clone(&committed));
            Native::new().on("Hello", move |(index,): (usize,), _: JobContext| {
                let now = Instant::now();
                let (waits, committed) = (Arc::clone(&waits), Arc::clone(&committed));
                async move {
                    // The handler may start before the enqueuer has been told of its own commit: no wait at all.
                    let at = committed.lock().ok().and_then(|times| times.get(index).copied());
                    if let Ok(mut waits) = waits.lock() {
                        waits.push(at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64()));
                    }
                    Ok::<(), JobStop>(())
                }
            })
        };
        let stop = Stop::new();
        let worker = Worker::new(store.clone(), WorkerConfig::default(), Arc::new(native));
        // Another store: in the same one the worker would be woken without the database's help.
        let elsewhere = Store::open(url, Default::default())?;
        let arrivals = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for index in 0..self.arrivals as usize {
                elsewhere.enqueue(&[NewJob::new("Hello", vec![json!(index)])]).await?;
                if let Ok(mut committed) = committed.lock() {
                    committed.push(Instant::now());
                }
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..=self.pause))).await;
            }
            while waits.lock().map_or(0, |waits| waits.len()) < self.arrivals as usize {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.gracefully();
            anyhow::Ok(())
        };
        let (done, ran) = tokio::join!(arrivals, worker.run(&stop));
        ran?;
        done?;
        let waits = Figures::new(waits.lock().map(|waits| waits.clone()).unwrap_or_default());
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| waits.quantile(q) * 1e3);
        table.figure(
            &format!("{database}: commit to handler start, {} arrivals", self.arrivals),
            format!("p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms"),
        );
        Ok(())
    }
}
