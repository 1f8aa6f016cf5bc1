//! What a process counts, for Prometheus. `docs/reference/metrics.md` lists all of it.
//!
//! A file per concern: [`Jobs`] and their runs, [`Claims`], [`Connections`] to the database, [`Lives`] of processes, what [`Dispatches`]
//! there were, and what the `host` says. No label names a job or a class: there may be any number of those. A label `queue` is an entry of the manifest's `queues`,
//! as it is written there.

mod claims;
mod connections;
mod dispatches;
mod host;
mod jobs;
mod lives;

pub use claims::Claims;
pub use connections::{Connection, Connections};
pub use dispatches::Dispatches;
pub use jobs::{Ended, Jobs, QueueJobs};
pub use lives::{Listed, Lives};

use hyper::header::HeaderValue;
use prometheus_client::encoding::prometheus_text::{self, encode};
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The media type of [`Metrics::text`].
pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);

/// All that is counted. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Runs of jobs.
    pub jobs: Jobs,
    /// Claims.
    pub claims: Claims,
    /// Connections to the database.
    pub connections: Connections,
    /// Processes and their heartbeats.
    pub lives: Lives,
    /// What dispatchers and schedulers made.
    pub dispatches: Dispatches,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (jobs, claims) = (Jobs::new(&mut registry), Claims::new(&mut registry));
        let (connections, lives) = (Connections::new(&mut registry), Lives::new(&mut registry));
        let dispatches = Dispatches::new(&mut registry);
        host::register(&mut registry);
        Metrics { registry: Arc::new(registry), jobs, claims, connections, lives, dispatches }
    }
}

impl Metrics {
    /// All of it in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // Writing to a string fails at nothing but a metric that fails by itself, and ours don't.
            tracing::error!("the metrics can't be written");
        }
        text
    }
}

/// The value of a metric in a page, for tests.
#[cfg(test)]
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}
