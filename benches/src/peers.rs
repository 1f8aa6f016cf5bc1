//! Other job systems on the same server, in the same run: River and Solid Queue, each driven by a small program of ours in
//! `benches/peers`, which does what it is asked, times itself and prints the seconds.

use crate::drain::{all_written, drain_with_worker, no_op};
use crate::enqueue::bulk;
use crate::figures::Table;
use crate::server::{Bench, psql, settle};
use anyhow::{Context as _, Result, bail};
use gritstone::store::Selector;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// Enqueues and drains no-op jobs by Gritstone and by other job systems, in turns.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Jobs in the queue of Gritstone and of River
    #[arg(long, default_value_t = 200_000)]
    jobs: u64,
    /// Jobs in the queue of Solid Queue
    #[arg(long, default_value_t = 5_000)]
    solid_queue_jobs: u64,
    /// Jobs a call of a bulk enqueue, in two clients
    #[arg(long, default_value_t = 500)]
    batch: u64,
    /// Jobs at a time in Gritstone's worker
    #[arg(long, default_value_t = 1_000)]
    threads: u32,
    /// Jobs at a time in River's client (`MaxWorkers`)
    #[arg(long, default_value_t = 500)]
    river_workers: u32,
    /// Threads of Solid Queue's worker
    #[arg(long, default_value_t = 50)]
    solid_queue_threads: u32,
    /// Rounds: each system once in every round, another one first in each
    #[arg(long, default_value_t = 5)]
    pairs: usize,
}

/// Jobs enqueued and drained a second.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    enqueued: f64,
    drained: f64,
}

impl Peers {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let calls = 2 * self.batch;
        if ![self.jobs, self.solid_queue_jobs].iter().all(|jobs| jobs.is_multiple_of(calls)) {
            bail!("--jobs and --solid-queue-jobs must be multiples of twice --batch, for two clients to enqueue them");
        }
        let folder = tempfile::tempdir()?;
        let mut peers = Vec::new();
        for found in [self.river(folder.path()).await, self.solid_queue().await] {
            match found {
                Ok(peer) => peers.push(peer),
                Err(missing) => {
                    println!("{missing:#}");
                    table.figure(&format!("{missing}"), "not measured".into());
                }
            }
        }
        if peers.is_empty() {
            bail!("there is no other job system to measure: benches/README.md says what to install");
        }
        let mut bench = Bench::start().await?;
        let mut rounds = Vec::new();
        for round in 0..self.pairs {
            let mut rates = vec![Rates::default(); peers.len() + 1];
            for turn in 0..rates.len() {
                let index = (round + turn) % rates.len();
                rates[index] = match peers.get(index) {
                    Some(peer) => peer.measure(&mut bench, self.batch).await.with_context(|| peer.title.clone())?,
                    None => self.ours(&mut bench).await?,
                };
            }
            println!("round {}, jobs/s enqueued and drained:", round + 1);
            for (title, rates) in peers.iter().map(|peer| peer.title.as_str()).chain(["Gritstone"]).zip(&rates) {
                println!("  {title}: {:.0}, {:.0}", rates.enqueued, rates.drained);
            }
            rounds.push(rates);
        }
        for (index, peer) in peers.iter().enumerate() {
            let pairs = |of: fn(Rates) -> f64| -> Vec<(f64, f64)> {
                rounds.iter().map(|rates| (of(rates[index]), of(rates[peers.len()]))).collect()
            };
            let theirs = format!("{} with {}", peer.jobs, peer.settings);
            let drain = format!("drain of {} no-op jobs, threads {}, beside {theirs}", self.jobs, self.threads);
            table.rates(&drain, &peer.title, &pairs(|rates| rates.drained));
            let enqueue = format!("bulk enqueue of as many, {} a call, 2 clients", self.batch);
            table.rates(&enqueue, &peer.title, &pairs(|rates| rates.enqueued));
        }
        Ok(())
    }

    async fn ours(&self, bench: &mut Bench) -> Result<Rates> {
        let queue = bench.queue().await?;
        let enqueued = bulk(&queue.store, self.jobs, usize::try_from(self.batch)?).await?;
        settle(&queue.url).await?;
        let (worker, queues) = (Arc::new(no_op()), vec![Selector::All]);
        let written = || all_written(&queue.url, 0);
        let drained = drain_with_worker(&queue.store, self.threads, queues, worker, self.jobs, written).await?;
        queue.store.close().await;
        Ok(Rates::of(self.jobs, enqueued, drained))
    }

    /// River, whose program is built here.
    async fn river(&self, folder: &Path) -> Result<Peer> {
        let program = folder.join("river");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&program).arg(".").current_dir(sources().join("river"));
        output(build).await.context("River is left out: benches/peers/river could not be built with go 1.26")?;
        Peer {
            command: vec![program],
            tables: Tables::Own,
            jobs: self.jobs,
            threads: self.river_workers,
            settings: format!("MaxWorkers {}", self.river_workers),
            title: String::new(),
        }
        .titled()
        .await
    }

    /// Solid Queue, if this machine's Ruby (or `RUBY`) has it.
    async fn solid_queue(&self) -> Result<Peer> {
        let ruby = std::env::var_os("RUBY").unwrap_or_else(|| "ruby".into());
        let peer = Peer {
            command: vec![ruby.into(), sources().join("solid_queue/peer.rb")],
            tables: Tables::Rails,
            jobs: self.solid_queue_jobs,
            threads: self.solid_queue_threads,
            settings: format!("{} threads", self.solid_queue_threads),
            title: String::new(),
        };
        peer.titled().await.context("Solid Queue is left out: gem install rails solid_queue pg, or name a Ruby in RUBY")
    }
}

