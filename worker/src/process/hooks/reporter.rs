//! Telling hooks about errors without ever waiting for them.

use super::{EngineError, FailedJob, Hooks, ProcessInfo, RunError, said};
use crate::execute::JobError;
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Errors that may wait for their hooks. What comes when so many are waiting is counted and dropped: jobs that fail by the thousand
/// are not to wait for a program that is started for each.
const QUEUE: usize = 100;

/// How long a stopping process lets hooks catch up with the errors that are waiting.
const CATCH_UP: Duration = Duration::from_secs(5);

enum Event {
    Engine(EngineError),
    Job(RunError),
}

/// The sending end, of which every part of a process has one. Costs nothing where nobody listens.
#[derive(Clone, Default)]
pub(in crate::process) struct Reporter {
    engine: Option<Arc<Shared>>,
    jobs: Option<Arc<Shared>>,
}

struct Shared {
    sender: mpsc::Sender<Event>,
    dropped: AtomicU64,
    process: Mutex<ProcessInfo>,
}

/// The receiving end, until it is closed.
pub(in crate::process) struct Reporting {
    closing: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Reporter {
    /// Starts the task that runs the error hooks, if there are any.
    pub(in crate::process) fn start(hooks: &Hooks, process: ProcessInfo) -> (Reporter, Reporting) {
        let closing = CancellationToken::new();
        if hooks.error.is_empty() && hooks.job_error.is_empty() {
            return (Reporter::default(), Reporting { closing, task: None });
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared { sender, dropped: AtomicU64::new(0), process: Mutex::new(process) });
        let task = tokio::spawn(tell(hooks.clone(), receiver, Arc::clone(&shared), closing.clone()));
        let listens = |to: bool| to.then(|| Arc::clone(&shared));
        let reporter =
            Reporter { engine: listens(!hooks.error.is_empty()), jobs: listens(!hooks.job_error.is_empty()) };
        (reporter, Reporting { closing, task: Some(task) })
    }

    /// From now on errors are this process's.
    pub(in crate::process) fn is_listed_as(&self, process: &ProcessInfo) {
        for shared in [&self.engine, &self.jobs].into_iter().flatten() {
            *shared.process.lock().unwrap_or_else(PoisonError::into_inner) = process.clone();
        }
    }

    /// Tells of an error of the engine.
    pub(in crate::process) fn engine(&self, during: &str, message: impl ToString) {
        let Some(shared) = &self.engine else { return };
        let error = EngineError {
            process: shared.process(),
            during: during.to_owned(),
            message: message.to_string(),
            at: Timestamp::now(),
            dropped: 0,
        };
        shared.send(Event::Engine(error));
    }

    /// Tells of a run that ended in an error.
    pub(in crate::process) fn job(&self, job: impl Into<FailedJob>, error: &JobError, will_retry: bool) {
        let Some(shared) = &self.jobs else { return };
        let (process, at) = (shared.process(), Timestamp::now());
        shared.send(Event::Job(RunError {
            process,
            job: job.into(),
            error: error.clone(),
            will_retry,
            at,
            dropped: 0,
        }));
    }

    /// Whether anybody wants to know of runs that ended in an error.
    pub(in crate::process) fn hears_of_jobs(&self) -> bool {
        self.jobs.is_some()
    }
}

impl Shared {
    fn process(&self) -> ProcessInfo {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were dropped since the last time, said in the log.
    fn dropped(&self) -> u64 {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "errors came faster than their hooks take them; these were not reported to them");
        }
        dropped
    }
}

impl Reporting {
    /// Lets hooks catch up with what is waiting, for a few seconds; what is left then is counted and dropped.
    pub(in crate::process) async fn close(self) {
        let Some(mut task) = self.task else { return };
        self.closing.cancel();
        if tokio::time::timeout(CATCH_UP, &mut task).await.is_err() {
            task.abort();
            let _ = task.await;
            tracing::warn!(
                "the hooks for errors did not catch up in {CATCH_UP:?}; the last errors were not reported to them"
            );
        }
    }
}

async fn tell(hooks: Hooks, mut receiver: mpsc::Receiver<Event>, shared: Arc<Shared>, closing: CancellationToken) {
    loop {
        let event = tokio::select! {
            biased;
            event = receiver.recv() => event,
            () = closing.cancelled() => receiver.try_recv().ok(),
        };
        let dropped = shared.dropped();
        match event {
            Some(Event::Engine(error)) => {
                let error = EngineError { dropped, ..error };
                for hook in &hooks.error {
                    said(hook.call(&error).await, &hook.name, &error.process);
                }
            }
            Some(Event::Job(error)) => {
                let error = RunError { dropped, ..error };
                for hook in &hooks.job_error {
                    said(hook.call(&error).await, &hook.name, &error.process);
                }
            }
            None => return,
        }
    }
}
