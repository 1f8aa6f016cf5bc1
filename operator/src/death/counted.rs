//! How many dead there were.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Processes that were pruned on the kubelet's word, and their jobs.
#[derive(Clone, Debug)]
pub(crate) struct Pruned {
    processes: Family<Reason, Counter>,
    jobs: Family<Outcome, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Pruned {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let all = Self { processes: Family::default(), jobs: Family::default() };
        registry.register(
            "gritstone_operator_pruned_processes",
            "Processes whose container had ended, by the kubelet's reason",
            all.processes.clone(),
        );
        registry.register(
            "gritstone_operator_pruned_jobs",
            "Jobs of pruned processes, by what became of them: released, interrupted, failed",
            all.jobs.clone(),
        );
        all
    }

    pub(super) fn count(&self, reason: &str, buried: &gritstone_store::Buried) {
        self.processes.get_or_create(&Reason { reason: reason.to_owned() }).inc();
        let outcomes =
            [("released", &buried.released), ("interrupted", &buried.interrupted), ("failed", &buried.failed)];
        for (outcome, jobs) in outcomes {
            self.jobs.get_or_create(&Outcome { outcome }).inc_by(jobs.len() as u64);
        }
    }
}
