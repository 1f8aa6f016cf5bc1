//! `gritstone start`: a whole queue in one process tree.

use super::exit::Exit;
use super::one_worker::{OneWorker, SHUTDOWN_TIMEOUT};
use super::{Global, database, handler, manifests, migrate, not_yet, runtime, signals, tasks, title};
use crate::process::{ChildCommand, DispatcherConfig, Pidfile, Stop, Supervisor, SupervisorConfig, WorkerConfig};
use gritstone_crds::{DispatcherSpec, Duration, QueueWorkerSpec, Spec};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run workers and dispatchers, all that the manifests name
///
/// Without `-f`: one dispatcher and one worker on all queues, whose handler is given by `--command`, `--process` or `--http`. The
/// tables are made or upgraded first. TERM and INT stop gracefully, QUIT at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone start --command ./run-job
  gritstone start --process 'python3 worker.py' --threads 10
  gritstone start -f manifests/ --mode fork --pidfile gritstone.pid")]
pub(super) struct Start {
    /// Manifests: a file, or a folder of .yaml, .yml and .json files; may be repeated
    #[arg(short, long, value_name = "FILE|DIR", conflicts_with_all = ["command", "process", "http", "queues", "threads", "allow_commands"])]
    file: Vec<PathBuf>,
    #[command(flatten)]
    worker: OneWorker,
    /// Everything in this process, or each worker and dispatcher in a child process of its own
    #[arg(long, default_value = "async")]
    mode: Mode,
    /// Refuse to start while another supervisor holds this file
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// How long to wait for jobs to finish when stopping; 5s, or the longest drainTimeout of the manifests
    #[arg(long, value_name = "DURATION")]
    shutdown_timeout: Option<Duration>,
    #[command(flatten)]
    hooks: super::supervisor_hooks::SupervisorHooks,
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

impl Crew {
    /// Who they are, for the title.
    fn names(&self) -> String {
        let names = self.workers.iter().map(|(name, _)| name).chain(self.dispatchers.iter().map(|(name, _)| name));
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.dedup();
        names.join(",")
    }
}

impl Start {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let crew = self.crew()?;
        self.hooks.hooks()?;
        // Now, while someone is watching: a handler that can't be made must not fail in a restart loop.
        for (_, spec) in &crew.workers {
            handler::build(spec)?;
        }
        database::address(global)?;
        // Before the pidfile: its lock belongs to an open file, which would be closed.
        title::set(&format!("gritstone supervisor of {}", crew.names()), global);
        for (name, spec) in &crew.dispatchers {
            let _dispatcher = tracing::info_span!("dispatcher", name).entered();
            not_yet::warn_of_dispatcher(spec);
        }
        let tasks = tasks::sources(&self.file)?;
        if tasks::any(&tasks) && !crew.dispatchers.iter().any(|(_, spec)| spec.scheduler.enabled && spec.replicas > 0) {
            tracing::warn!(
                "the files have recurring tasks and no Dispatcher to run them: they are left to other processes"
            );
        }
        let _pidfile = match &self.pidfile {
            Some(path) => Some(Pidfile::take(path).map_err(|error| Exit::Refused(error.to_string()))?),
            None => None,
        };
        runtime::block_on(async {
            let store = database::open(global).await?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            title::count_jobs(&stop);
            let usable = match crew.dispatchers.iter().all(|(_, spec)| spec.migrate) {
                true => migrate::bring_up(&store, &stop).await?,
                false => database::wait_until_usable(&store, &stop).await?,
            };
            if !usable {
                return Ok(());
            }
            if !tasks::put(&store, &tasks, &stop).await? {
                return Ok(());
            }
            let settings = crew
                .dispatchers
                .first()
                .map_or_else(Default::default, |(_, spec)| DispatcherConfig::from(spec).settings);
            let config = SupervisorConfig {
                shutdown_timeout: self.patience(&crew).as_std(),
                settings,
                hooks: self.hooks.hooks()?,
            };
            let mut supervisor = Supervisor::new(store, config);
            for (name, spec) in &crew.workers {
                for _ in 0..spec.replicas {
                    supervisor = match self.mode {
                        Mode::Async if self.file.is_empty() => in_process(supervisor, "", spec.clone()),
                        Mode::Async => in_process(supervisor, name, spec.clone()),
                        Mode::Fork => supervisor.child(self.child(global, "work", name)?),
                    };
                }
            }
            for (name, spec) in &crew.dispatchers {
                for _ in 0..spec.replicas {
                    supervisor = match self.mode {
                        Mode::Async => supervisor.dispatcher(spec.into()),
                        Mode::Fork => supervisor.child(self.child(global, "dispatch", name)?),
                    };
                }
            }
            supervisor.run(&stop).await.map_err(|hook| Exit::Refused(hook.to_string()))
        })
    }

