//! How fast jobs go through handlers outside of the engine: long-lived children, and a server.

use crate::cpu;
use crate::drain::{all_written, drain_with_worker, no_op};
use crate::figures::Table;
use crate::http_server;
use crate::server::{Bench, Queue};
use anyhow::Result;
use gritstone::execute::http::{self, HttpHandler};
use gritstone::execute::process::{self, ProcessHandler};
use gritstone::execute::{CommandLine, Handler, Program};
use gritstone::store::Selector;
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

/// Drains a queue of no-op jobs through children or a server, and by a native handler, in turns.
#[derive(Debug, clap::Args)]
pub(crate) struct Handlers {
    /// What carries the jobs
    transport: Transport,
    /// Jobs in the queue
    #[arg(long, default_value_t = 50_000)]
    jobs: u64,
    /// Jobs at a time, and children
    #[arg(long, default_value_t = 10)]
    threads: u32,
    /// Pairs of runs
    #[arg(long, default_value_t = 5)]
    pairs: u32,
    /// The program of the children, in place of benches/handlers/no_op.py
    #[arg(long)]
    command: Option<CommandLine>,
    /// Skip the native handler, for a profiler
    #[arg(long)]
    only_ours: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Transport {
    /// Long-lived children in Python
    Process,
    /// A server in a process of its own
    Http,
}

impl Handlers {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let mut bench = Bench::start().await?;
        let mut pairs = Vec::new();
        for pair in 1..=self.pairs {
            let native = match self.only_ours {
                true => f64::NAN,
                false => self.drain(&bench.queue().await?, Arc::new(no_op())).await?,
            };
            let ours = self.external(&bench.queue().await?).await?;
            println!("pair {pair}: native {native:.0}, {:?} {ours:.0} jobs/s", self.transport);
            pairs.push((native, ours));
        }
        let transport = format!("{:?}", self.transport).to_lowercase();
        let title = format!("drain of {} no-op jobs by `{transport}`, threads {}", self.jobs, self.threads);
        table.rates(&title, "native", &pairs);
        Ok(())
    }

    async fn external(&self, queue: &Queue) -> Result<f64> {
        match self.transport {
            Transport::Process => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers/no_op.py");
                let python = || CommandLine::new(["python3".to_owned(), script.to_string_lossy().into_owned()]);
                let command = self.command.clone().map_or_else(python, Ok)?;
                let settings =
                    process::Settings { children: self.threads, ..process::Settings::new(Program::new(command)) };
                self.drain(queue, Arc::new(ProcessHandler::new(settings))).await
            }
            Transport::Http => {
                let server = http_server::start().await?;
                let handler = HttpHandler::new(http::Settings::new(server.url.parse()?))?;
                self.drain(queue, Arc::new(handler)).await
            }
        }
    }

    /// Jobs a second, from the worker's start to the last completion that is written.
    async fn drain(&self, queue: &Queue, handler: Arc<dyn Handler>) -> Result<f64> {
        queue.fill(self.jobs).await?;
        let before = cpu::by_program();
        let after = RefCell::new(before.clone());
        let drained = || async {
            all_written(&queue.url, 0).await?;
            after.replace(cpu::by_program());
            Ok(())
        };
        let queues = vec![Selector::All];
        let took = drain_with_worker(&queue.store, self.threads, queues, handler, self.jobs, drained).await?;
        let for_each = |(name, seconds): (&String, &f64)| {
            let micros = (seconds - before.get(name).copied().unwrap_or_default()) * 1e6 / self.jobs as f64;
            (micros > 0.5).then(|| format!("{name} {micros:.0}"))
        };
        let computed: Vec<String> = after.borrow().iter().filter_map(for_each).collect();
        println!("computed for each job, in µs: {}", computed.join(", "));
        Ok(self.jobs as f64 / took.as_secs_f64())
    }
}
