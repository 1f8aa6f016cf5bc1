//! How fast a full queue is emptied.

use crate::figures::Table;
use crate::server::{Bench, Queue};
use anyhow::Result;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use gritstone::execute::native::{JobContext, Native, Stop as JobStop};
use gritstone::execute::{Context, Handler, Job, Report};
use gritstone::process::{Stop, Worker, WorkerConfig};
use gritstone::store::{Selector, Store};
use sqlx::{Connection as _, Executor as _};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Drains a queue of no-op jobs, raw and by a worker, in turns.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// Jobs in the queue
    #[arg(long, default_value_t = 200_000)]
    jobs: u64,
    /// Jobs at a time in the worker; raw SQL claims half as many at a time in each of two clients
    #[arg(long, default_value_t = 1_000)]
    threads: u32,
    /// Jobs that raw SQL claims at a time
    #[arg(long, default_value_t = 500)]
    batch: u32,
    /// Pairs of runs
    #[arg(long, default_value_t = 7)]
    pairs: u32,
    /// Delete finished jobs instead of keeping them
    #[arg(long)]
    delete: bool,
    /// Serve the queue by name instead of any queue
    #[arg(long)]
    named: bool,
    /// Compare with our own drain undisturbed, instead of raw SQL, while a transaction is held open elsewhere
    #[arg(long, conflicts_with = "only_ours")]
    held_transaction: bool,
    /// With that: let one worker drain round after round until it has been open for so long, or for as long without it, and count
    /// the last round
    #[arg(long, default_value_t = 0, requires = "held_transaction")]
    held_seconds: u64,
    /// Compare with our own drain of a fresh database, instead of raw SQL, with so many finished jobs in the table
    #[arg(long, default_value_t = 0, conflicts_with_all = ["only_ours", "held_transaction"])]
    finished: u64,
    /// Skip raw SQL, for a profiler
    #[arg(long)]
    only_ours: bool,
    /// Print the server's own times of the statements
    #[arg(long)]
    statements: bool,
}

/// A row while a job after `$1` is claimed. Others' dead entries are left aside: beside a transaction held open, looking at all of them
/// would take a good part of the time that is measured.
const CLAIMED: &str = "select 1 from solid_queue_claimed_executions \
     where process_id in (select id from solid_queue_processes) and job_id > $1 limit 1";

impl Drain {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let mut bench = Bench::start().await?;
        bench.count_statements().await?;
        let mut pairs = Vec::new();
        for pair in 0..self.pairs {
            let disturbed = self.held_transaction || self.finished > 0;
            let raw = match (self.only_ours, disturbed) {
                (true, _) => f64::NAN,
                (_, true) => self.jobs as f64 / self.ours(&bench.queue().await?, false).await?.as_secs_f64(),
                _ => self.jobs as f64 / self.raw(&bench.queue().await?).await?.as_secs_f64(),
            };
            let ours = self.jobs as f64 / self.ours(&bench.queue().await?, disturbed).await?.as_secs_f64();
            // Minutes later the machine may be another one: what is undisturbed is the mean of before and after, unless it took as long.
            let raw = match self.finished > 0 {
                true => (raw + self.jobs as f64 / self.ours(&bench.queue().await?, false).await?.as_secs_f64()) / 2.0,
                false => raw,
            };
            println!("pair {}: {} {raw:.0}, gritstone {ours:.0} jobs/s", pair + 1, self.beside());
            pairs.push((raw, ours));
        }
        table.rates(&self.title(), self.beside(), &pairs);
        if self.statements {
            for (calls, mean, rows, text) in bench.statements("solid_queue").await? {
                let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(90).collect();
                println!(
                    "{calls:>8} calls, mean {mean:>9.1} µs, {:>6.1} rows a call: {text}",
                    rows as f64 / calls as f64
                );
            }
        }
        Ok(())
    }

    fn beside(&self) -> &'static str {
        if self.held_transaction || self.finished > 0 { "undisturbed" } else { "raw SQL" }
    }

    fn title(&self) -> String {
        let kept = if self.delete { "deleted" } else { "kept" };
        let queue = if self.named { "a queue by name" } else { "any queue" };
        let what = format!("drain of {} no-op jobs, {kept}, {queue}, threads {}", self.jobs, self.threads);
        match (self.held_transaction, self.finished) {
            (true, _) => format!("{what}, beside a transaction held open"),
            (_, 0) => format!("{what}, raw batch {}", self.batch),
            (_, finished) => format!("{what}, {finished} finished jobs in the table"),
        }
    }

    async fn raw(&self, queue: &Queue) -> Result<Duration> {
        queue.register_clients(2).await?;
        queue.fill(self.jobs).await?;
        let script = if self.delete { "claim_delete.sql" } else { "claim_finish.sql" };
        queue.pgbench(script, self.batch, self.jobs / u64::from(self.batch) / 2).await
    }

    async fn ours(&self, queue: &Queue, disturbed: bool) -> Result<Duration> {
        if disturbed && self.finished > 0 {
            queue.fill_finished(self.finished).await?;
        }
        queue.fill(self.jobs).await?;
        let mut elsewhere = sqlx::PgConnection::connect(&queue.url).await?;
        if disturbed && self.held_transaction {
            elsewhere.execute("begin isolation level repeatable read").await?;
            elsewhere.execute("select count(*) from solid_queue_pauses").await?;
        }
        let mut settings = queue.store.session().await?.settings().await?;
        settings.preserve_finished_jobs = !self.delete;
        queue.store.session().await?.write_settings(&settings).await?;
        let queues = if self.named { vec![Selector::Exact("default".into())] } else { vec![Selector::All] };
        if self.held_transaction {
            return self.rounds(queue, queues).await;
        }
        let url = queue.url.clone();
        drain_with_worker(&queue.store, self.threads, queues, Arc::new(no_op()), self.jobs, || all_written(&url, 0))
            .await
    }

    /// One worker, round after round, until it has worked for long enough; what the last round took. Claims are paused while the queue is
    /// filled.
    async fn rounds(&self, queue: &Queue, queues: Vec<Selector>) -> Result<Duration> {
        let (worker, ran) = worker_of(&queue.store, self.threads, queues, Arc::new(no_op()));
        let stop = Stop::new();
        let rounds = async {
            let began_at = Instant::now();
            let (mut before, mut round) = (0, 0);
            loop {
                round += 1;
                let began = Instant::now();
                stop.resume();
                while ran.load(Ordering::Relaxed) < self.jobs * round {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                all_written(&queue.url, before).await?;
                let (took, so_far) = (began.elapsed(), began_at.elapsed());
                println!("after {:.0} s: {:.0} jobs/s", so_far.as_secs_f64(), self.jobs as f64 / took.as_secs_f64());
                if so_far.as_secs() >= self.held_seconds {
                    return Ok(took);
                }
                stop.pause();
                before = queue.psql("select max(id) from solid_queue_jobs").await?.parse()?;
                queue.fill(self.jobs).await?;
            }
        };
        let both = async {
            let took = rounds.await;
            stop.gracefully();
            took
        };
        let (took, ended) = tokio::join!(both, worker.run(&stop));
        ended?;
        took
    }
}

