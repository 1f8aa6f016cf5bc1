//! Asking the database for jobs.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// From half a millisecond to ten seconds.
const BUCKETS: [f64; 11] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Claims.
#[derive(Clone, Debug)]
pub struct Claims {
    durations: Histogram,
    jobs: Counter,
}

impl Claims {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let claims = Claims { durations: Histogram::new(BUCKETS), jobs: Counter::default() };
        let help = "How long the database took to answer a claim; the count is that of claims, empty ones included";
        registry.register("gritstone_claim_duration_seconds", help, claims.durations.clone());
        registry.register("gritstone_claimed_jobs", "Jobs that were claimed", claims.jobs.clone());
        claims
    }

    /// A claim was answered with so many jobs.
    pub fn answered(&self, jobs: usize, took: Duration) {
        self.durations.observe(took.as_secs_f64());
        self.jobs.inc_by(jobs as u64);
    }
}
