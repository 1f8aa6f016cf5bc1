//! What dispatchers and schedulers made.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Jobs that were made ready because their time had come.
#[derive(Clone, Debug)]
pub struct Dispatches {
    dispatched: Counter,
    recurring: Counter,
}

impl Dispatches {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let dispatches = Dispatches { dispatched: Counter::default(), recurring: Counter::default() };
        let help = "Jobs whose time had come, made ready or put behind their limit";
        registry.register("gritstone_dispatched_jobs", help, dispatches.dispatched.clone());
        registry.register(
            "gritstone_recurring_runs",
            "Jobs of recurring tasks that were enqueued",
            dispatches.recurring.clone(),
        );
        dispatches
    }

    /// So many jobs were due.
    pub fn dispatched(&self, jobs: u64) {
        self.dispatched.inc_by(jobs);
    }

    /// A recurring task's job was enqueued.
    pub fn recurring(&self) {
        self.recurring.inc();
    }
}
