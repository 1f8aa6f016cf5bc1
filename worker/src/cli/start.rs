//! `gritstone start`: a whole queue in one process tree.

use super::exit::Exit;
use super::health::HealthOptions;
use super::one_worker::{OneWorker, SHUTDOWN_TIMEOUT};
use super::plan::{Plan, need_database, worker_of_rails};
use super::rails::RailsFiles;
use super::{Global, database, handler, manifests, migrate, runtime, signals, tasks, title};
use crate::health::Health;
use crate::process::{ChildCommand, DispatcherConfig, Pidfile, Stop, Supervisor, SupervisorConfig, WorkerConfig};
use gritstone_crds::{DispatcherSpec, Duration, QueueWorkerSpec, Spec};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run workers and dispatchers, all that the manifests name
///
/// In place of manifests it takes a Rails application's own files (`--rails`, `--config`, `--recurring`). Without either: one dispatcher and one worker on all queues, whose handler is given by `--command`, `--process` or `--http`. The
/// tables are made or upgraded first. TERM and INT stop gracefully, QUIT at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone start --command ./run-job
  gritstone start --process 'python3 worker.py' --threads 10
  gritstone start -f manifests/ --mode fork --pidfile gritstone.pid
  gritstone start --rails --process 'bin/bundle exec ruby gritstone_rails.rb config/environment.rb'
  gritstone start --config config/queue.yml --recurring config/recurring.yml --environment production --process ...")]
