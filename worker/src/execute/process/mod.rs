//! Long-lived children: each runs one job after the other, told and answering in JSON lines.
//!
//! There are at most as many children as the handler has seats, started when a job needs one. A job is a conversation
//! (see `conversation`): the document goes in as a line, heartbeats, progress and log lines may come back, then the answer. To
//! stop a job the engine sends `{"cancel": claim}` and gives it the grace; then the child's group is killed, and the next job
//! gets a new child.
//!
//! What goes wrong costs the job it happens to, and no other:
//! - a child that dies or closes its stdout over a job: retry, `Gritstone::HandlerCrashed`, with how it ended and the end of
//!   its stderr. If it had not read a byte of the job (the pipe shows that), the job never started: it goes to another child,
//!   or, when this one had never answered anything, counts as a child that can't be started;
//! - a child that can't be started: the job is released, claiming waits (see `breaker`);
//! - a child that hangs: the deadline ends it. Without one a job may take for ever, as everywhere;
//! - an answer given twice, or after the job was taken away: ignored and logged when the next conversation reads it;
//! - a child that closes its stdin, or answers without having read all of its job (half a line is left), gets no other.

mod conversation;
mod recycle;
mod worker;

pub use recycle::Recycle;

use super::breaker::{Breaker, start_backoff};
use super::child::Program;
use super::errors::class;
use super::protocol::document;
use super::retry::Backoff;
use super::stopping::Watch;
use super::{Context, Handler, Job, JobError, Outcome, Report};
use conversation::{Conversation, Ended};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker::Worker;

/// How the children are run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What they run.
    pub program: Program,
    /// How many there are at most; at least 1.
    pub children: u32,
    /// How long one may take to stop: from `{"cancel"}` to SIGKILL, and at shutdown from the end of its stdin to SIGTERM, and
    /// from there to SIGKILL.
    pub grace: Duration,
    /// When a child is replaced by a fresh one.
    pub recycle: Recycle,
    /// How claiming waits after starts that failed.
    pub start_backoff: Backoff,
}

impl Settings {
    /// One child, 5 s of grace, never recycled; claiming waits 1 s, doubling, at most a minute.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            children: 1,
            grace: Duration::from_secs(5),
            recycle: Recycle::default(),
            start_backoff: start_backoff(),
        }
    }
}

/// Runs jobs in long-lived children.
#[derive(Debug)]
pub struct ProcessHandler {
    settings: Settings,
    seats: Semaphore,
    /// The last one used is used first: the others may be swapped out.
    idle: Mutex<Vec<Worker>>,
    breaker: Breaker,
    closing: CancellationToken,
    retiring: TaskTracker,
}

impl ProcessHandler {
    /// A handler; nothing is started before there is a job.
    pub fn new(settings: Settings) -> Self {
        Self {
            seats: Semaphore::new(settings.children.max(1) as usize),
            idle: Mutex::default(),
            breaker: Breaker::new(settings.start_backoff),
            closing: CancellationToken::new(),
            retiring: TaskTracker::new(),
            settings,
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child that is there and alive.
    fn idle_worker(&self) -> Option<Worker> {
        loop {
            let mut worker = self.idle().pop()?;
            if !worker.has_exited() {
                return Some(worker);
            }
            self.bury(worker);
        }
    }

    /// Keeps the child for the next job, unless it is time for a fresh one.
    fn keep(&self, worker: Worker) {
        if !self.closing.is_cancelled() && !self.settings.recycle.is_due(&worker) {
            self.idle().push(worker);
            // Shutdown may have emptied the list in between.
            if !self.closing.is_cancelled() {
                return;
            }
            self.retire_idle();
            return;
        }
        self.retire(worker);
    }

    fn retire_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for worker in idle {
            self.retire(worker);
        }
    }

    fn retire(&self, worker: Worker) {
        self.retiring.spawn(worker.retire(self.settings.grace));
    }

    fn bury(&self, worker: Worker) {
        self.retiring.spawn(async move {
            let (pid, end) = (worker.pid(), worker.end().await);
            tracing::info!(pid, "an idle handler process {}", end.exit);
        });
    }

    async fn run_job(&self, job: &Arc<Job>, context: &Context) -> Report {
        let mut watch = match Watch::start(job, context, self.settings.grace) {
            Ok(watch) => watch,
            Err(report) => return report,
        };
        let document = match document(job) {
            Ok(document) => document,
            Err(error) => {
                let error =
                    JobError::new(class::INVALID_ARGUMENTS, format!("the job can't be written as JSON: {error}"));
                return Outcome::Fail { error }.into();
            }
        };
        let seat = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Report::released(),
            seat = self.seats.acquire() => seat,
            _ = watch.next(&context.cancel) => return Report::released(),
        };
        let Ok(_seat) = seat else { return Report::released() };
        loop {
            let (worker, admission) = match self.idle_worker() {
                Some(worker) => (worker, None),
                None => {
                    let admission = tokio::select! {
                        biased;
                        () = self.closing.cancelled() => None,
                        _ = watch.next(&context.cancel) => None,
                        admission = self.breaker.admit() => admission,
                    };
                    let Some(admission) = admission else { return Report::released() };
                    match self.settings.program.start().await {
                        Ok(child) => (Worker::new(child), Some(admission)),
                        Err(error) => {
                            admission.failed(&error);
                            return Report::released();
                        }
                    }
                }
            };
            let conversation = Conversation {
                job,
                context,
                closing: &self.closing,
                watch: &mut watch,
                document: &document,
                admission,
            };
            match conversation.hold(worker).await {
                Ended::Answered(report, worker) => {
                    if let Some(worker) = worker {
                        self.keep(*worker);
                    }
                    return report;
                }
                Ended::Unanswered(report) => return report,
                Ended::WasDead => {}
            }
        }
    }
}

impl Handler for ProcessHandler {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        Box::pin(async move { self.run_job(&job, &context).await })
    }

    /// Waits while the program can't be found or started.
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.breaker.passable(|| std::future::ready(self.settings.program.probe())))
    }

    /// Cancels the jobs under way and ends the children: at most three times the grace, and a little.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.closing.cancel();
            self.retire_idle();
            drop(self.seats.acquire_many(self.settings.children.max(1)).await);
            self.retire_idle();
            self.retiring.close();
            self.retiring.wait().await;
        })
    }
}
