//! A supervisor: starts workers and dispatchers, as tasks of this process or as child processes, starts them again when
//! they die, and stops them in order.

mod child;
mod pidfile;

pub use child::ChildCommand;
pub(crate) use child::{follow_parent, supervisor_id};
pub use pidfile::{Pidfile, PidfileError};

use super::config::{DispatcherConfig, WorkerConfig};
use super::dispatcher::Dispatcher;
use super::heart::{self, Lost};
use super::hooks::{HookError, Hooks, Life, Reporter};
use super::identity;
use super::link::{Link, in_time};
use super::maintenance::{self, Duties};
use super::registration::{Application, Declared, Registration, unlisted};
use super::stop::Stop;
use super::worker::Worker;
use crate::execute::Handler;
use crate::health::Health;
use gritstone_store::{Death, Settings, Store};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a supervisor works.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// How long stopping parts get before they are stopped at once.
    pub shutdown_timeout: Duration,
    /// What all processes of the database share; written before anything starts.
    pub settings: Settings,
    /// What runs at points of its own life.
    pub hooks: Hooks,
    /// Whom it tells of its heartbeat. Its parts have their own.
    pub health: Health,
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        let shutdown_timeout = Duration::from_secs(5);
        SupervisorConfig {
            shutdown_timeout,
            settings: Settings::default(),
            hooks: Hooks::default(),
            health: Health::default(),
        }
    }
}

/// Keeps workers and dispatchers going.
pub struct Supervisor {
    store: Store,
    config: SupervisorConfig,
    parts: Vec<Part>,
}

/// Makes a worker's handler, or says why there is none.
type MakeHandler = Arc<dyn Fn() -> Result<Arc<dyn Handler>, String> + Send + Sync>;

/// Something that a supervisor keeps going.
#[derive(Clone)]
enum Part {
    Worker { config: Box<WorkerConfig>, handler: MakeHandler },
    Dispatcher(Box<DispatcherConfig>),
    Child(ChildCommand),
}

/// A part that dies sooner than this after its start is started again only after a pause.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// That pause, which doubles each time, up to the longest.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(30);

impl Supervisor {
    /// A supervisor of nothing yet.
    pub fn new(store: Store, config: SupervisorConfig) -> Self {
        Supervisor { store, config, parts: Vec::new() }
    }

    /// A worker inside this process. `handler` makes its handler, again for each restart.
    pub fn worker(self, config: WorkerConfig, handler: impl Fn() -> Arc<dyn Handler> + Send + Sync + 'static) -> Self {
        self.try_worker(config, move || Ok::<_, String>(handler()))
    }

    /// The same with a handler that may not be had; then it is tried again after a pause.
    pub fn try_worker<E: std::fmt::Display>(
        mut self,
        config: WorkerConfig,
        handler: impl Fn() -> Result<Arc<dyn Handler>, E> + Send + Sync + 'static,
    ) -> Self {
        let handler: MakeHandler = Arc::new(move || handler().map_err(|error| error.to_string()));
        self.parts.push(Part::Worker { config: Box::new(config), handler });
        self
    }

    /// A dispatcher inside this process.
    pub fn dispatcher(mut self, config: DispatcherConfig) -> Self {
        self.parts.push(Part::Dispatcher(Box::new(config)));
        self
    }

    /// A worker or dispatcher in a process of its own.
    pub fn child(mut self, command: ChildCommand) -> Self {
        self.parts.push(Part::Child(command));
        self
    }

