//! What running jobs say before they end, in the worker's log.

use crate::execute::{Job, Notices};
use serde_json::value::RawValue;

/// Logs what jobs say.
pub(super) struct LoggedNotices;

impl Notices for LoggedNotices {
    fn heartbeat(&self, job: &Job) {
        tracing::trace!(target: "gritstone::handler", job = job.id, class = job.class, "heartbeat");
    }

    fn progress(&self, job: &Job, progress: &RawValue) {
        tracing::debug!(target: "gritstone::handler", job = job.id, class = job.class, progress = progress.get(), "progress");
    }

    fn log(&self, job: &Job, line: &str) {
        tracing::info!(target: "gritstone::handler", job = job.id, class = job.class, "{line}");
    }
}
