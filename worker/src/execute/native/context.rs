//! What a handler in Rust has at hand besides its arguments.

use crate::execute::{Context, Job, Notices};
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The job that runs (it derefs to [`Job`]), and how to talk about it.
#[derive(Clone)]
pub struct JobContext {
    job: Arc<Job>,
    cancel: CancellationToken,
    notices: Option<Arc<dyn Notices>>,
}

impl JobContext {
    pub(super) fn new(job: Arc<Job>, context: &Context, cancel: CancellationToken) -> Self {
        Self { job, cancel, notices: context.notices.clone() }
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Cancelled when the job is told to stop: at shutdown, when its claim is lost, past its deadline. It then has the
    /// handler's grace to come to an end; after that it is dropped where it awaits.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Whether the job was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Asks for more time.
    pub fn heartbeat(&self) {
        if let Some(notices) = &self.notices {
            notices.heartbeat(&self.job);
        }
    }

    /// Says how far the job is.
    ///
    /// # Errors
    /// When `progress` can't be written as JSON.
    pub fn progress(&self, progress: &impl Serialize) -> Result<(), serde_json::Error> {
        if let Some(notices) = &self.notices {
            notices.progress(&self.job, &to_raw_value(progress)?);
        }
        Ok(())
    }

    /// Writes a line to the job's log.
    pub fn log(&self, line: &str) {
        if let Some(notices) = &self.notices {
            notices.log(&self.job, line);
        }
    }
}

impl Deref for JobContext {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

impl std::fmt::Debug for JobContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobContext").field("job", &self.job).finish_non_exhaustive()
    }
}
