//! A dispatcher: makes due jobs ready, and looks after the database.

use super::config::{DispatcherConfig, SchedulerConfig};
use super::heart;
use super::hooks::{HookError, Life, Reporter};
use super::link::{Link, in_time};
use super::maintenance::{self, Duties};
use super::registration::{Application, Declared, Registration, unlisted};
use super::scheduler::Scheduler;
use super::stop::Stop;
use gritstone_store::Store;

/// A dispatcher process, or one inside a process. Any number may run at once.
pub struct Dispatcher {
    store: Store,
    config: DispatcherConfig,
    supervisor_id: Option<i64>,
}

impl Dispatcher {
    /// A dispatcher.
    pub fn new(store: Store, config: DispatcherConfig) -> Self {
        Dispatcher { store, config, supervisor_id: None }
    }

    /// Listed under a supervisor.
    pub fn supervised_by(mut self, supervisor_id: Option<i64>) -> Self {
        self.supervisor_id = supervisor_id;
        self
    }

    /// Dispatches until told to stop. Waits out a database that is away.
    ///
    /// # Errors
    /// Before anything is dispatched, when one of its start hooks fails.
    pub async fn run(&self, stop: &Stop) -> Result<(), HookError> {
        let until_then = stop.child();
        let dispatcher = async {
            let ended = self.run_alone(stop).await;
            until_then.gracefully();
            ended
        };
        let scheduler = async {
            if let Some(config) = &self.config.scheduler {
                let config = SchedulerConfig { health: self.config.health.clone(), ..config.clone() };
                let scheduler = Scheduler::new(self.store.clone(), config);
                scheduler.supervised_by(self.supervisor_id).run(&until_then).await;
            }
        };
        tokio::join!(dispatcher, scheduler).0
    }

    async fn run_alone(&self, stop: &Stop) -> Result<(), HookError> {
        let life = Life::new(&self.config.hooks);
        let (reporter, reporting) = Reporter::start(&self.config.hooks, unlisted("Dispatcher"));
        let application = Application {
            kind: "Dispatcher",
            supervisor_id: self.supervisor_id,
            metadata: self.config.metadata(),
            max_interruptions: 0,
            declared: Declared::default(),
            reporter,
            health: self.config.health.clone(),
        };
        let mut ended = Ok(());
        let mut process = None;
        while let Some(registration) = application.register(&self.store, stop).await {
            tracing::info!(process_id = registration.process_id, name = registration.name, "start_process");
            process = Some(registration.process.clone());
            ended = self.live(registration, &life, stop).await;
            if stop.is_requested() || ended.is_err() {
                break;
            }
        }
        reporting.close().await;
        if let Some(process) = process {
            life.exit(&process).await;
        }
        ended
    }

    async fn live(&self, registration: Registration, life: &Life, stop: &Stop) -> Result<(), HookError> {
        let mut heart = tokio::spawn(heart::beat(self.store.clone(), registration.clone(), None));
        let parts_stop = stop.child();
        let work = async {
            life.start(&registration.process, stop).await?;
            self.work(&registration, &parts_stop).await;
            Ok(())
        };
        let ended = tokio::select! {
            ended = work => ended,
            _ = &mut heart => {
                tracing::error!(process_id = registration.process_id, "others take this process for dead; registering again");
                registration.reporter.engine("heartbeat", "others take this process for dead; it registers again");
                Ok(())
            }
        };
        parts_stop.gracefully();
        if stop.is_requested() {
            life.stop(&registration.process, stop).await;
        }
        heart.abort();
        registration.leave(&self.store).await;
        tracing::info!(process_id = registration.process_id, name = registration.name, "shutdown_process");
        ended
    }

    /// Dispatches, and looks after the database beside it, until told to stop.
    async fn work(&self, registration: &Registration, stop: &Stop) {
        let duties = Duties { registration: registration.clone(), sweeps: self.config.limits_interval, clearing: true };
        tokio::join!(maintenance::run(self.store.clone(), duties, stop.clone()), self.dispatch(registration, stop));
    }

    async fn dispatch(&self, registration: &Registration, stop: &Stop) {
        let mut link =
            Link::new(&self.store, "dispatch").reporting(&registration.reporter).counted(registration.connections());
        let pulse = registration.pulse("dispatch");
        while !stop.is_requested() {
            pulse.turn();
            let round = async { in_time(link.session().await?.dispatch_due(self.config.batch_size, true)).await };
            let round = round.await;
            pulse.rest();
            match round {
                Ok(dispatched) => {
                    link.answered();
                    registration.health.metrics().dispatches.dispatched(dispatched.placed as u64);
                    if dispatched.taken > 0 {
                        tracing::info!(
                            batch_size = self.config.batch_size,
                            size = dispatched.placed,
                            "dispatch_scheduled"
                        );
                        self.store.wake(dispatched.queues);
                        continue;
                    }
                    tokio::select! {
                        () = stop.requested() => return,
                        () = tokio::time::sleep(self.config.polling_interval) => {}
                    }
                }
                Err(error) => {
                    tokio::select! {
                        () = stop.requested() => return,
                        () = link.wait_after(&error) => {}
                    }
                }
            }
        }
    }
}
