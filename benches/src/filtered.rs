//! What a worker of some classes costs while all that waits is of others, and what it costs those who write meanwhile.

use crate::cpu;
use crate::figures::{Figures, Table};
use crate::latency::Latency;
use anyhow::Result;
use gritstone::execute::native::{JobContext, Native, Stop as JobStop};
use gritstone::process::{Stop, Worker, WorkerConfig};
use gritstone::store::{MigrateOptions, NewJob, Store, StoreOptions};
use gritstone_tests::servers::{PrivateServer, Server, ServerOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Lets a worker idle beside a backlog of other classes: its computing time, how long enqueuers wait meanwhile, and how long its own jobs do.
#[derive(Debug, clap::Args)]
pub(crate) struct Filtered {
    /// Which database
    database: Database,
    /// Ready jobs of another class
    #[arg(long, default_value_t = 200_000)]
    jobs: usize,
    /// How long to watch, twice, in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Database {
    Postgres,
    Mariadb,
    Mysql,
    Sqlite,
}

impl Filtered {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let kind = match self.database {
            Database::Postgres => Some(Server::Postgres),
            Database::Mariadb => Some(Server::MariaDb),
            Database::Mysql => Some(Server::MySql),
            Database::Sqlite => None,
        };
        let server = match kind {
            Some(kind) => Some(PrivateServer::start(kind, ServerOptions::durable()).await?),
            None => None,
        };
        let folder = tempfile::tempdir()?;
        for jobs in [0, self.jobs] {
            let url = match &server {
                Some(server) => server.create_database(&format!("bench_{jobs}")).await?,
                None => format!("sqlite://{}/{jobs}.db", folder.path().display()),
            };
            let store = Store::open(&url, StoreOptions::default())?;
            store.migrate(MigrateOptions::default()).await?;
            let batch = vec![other(); 1_000];
            for _ in 0..jobs / batch.len() {
                store.enqueue(&batch).await?;
            }
            let beside = format!("{:?}, {jobs} jobs of other classes ready", self.database);
            self.watch(&store, &url, &beside, table).await?;
            Latency { arrivals: 200, pause: 40 }.on(&store, &url, &beside, table).await?;
        }
        Ok(())
    }

    async fn watch(&self, store: &Store, url: &str, beside: &str, table: &mut Table) -> Result<()> {
        let native = Native::new().on("Wanted", |(): (), _: JobContext| async { Ok::<(), JobStop>(()) });
        let worker = Worker::new(store.clone(), WorkerConfig::default(), Arc::new(native));
        let stop = Stop::new();
        let watching = async {
            sleep(Duration::from_secs(3)).await;
            let before = cpu::by_program();
            sleep(Duration::from_secs(self.seconds)).await;
            let shares = cpu::by_program().into_iter().map(|(name, seconds)| {
                let share = (seconds - before.get(&name).unwrap_or(&0.0)) / self.seconds as f64;
                format!("{name} {:.1} %", share * 100.0)
            });
            let shares: Vec<String> = shares.collect();
            table.figure(&format!("an idle worker's share of a core, {beside}"), shares.join(", "));
            // Another store: in the same one the worker would be woken without the database's help.
            let elsewhere = Store::open(url, StoreOptions::default())?;
            let mut waits = Vec::new();
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(self.seconds) {
                let began = Instant::now();
                elsewhere.enqueue(&[other()]).await?;
                waits.push(began.elapsed().as_secs_f64() * 1e3);
                sleep(Duration::from_millis(20)).await;
            }
            let waits = Figures::new(waits);
            let (p50, p90, max) = (waits.median(), waits.quantile(0.9), waits.max());
            let waits = format!("p50 {p50:.2} ms, p90 {p90:.2} ms, max {max:.2} ms");
            table.figure(&format!("an enqueue beside it, {beside}"), waits);
            stop.gracefully();
            anyhow::Ok(())
        };
        let (done, ran) = tokio::join!(watching, worker.run(&stop));
        ran?;
        done
    }
}

fn other() -> NewJob {
    NewJob::new("Other", vec![])
}
