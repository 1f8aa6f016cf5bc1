//! A worker: claims jobs, has them run, writes how they ended.

use super::claiming::Claiming;
use super::config::WorkerConfig;
use super::finishing::Finisher;
use super::heart::{self, Lost};
use super::hooks::{HookError, Life, Reporter};
use super::maintenance;
use super::registration::{Application, Declared, Registration, unlisted};
use super::running::Running;
use super::stop::Stop;
use crate::execute::Handler;
use gritstone_store::{News, Selector, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

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
        Worker { store, config: config.adapted_to(&*handler), handler, supervisor_id: None }
    }

    /// Listed under a supervisor.
    pub fn supervised_by(mut self, supervisor_id: Option<i64>) -> Self {
        self.supervisor_id = supervisor_id;
        self
    }

    /// Works until told to stop. Waits out a database that is away. When others took it for dead, it ends its
    /// jobs and goes on under a new registration.
    ///
    /// # Errors
    /// Before anything is claimed, when one of its start hooks fails.
    pub async fn run(&self, stop: &Stop) -> Result<(), HookError> {
        let life = Arc::new(Life::new(&self.config.hooks));
        let (reporter, reporting) = Reporter::start(&self.config.hooks, unlisted("Worker"));
        let application = Application {
            kind: "Worker",
            supervisor_id: self.supervisor_id,
            metadata: self.config.metadata(self.handler.runs_commands()),
            max_interruptions: self.config.max_interruptions,
            declared: Declared {
                by: self.config.name.clone(),
                limits: self.config.limits.clone(),
                classes: self.config.class_defaults.clone(),
            },
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
        self.handler.shutdown().await;
        reporting.close().await;
        if let Some(process) = process {
            life.exit(&process).await;
        }
        ended
    }

    /// From one registration to the end of it.
    async fn live(&self, registration: Registration, life: &Arc<Life>, stop: &Stop) -> Result<(), HookError> {
        let jobs = &self.config.health.metrics().jobs;
        let _threads = jobs.threads(self.config.threads);
        let (finisher, writing) = Finisher::start(&self.store, &registration, self.config.threads);
        let running = Arc::new(Running::new(
            Arc::clone(&self.handler),
            self.config.retry.clone(),
            self.config.job_timeout,
            finisher.clone(),
            registration.reporter.clone(),
            jobs.of(&self.config.queues),
            self.config.threads,
        ));
        let wake = Arc::new(Notify::new());
        let listening =
            AbortOnDrop(tokio::spawn(listen(self.store.clone(), self.config.queues.clone(), Arc::clone(&wake))));
        let ending = AbortOnDrop(tokio::spawn(end_when_told(stop.endings(), Arc::clone(&running))));
        let burying =
            AbortOnDrop(tokio::spawn(maintenance::bury_predecessors(self.store.clone(), registration.clone())));
        let mut heart = tokio::spawn(heart::beat(self.store.clone(), registration.clone(), Some(Arc::clone(&running))));
        let claiming_stop = stop.child();
        let claiming = Claiming::new(
            &self.store,
            &self.config,
            Arc::clone(&self.handler),
            Arc::clone(&running),
            Arc::clone(life),
            &registration,
            wake,
        );
        let mut claiming = tokio::spawn(claiming.run(claiming_stop.clone()));

        let mut claiming_ended = false;
        let mut refused = Ok(());
        let mut lost = tokio::select! {
            biased;
            () = stop.requested() => None,
            lost = &mut heart => Some(lost.unwrap_or(Lost::Contact)),
            ended = &mut claiming => {
                claiming_ended = true;
                match ended {
                    Ok(Err(hook)) => {
                        refused = Err(hook);
                        None
                    }
                    // It ends by itself only by a panic; a new life starts it again.
                    ended => {
                        let error = ended.err().map_or_else(String::new, |error| error.to_string());
                        tracing::error!(process_id = registration.process_id, error, "thread_error");
                        registration.reporter.engine("claims", error);
                        Some(Lost::Contact)
                    }
                }
            }
        };
        let asked = Instant::now();
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
        drop((listening, ending, burying));
        if lost.is_none() {
            let ended = async {
                // What was claimed ahead is for others to run.
                let _ = tokio::time::timeout(CLAIM_TIMEOUT, running.give_back()).await;
                // Hooks may take longer than jobs are given.
                tokio::join!(life.stop(&registration.process, stop), self.drain(&running, asked, stop));
            };
            lost = tokio::select! {
                () = ended => None,
                gone = &mut heart => Some(gone.unwrap_or(Lost::Contact)),
            };
        }
        if let Some(lost) = lost {
            tracing::error!(
                process_id = registration.process_id,
                ?lost,
                "others take this process for dead; ending its jobs"
            );
            registration.reporter.engine("heartbeat", "others take this process for dead; it ends its jobs");
            running.cancel_all();
        }
        let grace = heart::grace(registration.settings().alive_threshold).min(KILL_GRACE * 2);
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
        refused
    }

    /// Lets jobs finish, then ends what is left. Their time began when the worker was `asked` to stop.
    async fn drain(&self, running: &Running, asked: Instant, stop: &Stop) {
        tokio::select! {
            () = running.below(1) => return,
            () = tokio::time::sleep_until((asked + self.config.drain_timeout).into()) => {}
            () = stop.immediate() => {}
        }
        let left = running.count();
        if left > 0 {
            tracing::warn!(jobs = left, "ending jobs that are still running; they will run again");
            running.cancel_all();
        }
    }
}

/// Ends what runs, each time that it is to.
async fn end_when_told(mut endings: watch::Receiver<u64>, running: Arc<Running>) {
    while endings.changed().await.is_ok() {
        tracing::warn!(jobs = running.count(), "ending jobs, as told; they are given back");
        running.cancel_running();
    }
}

/// Rings whenever a queue that these selectors may mean has work.
async fn listen(store: Store, selectors: Vec<Selector>, wake: Arc<Notify>) {
    let mut wakeups = store.wakeups();
    loop {
        let news = wakeups.next().await;
        let ours = match news {
            News::Some => true,
            News::Queues(queues) => {
                queues.iter().any(|queue| selectors.iter().any(|selector| selector.includes(queue)))
            }
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
