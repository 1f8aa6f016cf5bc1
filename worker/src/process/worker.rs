//! A worker: claims jobs, has them run, writes how they ended.

use super::claiming::Claiming;
use super::config::WorkerConfig;
use super::finishing::Finisher;
use super::heart::{self, Lost};
use super::registration::{Application, Registration};
use super::running::Running;
use super::stop::Stop;
use crate::execute::Handler;
use gritstone_store::{News, Selector, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What handlers get, after being told to stop, before their jobs are dropped.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// How long a stopping worker tries to write how its jobs ended while the database is away.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A worker process, or one of several inside a process.
pub struct Worker {
    store: Store,
    config: WorkerConfig,
    handler: Arc<dyn Handler>,
    supervisor_id: Option<i64>,
}

impl Worker {
    /// A worker that has `handler` run what it claims.
    pub fn new(store: Store, config: WorkerConfig, handler: Arc<dyn Handler>) -> Self {
        Worker { store, config, handler, supervisor_id: None }
    }

    /// Listed under a supervisor.
    pub fn supervised_by(mut self, supervisor_id: Option<i64>) -> Self {
        self.supervisor_id = supervisor_id;
        self
    }

    /// Works until told to stop. Waits out a database that is away. When others took it for dead, it ends its
    /// jobs and goes on under a new registration.
    pub async fn run(&self, stop: &Stop) {
        let application = Application {
            kind: "Worker",
            supervisor_id: self.supervisor_id,
            metadata: self.config.metadata(),
            max_interruptions: self.config.max_interruptions,
        };
        while let Some(registration) = application.register(&self.store, stop).await {
            tracing::info!(process_id = registration.process_id, name = registration.name, "start_process");
            self.live(registration, stop).await;
            if stop.is_requested() {
                break;
            }
        }
        self.handler.shutdown().await;
    }

    /// From one registration to the end of it.
    async fn live(&self, registration: Registration, stop: &Stop) {
        let preserve = registration.settings.preserve_finished_jobs;
        let (finisher, writing) = Finisher::start(&self.store, preserve, self.config.threads);
        let running = Arc::new(Running::new(
            Arc::clone(&self.handler),
            self.config.retry.clone(),
            self.config.job_timeout,
            finisher.clone(),
        ));
        let wake = Arc::new(Notify::new());
        let listening =
            AbortOnDrop(tokio::spawn(listen(self.store.clone(), self.config.queues.clone(), Arc::clone(&wake))));
        let mut heart = tokio::spawn(heart::beat(self.store.clone(), registration.clone(), Some(Arc::clone(&running))));
        let claiming_stop = stop.child();
        let claiming = Claiming::new(
            &self.store,
            &self.config,
            Arc::clone(&self.handler),
            Arc::clone(&running),
            registration.process_id,
            wake,
        );
        let mut claiming = tokio::spawn(claiming.run(claiming_stop.clone()));

        let lost = tokio::select! {
            () = stop.requested() => None,
            lost = &mut heart => Some(lost.unwrap_or(Lost::Contact)),
            // It ends by itself only when it panicked; a new life starts it again.
            _ = &mut claiming => Some(Lost::Contact),
        };
        claiming_stop.gracefully();
        let _ = claiming.await;
        drop(listening);
        match lost {
            None => self.drain(&running, stop).await,
            Some(lost) => {
                tracing::error!(
                    process_id = registration.process_id,
                    ?lost,
                    "others take this process for dead; ending its jobs"
                );
                running.cancel_all();
            }
        }
        let _ = tokio::time::timeout(KILL_GRACE * 2, running.below(1)).await;
        if tokio::time::timeout(FLUSH_TIMEOUT, finisher.flush()).await.is_err() {
            tracing::warn!(
                "the database stayed away; jobs that ended meanwhile count as interrupted and will run again"
            );
        }
        drop((running, finisher));
        writing.abort();
        heart.abort();
        registration.leave(&self.store).await;
        tracing::info!(process_id = registration.process_id, name = registration.name, "shutdown_process");
    }

    /// Lets jobs finish, then ends what is left.
    async fn drain(&self, running: &Running, stop: &Stop) {
        tokio::select! {
            () = running.below(1) => return,
            () = tokio::time::sleep(self.config.drain_timeout) => {}
            () = stop.immediate() => {}
        }
        let left = running.count();
        if left > 0 {
            tracing::warn!(jobs = left, "ending jobs that are still running; they will run again");
            running.cancel_all();
        }
    }
}

/// Rings whenever a queue that these selectors may mean has work.
async fn listen(store: Store, selectors: Vec<Selector>, wake: Arc<Notify>) {
    let mut wakeups = store.wakeups();
    loop {
        let news = wakeups.next().await;
        let ours = match news {
            News::Some => true,
            News::Queues(queues) => queues.iter().any(|queue| {
                selectors.iter().any(|selector| match selector {
                    Selector::All => true,
                    Selector::Exact(name) => name == queue,
                    Selector::Prefix(prefix) => queue.starts_with(prefix.as_str()),
                    Selector::Exclude(_) | Selector::ExcludePrefix(_) => false,
                })
            }),
        };
        if ours {
            wake.notify_one();
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