    fn crew(&self) -> Result<Crew, Exit> {
        if self.file.is_empty() {
            let spec = self.worker.spec(self.shutdown_timeout.unwrap_or(SHUTDOWN_TIMEOUT))?;
            let name = String::from("default");
            return Ok(Crew {
                workers: vec![(name.clone(), spec)],
                dispatchers: vec![(name, DispatcherSpec::default())],
            });
        }
        let mut crew = Crew { workers: Vec::new(), dispatchers: Vec::new() };
        for manifest in manifests::read(&self.file)? {
            let name = manifests::full_name(&manifest.metadata);
            match manifest.spec {
                Spec::QueueWorker(spec) => crew.workers.push((name, *spec)),
                Spec::Dispatcher(spec) => crew.dispatchers.push((name, spec)),
                Spec::RecurringTask(_) | Spec::CronSchedule(_) => {}
            }
        }
        if crew.workers.is_empty() && crew.dispatchers.is_empty() {
            return Err(Exit::Refused(
                "the files name no QueueWorker and no Dispatcher: there is nothing to start".into(),
            ));
        }
        Ok(crew)
    }

    /// How long stopping may take: as long as any of the workers is let finish its jobs.
    fn patience(&self, crew: &Crew) -> Duration {
        let drains = crew.workers.iter().map(|(_, spec)| spec.drain_timeout);
        self.shutdown_timeout.unwrap_or_else(|| drains.max().unwrap_or(SHUTDOWN_TIMEOUT).max(SHUTDOWN_TIMEOUT))
    }

    /// This same program, as one worker or dispatcher. The database's URL goes by the environment: arguments can be seen by
    /// every user of the machine.
    fn child(&self, global: &Global, subcommand: &str, name: &str) -> Result<ChildCommand, Exit> {
        let program = std::env::current_exe()?;
        let mut arguments: Vec<OsString> = vec![subcommand.into()];
        if self.file.is_empty() {
            if subcommand == "work" {
                arguments.extend(self.worker.arguments());
                let timeout = self.shutdown_timeout.unwrap_or(SHUTDOWN_TIMEOUT);
                arguments.push(format!("--shutdown-timeout={timeout}").into());
            }
        } else {
            for file in &self.file {
                arguments.extend(["--file".into(), file.into()]);
            }
            arguments.extend(["--name".into(), name.into()]);
        }
        let environment = vec![
            ("DATABASE_URL".into(), (&global.database).into()),
            ("GRITSTONE_LOG".into(), (&global.log).into()),
            ("GRITSTONE_LOG_FORMAT".into(), global.log_format.name().into()),
        ];
        Ok(ChildCommand { program, arguments, environment, takes_jobs: subcommand == "work" })
    }
}

fn in_process(supervisor: Supervisor, name: &str, spec: QueueWorkerSpec) -> Supervisor {
    let config = WorkerConfig { name: name.to_owned(), ..WorkerConfig::from(&spec) };
    supervisor.try_worker(config, move || handler::build(&spec))
}
