//! A dispatcher: makes due jobs ready, and looks after the database.

use super::config::DispatcherConfig;
use super::heart;
use super::link::{Link, in_time};
use super::maintenance::{self, Duties};
use super::registration::{Application, Registration};
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
    pub async fn run(&self, stop: &Stop) {
        let scheduler = async {
            if self.config.scheduler {
                Scheduler::new(self.store.clone()).supervised_by(self.supervisor_id).run(stop).await;
            }
        };
        tokio::join!(self.run_alone(stop), scheduler);
    }

    async fn run_alone(&self, stop: &Stop) {
        let application = Application {
            kind: "Dispatcher",
            supervisor_id: self.supervisor_id,
            metadata: self.config.metadata(),
            max_interruptions: 0,
            limits: Vec::new(),
        };
        while let Some(registration) = application.register(&self.store, stop).await {
            tracing::info!(process_id = registration.process_id, name = registration.name, "start_process");
            self.live(registration, stop).await;
            if stop.is_requested() {
                break;
            }
        }
    }

    async fn live(&self, registration: Registration, stop: &Stop) {
        let life = stop.child();
        let duties = Duties {
            process_id: registration.process_id,
            settings: registration.settings.clone(),
            sweeps: self.config.limits_interval,
            clearing: true,
        };
        let maintenance = tokio::spawn(maintenance::run(self.store.clone(), duties, life.clone()));
        let mut heart = tokio::spawn(heart::beat(self.store.clone(), registration.clone(), None));
        tokio::select! {
            () = self.dispatch(&life) => {}
            _ = &mut heart => tracing::error!(process_id = registration.process_id, "others take this process for dead; registering again"),
        }
        life.gracefully();
        let _ = maintenance.await;
        heart.abort();
        registration.leave(&self.store).await;
        tracing::info!(process_id = registration.process_id, name = registration.name, "shutdown_process");
    }

    async fn dispatch(&self, stop: &Stop) {
        let mut link = Link::new(&self.store, "dispatch");
        while !stop.is_requested() {
            let round = async { in_time(link.session().await?.dispatch_due(self.config.batch_size, true)).await };
            match round.await {
                Ok(dispatched) => {
                    link.answered();
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
