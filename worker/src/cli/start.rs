//! `gritstone start`: a whole queue in one process tree.

use super::exit::Exit;
use super::handler::{self, HandlerOptions};
use super::{Global, database, manifests, runtime, signals};
use crate::execute::{Context, Handler, Job, Outcome, Report};
use crate::process::{ChildCommand, DispatcherConfig, Pidfile, Stop, Supervisor, SupervisorConfig, WorkerConfig};
use futures::future::BoxFuture;
use gritstone_crds::{DispatcherSpec, Duration, QueueWorkerSpec, Spec};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Run workers and dispatchers, all that the manifests name
///
/// Without `-f`: one dispatcher and one worker on all queues, whose handler is given by `--command` or `--process`. The
/// tables are made or upgraded first. TERM and INT stop gracefully, QUIT at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone start --command ./run-job
  gritstone start --process 'python3 worker.py' --threads 10
  gritstone start -f manifests/ --mode fork --pidfile gritstone.pid")]
pub(super) struct Start {
    /// Manifests: a file, or a folder of .yaml, .yml and .json files; may be repeated
    #[arg(short, long, value_name = "FILE|DIR", conflicts_with_all = ["command", "process", "queues", "threads"])]
    file: Vec<PathBuf>,
    #[command(flatten)]
    handler: HandlerOptions,
    /// The queues of the one worker, in order: names, `mail*`, `!slow`, `*`
    #[arg(long, value_name = "LIST", default_value = "*")]
    queues: String,
    /// Jobs at a time in the one worker
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    threads: i32,
    /// Everything in this process, or each worker and dispatcher in a child process of its own
    #[arg(long, default_value = "async")]
    mode: Mode,
    /// Refuse to start while another supervisor holds this file
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// How long to wait for jobs to finish when stopping
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    shutdown_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Tasks of this process.
    Async,
    /// Child processes.
    Fork,
}

/// What is to be run.
struct Crew {
    workers: Vec<(String, QueueWorkerSpec)>,
    dispatchers: Vec<(String, DispatcherSpec)>,
}

impl Start {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let crew = self.crew()?;
        // Now, while someone is watching: a handler that can't be made must not fail in a restart loop.
        for (_, spec) in &crew.workers {
            handler::build(spec)?;
        }
        let _pidfile = match &self.pidfile {
            Some(path) => Some(Pidfile::take(path).map_err(|error| Exit::Refused(error.to_string()))?),
            None => None,
        };
        runtime::block_on(async {
            let store = database::open(global)?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            if crew.dispatchers.iter().all(|(_, spec)| spec.migrate) {
                super::migrate::bring_up(&store, &stop).await?;
            }
            let settings = crew
                .dispatchers
                .first()
                .map_or_else(Default::default, |(_, spec)| DispatcherConfig::from(spec).settings);
            let config = SupervisorConfig { shutdown_timeout: self.shutdown_timeout.as_std(), settings };
            let mut supervisor = Supervisor::new(store, config);
            for (name, spec) in &crew.workers {
                for _ in 0..spec.replicas.max(1) {
                    supervisor = match self.mode {
                        Mode::Async => in_process(supervisor, spec.clone()),
                        Mode::Fork => supervisor.child(self.child(global, "work", name)?),
                    };
                }
            }
            for (name, spec) in &crew.dispatchers {
                for _ in 0..spec.replicas.max(1) {
                    supervisor = match self.mode {
                        Mode::Async => supervisor.dispatcher(spec.into()),
                        Mode::Fork => supervisor.child(self.child(global, "dispatch", name)?),
                    };
                }
            }
            supervisor.run(&stop).await;
            Ok(())
        })
    }

    fn crew(&self) -> Result<Crew, Exit> {
        if self.file.is_empty() {
            let spec = QueueWorkerSpec {
                handler: self.handler.spec()?,
                threads: self.threads,
                queues: self.queues.parse().map_err(|error| Exit::Usage(format!("--queues: {error}")))?,
                drain_timeout: self.shutdown_timeout,
                ..QueueWorkerSpec::default()
            };
            let name = String::from("default");
            return Ok(Crew {
                workers: vec![(name.clone(), spec)],
                dispatchers: vec![(name, DispatcherSpec::default())],
            });
        }
        let mut crew = Crew { workers: Vec::new(), dispatchers: Vec::new() };
        for manifest in manifests::read(&self.file)? {
            let name = manifest.metadata.name.clone();
            match manifest.spec {
                Spec::QueueWorker(spec) => crew.workers.push((name, *spec)),
                Spec::Dispatcher(spec) => crew.dispatchers.push((name, spec)),
                Spec::RecurringTask(_) | Spec::CronSchedule(_) => {
                    tracing::warn!(name, "recurring tasks are not run yet; this one is left out");
                }
            }
        }
        if crew.workers.is_empty() && crew.dispatchers.is_empty() {
            return Err(Exit::Refused(
                "the files name no QueueWorker and no Dispatcher: there is nothing to start".into(),
            ));
        }
        Ok(crew)
    }

    /// This same program, as one worker or dispatcher. The database's URL goes by the environment: arguments can be seen by
    /// every user of the machine.
    fn child(&self, global: &Global, subcommand: &str, name: &str) -> Result<ChildCommand, Exit> {
        let program = std::env::current_exe()?;
        let mut arguments: Vec<OsString> = vec![subcommand.into()];
        if self.file.is_empty() {
            if subcommand == "work" {
                let options = [("--command", &self.handler.command), ("--process", &self.handler.process)];
                for (option, value) in options {
                    if let Some(value) = value {
                        arguments.extend([option.into(), value.into()]);
                    }
                }
            }
        } else {
            for file in &self.file {
                arguments.extend(["--file".into(), file.into()]);
            }
            arguments.extend(["--name".into(), name.into()]);
        }
        let environment =
            vec![("DATABASE_URL".into(), (&global.database).into()), ("GRITSTONE_LOG".into(), (&global.log).into())];
        Ok(ChildCommand { program, arguments, environment })
    }
}

fn in_process(supervisor: Supervisor, spec: QueueWorkerSpec) -> Supervisor {
    let config = WorkerConfig::from(&spec);
    supervisor.worker(config, move || match handler::build(&spec) {
        Ok(handler) => handler,
        // It could be made a moment ago, before anything was started.
        Err(error) => Arc::new(NoHandler(error.to_string())),
    })
}

/// Stands in for a handler that can't be made any more: it never becomes ready, so nothing is claimed for it.
struct NoHandler(String);

impl Handler for NoHandler {
    fn run(&self, _: Arc<Job>, _: Context) -> BoxFuture<'_, Report> {
        Box::pin(async { Outcome::Release { delay: None }.into() })
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        tracing::error!(error = self.0, "the worker's handler can't be made; it claims nothing");
        Box::pin(std::future::pending())
    }
}