pub(super) struct Start {
    /// Manifests: a file, or a folder of .yaml, .yml and .json files; may be repeated
    #[arg(short, long, value_name = "FILE|DIR", conflicts_with_all = ["command", "process", "http", "queues", "threads", "allow_commands", "attempts", "rails", "config", "recurring"])]
    file: Vec<PathBuf>,
    #[command(flatten)]
    worker: OneWorker,
    #[command(flatten)]
    rails: RailsFiles,
    /// Everything in this process, or each worker and dispatcher in a child process of its own [default: async, or with Solid
    /// Queue's files SOLID_QUEUE_SUPERVISOR_MODE]
    #[arg(long)]
    mode: Option<Mode>,
    /// Refuse to start while another supervisor holds this file
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// How long to wait for jobs to finish when stopping; 5s, or the longest drainTimeout of the manifests
    #[arg(long, value_name = "DURATION")]
    shutdown_timeout: Option<Duration>,
    #[command(flatten)]
    hooks: super::supervisor_hooks::SupervisorHooks,
    #[command(flatten)]
    health: HealthOptions,
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
        let plan = self.plan()?;
        let crew = self.crew(plan.as_ref())?;
        let mode = self.mode()?;
        self.hooks.hooks()?;
        // Now, while someone is watching: a handler that can't be made must not fail in a restart loop.
        for (_, spec) in crew.workers.iter().filter(|(_, spec)| spec.replicas > 0) {
            handler::build(spec)?;
        }
        need_database(&self.rails, global)?;
        database::address(global)?;
        // Before the pidfile: its lock belongs to an open file, which would be closed.
        title::set(&format!("gritstone supervisor of {}", crew.names()), global);
        plan.iter().for_each(Plan::say);
        let tasks = plan.map(|plan| plan.tasks).unwrap_or_default();
        if tasks::any(&tasks) && !crew.dispatchers.iter().any(|(_, spec)| spec.scheduler.enabled && spec.replicas > 0) {
            tracing::warn!(
                "the files have recurring tasks and no Dispatcher to run them: they are left to other processes"
            );
        }
        let health = Health::default();
        let _page = self.health.serve(&health)?;
        runtime::block_on(async {
            let stop = Stop::new();
            // Before the pidfile, which tells others whom to send signals to.
            signals::listen(&stop)?;
            let _pidfile = match &self.pidfile {
                Some(path) => Some(Pidfile::take(path).map_err(|error| Exit::Refused(error.to_string()))?),
                None => None,
            };
            let store = database::open(global).await?;
            title::count_jobs(&stop);
            let usable = match crew.dispatchers.iter().all(|(_, spec)| spec.migrate) {
                true => migrate::bring_up(&store, &stop, &health).await?,
                false => database::wait_until_usable(&store, &stop, &health).await?,
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
                health: health.clone(),
            };
            let mut supervisor = Supervisor::new(store, config);
            for (name, spec) in &crew.workers {
                for _ in 0..spec.replicas {
                    supervisor = match mode {
                        Mode::Async if self.file.is_empty() => in_process(supervisor, "", spec.clone(), &health),
                        Mode::Async => in_process(supervisor, name, spec.clone(), &health),
                        Mode::Fork => supervisor.child(self.child(global, "work", name)?),
                    };
                }
            }
            for (name, spec) in &crew.dispatchers {
                for _ in 0..spec.replicas {
                    supervisor = match mode {
                        Mode::Async => {
                            supervisor.dispatcher(DispatcherConfig { health: health.clone(), ..spec.into() })
                        }
                        Mode::Fork => supervisor.child(self.child(global, "dispatch", name)?),
                    };
                }
            }
            health.started();
            supervisor.run(&stop).await.map_err(|hook| Exit::Refused(hook.to_string()))
        })
    }

    /// What files say; nothing, when none are named.
    fn plan(&self) -> Result<Option<Plan>, Exit> {
        self.rails.check()?;
        Ok(match (self.rails.are_meant(), self.file.is_empty()) {
            (true, _) => {
                let worker = worker_of_rails(&self.worker, self.shutdown_timeout.unwrap_or(SHUTDOWN_TIMEOUT))?;
                Some(Plan::of_rails(&self.rails, worker)?)
            }
            (false, false) => Some(Plan::of_manifests(&self.file)?),
            (false, true) => None,
        })
    }

    fn crew(&self, plan: Option<&Plan>) -> Result<Crew, Exit> {
        let Some(plan) = plan else {
            let spec = self.worker.spec(self.shutdown_timeout.unwrap_or(SHUTDOWN_TIMEOUT))?;
            let name = String::from("default");
            return Ok(Crew {
                workers: vec![(name.clone(), spec)],
                dispatchers: vec![(name, DispatcherSpec::default())],
            });
        };
        let mut crew = Crew { workers: Vec::new(), dispatchers: Vec::new() };
        for manifest in &plan.manifests {
            let name = manifests::full_name(&manifest.metadata);
            match &manifest.spec {
                Spec::QueueWorker(spec) => crew.workers.push((name, (**spec).clone())),
                Spec::Dispatcher(spec) => crew.dispatchers.push((name, spec.clone())),
                Spec::RecurringTask(_) | Spec::CronSchedule(_) => {}
            }
        }
        // Solid Queue refuses a file that leaves no process; a manifest may well say `replicas: 0`.
        let are_workers = crew.workers.iter().any(|(_, spec)| !self.rails.are_meant() || spec.replicas > 0);
        if !are_workers && crew.dispatchers.is_empty() {
            let none = match self.rails.are_meant() {
                true => "the files name no workers, no dispatchers and no recurring tasks for this environment",
                false => "the files name no QueueWorker and no Dispatcher",
            };
            return Err(Exit::Refused(format!("{none}: there is nothing to start")));
        }
        Ok(crew)
    }

    fn mode(&self) -> Result<Mode, Exit> {
        let variable = || std::env::var("SOLID_QUEUE_SUPERVISOR_MODE").ok().filter(|mode| !mode.is_empty());
        match (self.mode, self.rails.are_meant().then(variable).flatten()) {
            (Some(mode), _) => Ok(mode),
            (None, None) => Ok(Mode::Async),
            (None, Some(mode)) => clap::ValueEnum::from_str(&mode, false).map_err(|_| {
                Exit::Usage(format!("SOLID_QUEUE_SUPERVISOR_MODE is `{mode}`, which is neither fork nor async"))
            }),
        }
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
        let is_described = self.rails.are_meant() || !self.file.is_empty();
        if self.rails.are_meant() {
            arguments.extend(self.rails.arguments());
        }
        for file in &self.file {
            arguments.extend(["--file".into(), file.into()]);
        }
        if is_described {
            arguments.push(format!("--name={name}").into());
        }
        if subcommand == "work" && self.file.is_empty() {
            arguments.extend(match is_described {
                true => self.worker.handler_arguments(),
                false => self.worker.arguments(),
            });
            let timeout = self.shutdown_timeout.unwrap_or(SHUTDOWN_TIMEOUT);
            arguments.push(format!("--shutdown-timeout={timeout}").into());
        }
        let environment = vec![
            ("DATABASE_URL".into(), global.database().into()),
            ("GRITSTONE_LOG".into(), global.log().into()),
            ("GRITSTONE_LOG_FORMAT".into(), global.log_format.name().into()),
            HealthOptions::off(),
        ];
        Ok(ChildCommand { program, arguments, environment, takes_jobs: subcommand == "work" })
    }
}

fn in_process(supervisor: Supervisor, name: &str, spec: QueueWorkerSpec, health: &Health) -> Supervisor {
    let config = WorkerConfig { name: name.to_owned(), health: health.clone(), ..WorkerConfig::from(&spec) };
    let (health, answered) = (health.clone(), health.expect_handler());
    supervisor
        .try_worker(config, move || handler::build(&spec).map(|handler| health.watched(handler, answered.clone())))
}
