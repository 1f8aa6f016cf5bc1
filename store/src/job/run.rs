//! A run of a job: from its claim to its end.

use super::JobError;
use jiff::Timestamp;
use std::time::Duration;

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// The claim's id: the fencing token, which every word on this run must name.
    pub claim_id: i64,
    /// The row's id.
    pub job_id: i64,
    /// The queue.
    pub queue: String,
    /// The class.
    pub class: String,
    /// Smaller comes first.
    pub priority: i32,
    /// Active Job's envelope, as stored; absent when someone wrote the row by hand.
    pub envelope: Option<String>,
    /// The job's own id.
    pub active_job_id: Option<String>,
    /// When it was due.
    pub scheduled_at: Option<Timestamp>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// The key of its limit.
    pub concurrency_key: Option<String>,
    /// How often a worker died while running it.
    pub interruptions: u32,
    /// How many runs it has in all, if its enqueuer said so.
    pub attempts: Option<u32>,
}

/// How a run ended, for the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// The claim.
    pub claim_id: i64,
    /// The job's row.
    pub job_id: i64,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a job after a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// It comes back after a delay; the envelope says how many runs there were.
    Retry {
        /// By the database's clock.
        delay: Duration,
        /// The envelope to keep.
        envelope: String,
    },
    /// It failed for good.
    Fail {
        /// Exception class, message and backtrace.
        error: JobError,
        /// The envelope to keep, if it changed.
        envelope: Option<String>,
    },
    /// It was cut short by no fault of its own, as if its worker had died: ready again at once, an interruption counted and no
    /// attempt.
    Interrupt,
    /// It never really started, or was told to stop: it uses no attempt. With a delay it comes back later.
    Release {
        /// By the database's clock.
        delay: Option<Duration>,
        /// The envelope to keep, if it changed.
        envelope: Option<String>,
    },
}