    /// Runs everything until told to stop, and stops it in order: gracefully, then, after the timeout, at once.
    ///
    /// # Errors
    /// Before anything is started, when one of its own start hooks fails. Parts whose hooks fail are started again.
    pub async fn run(&self, stop: &Stop) -> Result<(), HookError> {
        let forks = self.parts.iter().any(|part| matches!(part, Part::Child(_)));
        let kind = if forks { "Supervisor(fork)" } else { "Supervisor(async)" };
        let life = Life::new(&self.config.hooks);
        let (reporter, reporting) = Reporter::start(&self.config.hooks, unlisted(kind));
        let application = Application {
            kind,
            supervisor_id: None,
            metadata: serde_json::json!({}),
            max_interruptions: 0,
            declared: Declared::default(),
            reporter,
            health: self.config.health.clone(),
        };
        if !write_settings(&self.store, &self.config.settings, stop).await {
            return Ok(());
        }
        let Some(registration) = application.register(&self.store, stop).await else { return Ok(()) };
        tracing::info!(process_id = registration.process_id, name = registration.name, "start_process");
        let listed = Arc::new(Mutex::new(registration.clone()));
        let heart = tokio::spawn(stay_listed(self.store.clone(), application, Arc::clone(&listed)));
        let started = life.start(&registration.process, stop).await;
        if started.is_ok() {
            self.supervise(&life, &listed, stop).await;
        }
        heart.abort();
        let _ = heart.await;
        let registration = current(&listed);
        registration.leave(&self.store).await;
        tracing::info!(process_id = registration.process_id, name = registration.name, "shutdown_process");
        reporting.close().await;
        life.exit(&registration.process).await;
        started
    }

    /// Keeps all parts going until told to stop, and stops them.
    async fn supervise(&self, life: &Life, listed: &Arc<Mutex<Registration>>, stop: &Stop) {
        let registration = current(listed);
        let (maintenance_stop, parts_stop) = (Stop::new(), stop.apart());
        let duties = Duties { registration: registration.clone(), sweeps: None, clearing: false };
        let maintenance = tokio::spawn(maintenance::run(self.store.clone(), duties, maintenance_stop.clone()));
        let mut parts = tokio::task::JoinSet::new();
        for part in &self.parts {
            let keeper = Keeper { store: self.store.clone(), part: part.clone(), supervisor: Arc::clone(listed) };
            parts.spawn(keeper.keep(parts_stop.clone()));
        }
        stop.requested().await;
        tracing::info!(process_id = registration.process_id, "graceful_termination");
        life.stop(&registration.process, stop).await;
        parts_stop.gracefully();
        let all_stopped = async { while parts.join_next().await.is_some() {} };
        tokio::pin!(all_stopped);
        tokio::select! {
            () = &mut all_stopped => {}
            () = stop.immediate() => {
                parts_stop.at_once();
                all_stopped.await;
            }
            () = tokio::time::sleep(self.config.shutdown_timeout) => {
                tracing::warn!(process_id = registration.process_id, "immediate_termination");
                parts_stop.at_once();
                all_stopped.await;
            }
        }
        maintenance_stop.gracefully();
        let _ = maintenance.await;
    }
}

/// Writes the shared settings before any process reads them, waiting for the database. False when told to stop meanwhile.
pub(crate) async fn write_settings(store: &Store, settings: &Settings, stop: &Stop) -> bool {
    let mut link = Link::new(store, "settings");
    loop {
        let attempt = async { in_time(link.session().await?.write_settings(settings)).await };
        let Err(error) = attempt.await else { return true };
        tokio::select! {
            () = stop.requested() => return false,
            () = link.wait_after(&error) => {}
        }
    }
}

/// Says that the supervisor lives, for as long as it does. It has no jobs that others could be given, so being taken for
/// dead ends nothing: it registers again, and its parts, which look after themselves, are its own as before.
async fn stay_listed(store: Store, application: Application, listed: Arc<Mutex<Registration>>) {
    loop {
        let mut registration = current(&listed);
        let lost = heart::beat(store.clone(), registration.clone(), None).await;
        tracing::error!(
            process_id = registration.process_id,
            ?lost,
            "others may take this supervisor for dead; it goes on"
        );
        registration.reporter.engine("heartbeat", "others may take this supervisor for dead; it goes on");
        if lost == Lost::Row {
            // Whoever stops the supervisor ends this task, too.
            let Some(again) = application.register(&store, &Stop::new()).await else { return };
            registration = again;
        }
        registration.since = Instant::now();
        *listed.lock().unwrap_or_else(PoisonError::into_inner) = registration;
    }
}

