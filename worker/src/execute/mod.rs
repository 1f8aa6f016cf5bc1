//! Running a claimed job: jobs come in as values, reports go out as values, and nothing here knows of the database.
//!
//! A [`Handler`] runs jobs in one way: [`native`] as a function in this process, [`command`] with one child process per
//! job, [`process`] with long-lived children, [`http`] by posting to a server; [`commands`] adds a shell to any of them. What handlers are told and what they may answer is in [`protocol`], the same
//! for all of them; how they are started, watched and ended (and that they never outlive the engine) is in `child`, with
//! [`launcher`] as its public part. A run ends in a [`Report`]; [`retry`] turns its outcome and the job's attempts into
//! what the database is told. [`errors`] lists the exception classes that are ours.

mod breaker;
mod child;
pub mod command;
pub mod commands;
pub mod errors;
pub mod http;
mod job;
pub mod native;
pub(crate) mod once;
pub mod process;
pub mod protocol;
pub mod retry;
mod stopping;
mod talk;

pub(crate) use child::CA_FILE;
pub use child::launcher;
pub use child::{CommandLine, CommandLineError, Program, SCRUBBED_PREFIXES, SCRUBBED_VARIABLES};
pub use errors::JobError;
pub use job::{Arguments, Job};

use futures::future::BoxFuture;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work.
    Done,
    /// It did not, and may try again: uses an attempt.
    Retry {
        /// When the handler says how long to wait; else the policy's backoff.
        delay: Option<Duration>,
        /// What went wrong.
        error: JobError,
    },
    /// It never will.
    Fail {
        /// What went wrong.
        error: JobError,
    },
    /// It was cut short by what is nobody's fault, and may have been run or not: counts as an interruption, uses no attempt. Of a job
    /// that was interrupted before it is a retry, else it could go on so for ever.
    Interrupted {
        /// What happened.
        error: JobError,
    },
    /// It never really started, was told to stop, or asks to come later: uses nothing.
    Release {
        /// How long to wait; `None` is at once.
        delay: Option<Duration>,
    },
}

/// What is known after a run.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What the job returned, when it did.
    pub result: Option<Box<RawValue>>,
    /// The envelope (a JSON object) to keep instead of the one the job came with.
    pub active_job: Option<Box<RawValue>>,
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, result: None, active_job: None }
    }
}

/// How long a job that was released without saying how long waits, unless it was told to stop: a handler that isn't ready
/// must not be asked again in a tight loop.
pub const UNSAID_RELEASE_DELAY: Duration = Duration::from_secs(5);

impl Report {
    fn released() -> Self {
        Outcome::Release { delay: None }.into()
    }

    /// The same, where a release of the handler's own accord has a delay.
    fn unhurried(mut self, stopping: bool) -> Self {
        if let Outcome::Release { delay: delay @ None } = &mut self.outcome
            && !stopping
        {
            *delay = Some(UNSAID_RELEASE_DELAY);
        }
        self
    }
}

/// What a running job tells before it ends. Called on the engine's threads, possibly thousands of times a second:
/// implementations gather and return, and never block.
pub trait Notices: Send + Sync {
    /// The job is alive and asks for more time.
    fn heartbeat(&self, job: &Job);
    /// How far the job is, in its own words: any JSON.
    fn progress(&self, job: &Job, progress: &RawValue);
    /// A line for the job's log.
    fn log(&self, job: &Job, line: &str);
}

/// What a run is given besides its job.
#[derive(Clone, Default)]
pub struct Context {
    /// Cancelled when the job must stop: shutdown, a lost claim. The run then ends within the handler's grace.
    pub cancel: CancellationToken,
    /// Where heartbeats, progress and log lines go.
    pub notices: Option<Arc<dyn Notices>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// A way of running jobs.
pub trait Handler: Send + Sync + 'static {
    /// Runs the job to its end, within its deadline. Dropping the future stops the job at once: a native handler's future is
    /// dropped, a child's process group killed.
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report>;

    /// The classes it can run, when it knows them; `None` is any. Others are not claimed.
    fn classes(&self) -> Option<Vec<String>> {
        None
    }

    /// Whether it runs jobs of class `Command`, a text for the shell. Nobody else claims them, whatever its classes are.
    fn runs_commands(&self) -> bool {
        false
    }

    /// Resolves when jobs can be claimed for it. At once, as a rule; while it can't be started or reached, it waits.
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Ends what it keeps running between jobs. Runs under way are cancelled; new ones are released.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A line that a handler wrote for people: into the worker's own log.
fn log_output(job: Option<&Job>, pid: Option<i32>, line: &str) {
    match job {
        Some(job) => tracing::info!(target: "gritstone::handler", job = job.id, class = job.class, pid, "{line}"),
        None => tracing::info!(target: "gritstone::handler", pid, "{line}"),
    }
}

/// How long until the job's deadline; zero when it has passed.
fn time_left(job: &Job) -> Option<Duration> {
    let left = jiff::Timestamp::now().duration_until(job.deadline?);
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
pub(crate) fn sample_job() -> Job {
    Job {
        id: "6f9619ff-8b86-4011-b42d-00c04fc964ff".into(),
        claim: 7,
        row_id: 3,
        class: "SendMail".into(),
        queue: "default".into(),
        priority: 0,
        arguments: Arguments::default(),
        attempt: 1,
        interruptions: 0,
        deadline: None,
        enqueued_at: None,
        scheduled_at: None,
        active_job: r#"{"job_class":"SendMail","arguments":[]}"#.into(),
        traceparent: None,
    }
}