/// Another job system.
struct Peer {
    title: String,
    command: Vec<PathBuf>,
    tables: Tables,
    jobs: u64,
    threads: u32,
    settings: String,
}

/// Where a system's tables come from.
#[derive(PartialEq, Eq)]
enum Tables {
    /// Its program makes them
    Own,
    /// The schema that Rails dumps, without anything of ours
    Rails,
}

impl Peer {
    /// With the name and versions that the program prints.
    async fn titled(mut self) -> Result<Self> {
        self.title = self.ask(&["version"]).await?;
        Ok(self)
    }

    async fn measure(&self, bench: &mut Bench, batch: u64) -> Result<Rates> {
        let url = bench.database().await?;
        if self.tables == Tables::Own {
            self.ask(&["migrate", &url]).await?;
        } else {
            let schema = sources().join("../../tests/fixtures/rails/schema.postgres.sql");
            psql(&url, ["-f", &schema.to_string_lossy()]).await?;
        }
        let (jobs, threads) = (self.jobs.to_string(), self.threads.to_string());
        let enqueued = self.time(&["enqueue", &url, &jobs, &batch.to_string(), "2"]).await?;
        settle(&url).await?;
        let drained = self.time(&["drain", &url, &jobs, &threads]).await?;
        Ok(Rates::of(self.jobs, enqueued, drained))
    }

    async fn time(&self, what: &[&str]) -> Result<Duration> {
        let printed = self.ask(what).await?;
        let seconds = printed.lines().last().and_then(|line| line.parse().ok());
        Ok(Duration::from_secs_f64(seconds.with_context(|| format!("{what:?} printed no seconds but {printed:?}"))?))
    }

    async fn ask(&self, what: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(what);
        output(command).await
    }
}

impl Rates {
    fn of(jobs: u64, enqueued: Duration, drained: Duration) -> Self {
        Rates { enqueued: jobs as f64 / enqueued.as_secs_f64(), drained: jobs as f64 / drained.as_secs_f64() }
    }
}

/// What a program printed; an error says what it complained of.
async fn output(mut command: Command) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.kill_on_drop(true).output().await.with_context(|| format!("{program} can't be started"))?;
    if !output.status.success() {
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}
