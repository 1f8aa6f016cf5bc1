//! `gritstone work`: one worker.

use super::exit::Exit;
use super::health::HealthOptions;
use super::one_worker::{OneWorker, SHUTDOWN_TIMEOUT};
use super::plan::{Plan, need_database, worker_of_rails};
use super::rails::RailsFiles;
use super::{Global, database, handler, runtime, signals, title};
use crate::health::Health;
use crate::process::{Stop, Worker, WorkerConfig, follow_parent, supervisor_id};
use gritstone_crds::{Duration, QueueWorkerSpec, Spec};
use std::path::PathBuf;
use std::sync::Arc;

/// Run one worker
///
/// What it does is the QueueWorker of a manifest (`-f`), or what is said here. It stops gracefully on TERM and INT, at once on
/// QUIT, and waits while the database is away or has no tables.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone work -f worker.yaml
  gritstone work --process 'python3 worker.py' --queues 'urgent,mail*' --threads 10
  gritstone work --config config/queue.yml --name mailers --process 'bin/bundle exec ruby gritstone_rails.rb'")]
#[command(group = clap::ArgGroup::new("described").multiple(true).args(["file", "rails", "config", "recurring"]))]
pub(super) struct Work {
    /// Manifests with a QueueWorker
    #[arg(short, long, value_name = "FILE|DIR", conflicts_with_all = ["command", "process", "http", "queues", "threads", "allow_commands", "attempts", "shutdown_timeout", "rails", "config", "recurring"])]
    file: Vec<PathBuf>,
    /// Which QueueWorker, where there are several
    #[arg(long, requires = "described")]
    name: Option<String>,
    #[command(flatten)]
    worker: OneWorker,
    #[command(flatten)]
    rails: RailsFiles,
    /// How long to wait for jobs to finish when stopping
    #[arg(long, value_name = "DURATION", default_value_t = SHUTDOWN_TIMEOUT)]
    shutdown_timeout: Duration,
    #[command(flatten)]
    health: HealthOptions,
}

impl Work {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let plan = self.plan()?;
        let (name, spec) = self.spec(plan.as_ref())?;
        need_database(&self.rails, global)?;
        let url = database::address(global)?;
        database::refuse_missing_file(&url).map_err(|exit| exit.during("starting a worker", &url))?;
        let queues: Vec<String> = spec.queues.as_slice().iter().map(ToString::to_string).collect();
        title::set(&format!("gritstone worker {}", queues.join(",")), global);
        // A supervisor has said it already.
        if supervisor_id().is_none() {
            plan.iter().for_each(Plan::say);
        }
        let health = Health::default();
        let _page = self.health.serve(&health)?;
        runtime::block_on(async {
            let handler = health.watched(handler::build(&spec)?, health.expect_handler());
            health.waits("the tables have not been looked at yet");
            health.started();
            // Whether the handler answers is not to depend on the database.
            let asked = Arc::clone(&handler);
            tokio::spawn(async move { asked.ready().await });
            let store = database::open(global).await?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            follow_parent(&stop);
            title::count_jobs(&stop);
            if database::wait_until_usable(&store, &stop, &health).await? {
                let config = WorkerConfig { name, health, ..WorkerConfig::from(&spec) };
                let worker = Worker::new(store, config, handler).supervised_by(supervisor_id());
                worker.run(&stop).await.map_err(|hook| Exit::Refused(hook.to_string()))?;
            }
            Ok(())
        })
    }

    fn plan(&self) -> Result<Option<Plan>, Exit> {
        self.rails.check()?;
        Ok(match (self.rails.are_meant(), self.file.is_empty()) {
            (true, _) => Some(Plan::of_rails(&self.rails, worker_of_rails(&self.worker, self.shutdown_timeout)?)?),
            (false, false) => Some(Plan::of_manifests(&self.file)?),
            (false, true) => None,
        })
    }

    fn spec(&self, plan: Option<&Plan>) -> Result<(String, QueueWorkerSpec), Exit> {
        let Some(plan) = plan else { return Ok((String::new(), self.worker.spec(self.shutdown_timeout)?)) };
        let (name, spec) = plan.one(self.name.as_deref(), "QueueWorker", |spec| match spec {
            Spec::QueueWorker(spec) => Some((**spec).clone()),
            _ => None,
        })?;
        // Workers of Rails' files declare nothing, so theirs is no name that anything is declared by.
        let name = if self.rails.are_meant() { String::new() } else { name };
        Ok((name, spec))
    }
}
