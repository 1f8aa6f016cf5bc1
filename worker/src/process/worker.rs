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

/// How long a stopping worker waits for a claim that is under way.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(2);

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
            limits: self.config.limits.clone(),
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
            self.config.threads,
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

        let mut claiming_ended = false;
        let mut lost = tokio::select! {
            biased;
            () = stop.requested() => None,
            lost = &mut heart => Some(lost.unwrap_or(Lost::Contact)),
            ended = &mut claiming => {
                claiming_ended = true;
                // It ends by itself only by a panic; a new life starts it again.
                tracing::error!(process_id = registration.process_id, error = ?ended.err(), "thread_error");
                Some(Lost::Contact)
            }
        };
        claiming_stop.gracefully();
        if lost.is_none() && !claiming_ended {
            tokio::select! {
                _ = &mut claiming => claiming_ended = true,
                gone = &mut heart => lost = Some(gone.unwrap_or(Lost::Contact)),
                () = tokio::time::sleep(CLAIM_TIMEOUT) => {}
            }
        }
        if !claiming_ended {
            // In the middle of a claim that the database is thinking about: deregistration, or who prunes this process, gives back
            // what it may yet get.
            claiming.abort();
            let _ = claiming.await;
        }
        drop(listening);
        if lost.is_none() {
            // What was claimed ahead is for others to run.
            let _ = tokio::time::timeout(CLAIM_TIMEOUT, running.give_back()).await;
            lost = tokio::select! {
                () = self.drain(&running, stop) => None,
                gone = &mut heart => Some(gone.unwrap_or(Lost::Contact)),
            };
        }
        if let Some(lost) = lost {
            tracing::error!(
                process_id = registration.process_id,
                ?lost,
                "others take this process for dead; ending its jobs"
            );
            running.cancel_all();
        }
        let grace = heart::grace(registration.settings.alive_threshold).min(KILL_GRACE * 2);
        if tokio::time::timeout(grace, running.below(1)).await.is_err() {
            tracing::error!(jobs = running.count(), "these jobs did not end when told to; dropping them");
            running.drop_all();
        }
        let written = tokio::time::timeout(FLUSH_TIMEOUT, finisher.flush()).await.is_ok();
        drop((running, finisher));
        writing.abort();
        heart.abort();
        if written {
            registration.leave(&self.store).await;
        } else {
            // Leaving would give back, as if they had never run, jobs whose ends are not written.
            tracing::warn!(
                process_id = registration.process_id,
                "the database stayed away; jobs that ended meanwhile count as interrupted and will run again"
            );
        }
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