/// The supervisor's row as it is now.
fn current(listed: &Mutex<Registration>) -> Registration {
    listed.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps one part going.
struct Keeper {
    store: Store,
    part: Part,
    supervisor: Arc<Mutex<Registration>>,
}

impl Keeper {
    async fn keep(self, stop: Stop) {
        let mut pause = RESTART_PAUSE;
        while !stop.is_requested() {
            let began = Instant::now();
            self.run_once(&stop).await;
            if stop.is_requested() {
                return;
            }
            if began.elapsed() >= STABLE_AFTER {
                pause = RESTART_PAUSE;
                continue;
            }
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_RESTART_PAUSE);
        }
    }

    async fn run_once(&self, stop: &Stop) {
        let supervisor_id = current(&self.supervisor).process_id;
        match self.part.clone() {
            Part::Worker { config, handler } => {
                let handler = match handler() {
                    Ok(handler) => handler,
                    Err(error) => return self.failed(format!("a worker's handler can't be made: {error}")),
                };
                let worker = Worker::new(self.store.clone(), *config, handler).supervised_by(Some(supervisor_id));
                let stop = stop.clone();
                self.replacing(tokio::spawn(async move { worker.run(&stop).await }).await);
            }
            Part::Dispatcher(config) => {
                let dispatcher = Dispatcher::new(self.store.clone(), *config).supervised_by(Some(supervisor_id));
                let stop = stop.clone();
                self.replacing(tokio::spawn(async move { dispatcher.run(&stop).await }).await);
            }
            Part::Child(command) => {
                if command.takes_jobs {
                    // One that was told before it listens would die of it; none is needed now.
                    tokio::select! {
                        () = stop.requested() => return,
                        () = stop.paused(false) => {}
                    }
                }
                let exit = command.run(supervisor_id, stop).await;
                if !stop.is_requested() {
                    tracing::error!(pid = exit.pid, status = exit.how, "replace_fork");
                    let which = exit.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                    self.report(format!("a child{which} died and is replaced: {}", exit.how));
                }
                if let Some(pid) = exit.pid {
                    self.bury_child(pid, &exit.how).await;
                }
            }
        }
    }

    /// Says how a part inside this process ended, when that was not as it should.
    fn replacing(&self, ended: Result<Result<(), HookError>, tokio::task::JoinError>) {
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(hook)) => hook.to_string(),
            Err(panic) => panic.to_string(),
        };
        self.failed(error);
    }

    fn failed(&self, error: String) {
        tracing::error!(error, "replace_thread");
        self.report(error);
    }

    fn report(&self, message: String) {
        current(&self.supervisor).reporter.engine("supervision", message);
    }

    /// A child that we saw die is dead: its jobs need not wait for its heartbeat to age.
    async fn bury_child(&self, pid: u32, how: &str) {
        let bury = async {
            let mut session = self.store.session().await?;
            let death = Death::Exited { how: how.to_owned() };
            for process in session.processes().await? {
                // The number alone proves nothing: another host has processes, too. A child may be listed under an earlier row of ours.
                let listed_here = process.supervisor_id == Some(current(&self.supervisor).process_id);
                let gone = process.pid == i64::from(pid)
                    && (listed_here || process.incarnation.as_deref().is_some_and(identity::is_gone));
                if gone && let Some(buried) = session.bury(process.id, &death).await? {
                    maintenance::settle(&self.store, &mut session, buried, &current(&self.supervisor)).await?;
                }
            }
            Ok::<(), gritstone_store::Error>(())
        };
        if let Err(error) = in_time(bury).await {
            tracing::warn!(pid, %error, "could not recover the jobs of a dead child yet; the next look at this host will");
        }
    }
}
