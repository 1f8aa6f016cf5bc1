//! What hooks are told: plain values, the same for closures and, as JSON, for commands.

use crate::execute::{Job, JobError};
use gritstone_store::ClaimedJob;
use jiff::Timestamp;
use serde::Serialize;

/// The process whose hook runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessInfo {
    /// `Worker`, `Dispatcher`, `Scheduler`, `Supervisor(fork)` or `Supervisor(async)`.
    pub kind: String,
    /// Its row in the list of processes; absent before it is there.
    pub process_id: Option<i64>,
    /// Its name in that list.
    pub name: Option<String>,
    /// The operating system's number.
    pub pid: u32,
    /// The machine or pod.
    pub hostname: String,
}

/// An error of the engine itself. No job is to blame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineError {
    /// Whose it is.
    pub process: ProcessInfo,
    /// Which part of it: `claims`, `heartbeat`, `completions`, `dispatch`, `maintenance`, ...
    pub during: String,
    /// What went wrong, for a person.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// How many errors before this one, since the last that was reported, were not: the hooks were too slow for them.
    pub dropped: u64,
}

/// A run of a job that ended in an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunError {
    /// The worker.
    pub process: ProcessInfo,
    /// The job.
    pub job: FailedJob,
    /// What went wrong.
    pub error: JobError,
    /// True when the job will run again by itself; false when it has failed.
    pub will_retry: bool,
    /// When.
    pub at: Timestamp,
    /// How many errors before this one, since the last that was reported, were not: the hooks were too slow for them.
    pub dropped: u64,
}

/// A job whose run went wrong. Its arguments are not told: they may be secrets, and its id finds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedJob {
    /// Its own id.
    pub id: String,
    /// Its row's id.
    pub row_id: i64,
    /// Its class.
    pub class: String,
    /// The queue that it came from.
    pub queue: String,
    /// Its priority.
    pub priority: i32,
    /// Which run of it that used an attempt, from 1.
    pub attempt: u32,
    /// How often a worker died while it ran this job.
    pub interruptions: u32,
}

impl From<&Job> for FailedJob {
    fn from(job: &Job) -> Self {
        FailedJob {
            id: job.id.clone(),
            row_id: job.row_id,
            class: job.class.clone(),
            queue: job.queue.clone(),
            priority: job.priority,
            attempt: job.attempt,
            interruptions: job.interruptions,
        }
    }
}

impl From<&ClaimedJob> for FailedJob {
    /// A job whose envelope can't be read, so that nobody knows how often it ran.
    fn from(job: &ClaimedJob) -> Self {
        FailedJob {
            id: job.active_job_id.clone().unwrap_or_else(|| job.job_id.to_string()),
            row_id: job.job_id,
            class: job.class.clone(),
            queue: job.queue.clone(),
            priority: job.priority,
            attempt: 1,
            interruptions: job.interruptions,
        }
    }
}