/// Waits until the claims of all jobs after this one are gone: a job is done when its claim is gone, in the transaction that marks it
/// finished.
pub(crate) async fn all_written(url: &str, after: i64) -> Result<()> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    while sqlx::query(CLAIMED).bind(after).fetch_optional(&mut connection).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A handler that does nothing.
pub(crate) fn no_op() -> Native {
    Native::new().on("Hello", |_: Vec<serde_json::Value>, _: JobContext| async { Ok::<(), JobStop>(()) })
}

/// A worker with this handler, and how many jobs it has run.
fn worker_of(
    store: &Store,
    threads: u32,
    queues: Vec<Selector>,
    handler: Arc<dyn Handler>,
) -> (Worker, Arc<AtomicU64>) {
    let ran = Arc::new(AtomicU64::new(0));
    let counted = Counted { handler, ran: Arc::clone(&ran) };
    let config = WorkerConfig { threads, queues, ..WorkerConfig::default() };
    (Worker::new(store.clone(), config, Arc::new(counted)), ran)
}

/// A handler whose runs are counted.
struct Counted {
    handler: Arc<dyn Handler>,
    ran: Arc<AtomicU64>,
}

impl Handler for Counted {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        let run = self.handler.run(job, context);
        Box::pin(run.inspect(|_| {
            self.ran.fetch_add(1, Ordering::Relaxed);
        }))
    }

    fn classes(&self) -> Option<Vec<String>> {
        self.handler.classes()
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        self.handler.ready()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.handler.shutdown()
    }
}

/// Runs a worker with this handler until it has run all jobs and `drained` says that they are written; the time
/// that took. The database is asked only at the end: a look at a table full of dead rows is not free.
pub(crate) async fn drain_with_worker<F>(
    store: &Store,
    threads: u32,
    queues: Vec<Selector>,
    handler: Arc<dyn Handler>,
    jobs: u64,
    drained: impl FnOnce() -> F,
) -> Result<Duration>
where
    F: Future<Output = Result<()>>,
{
    let (worker, ran) = worker_of(store, threads, queues, handler);
    let stop = Stop::new();
    let began = Instant::now();
    let watch = async {
        while ran.load(Ordering::Relaxed) < jobs {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let result = drained().await;
        let took = began.elapsed();
        stop.gracefully();
        result.map(|()| took)
    };
    let (took, ran) = tokio::join!(watch, worker.run(&stop));
    ran?;
    took
}
