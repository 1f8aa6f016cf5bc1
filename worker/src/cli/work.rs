//! `gritstone work`: one worker.

use super::exit::Exit;
use super::one_worker::{OneWorker, SHUTDOWN_TIMEOUT};
use super::{Global, database, handler, manifests, runtime, signals, title};
use crate::process::{Stop, Worker, WorkerConfig, follow_parent, supervisor_id};
use gritstone_crds::{Duration, QueueWorkerSpec, Spec};
use std::path::PathBuf;

/// Run one worker
///
/// What it does is the QueueWorker of a manifest (`-f`), or what is said here. It stops gracefully on TERM and INT, at once on
/// QUIT, and waits while the database is away or has no tables.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone work -f worker.yaml
  gritstone work --process 'python3 worker.py' --queues 'urgent,mail*' --threads 10")]
pub(super) struct Work {
    /// Manifests with a QueueWorker
    #[arg(short, long, value_name = "FILE|DIR", conflicts_with_all = ["command", "process", "http", "queues", "threads", "allow_commands", "shutdown_timeout"])]
    file: Vec<PathBuf>,
    /// Which QueueWorker, where there are several
    #[arg(long, requires = "file")]
    name: Option<String>,
    #[command(flatten)]
    worker: OneWorker,
    /// How long to wait for jobs to finish when stopping
    #[arg(long, value_name = "DURATION", default_value_t = SHUTDOWN_TIMEOUT)]
    shutdown_timeout: Duration,
}

impl Work {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let (name, spec) = self.spec()?;
        let url = database::address(global)?;
        database::refuse_missing_file(&url).map_err(|exit| exit.during("starting a worker", &url))?;
        let queues: Vec<String> = spec.queues.as_slice().iter().map(ToString::to_string).collect();
        title::set(&format!("gritstone worker {}", queues.join(",")), global);
        runtime::block_on(async {
            let handler = handler::build(&spec)?;
            let store = database::open(global).await?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            follow_parent(&stop);
            title::count_jobs(&stop);
            if database::wait_until_usable(&store, &stop).await? {
                let config = WorkerConfig { name, ..WorkerConfig::from(&spec) };
                let worker = Worker::new(store, config, handler).supervised_by(supervisor_id());
                worker.run(&stop).await.map_err(|hook| Exit::Refused(hook.to_string()))?;
            }
            Ok(())
        })
    }

    fn spec(&self) -> Result<(String, QueueWorkerSpec), Exit> {
        if self.file.is_empty() {
            return Ok((String::new(), self.worker.spec(self.shutdown_timeout)?));
        }
        manifests::one(&self.file, self.name.as_deref(), "QueueWorker", |spec| match spec {
            Spec::QueueWorker(spec) => Some(*spec),
            _ => None,
        })
    }
}
