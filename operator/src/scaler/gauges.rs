//! What a dashboard shows of each QueueWorker that scales by load. Few enough to be told apart by name.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::database::{Share, User};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    namespace: String,
    queue_worker: String,
}

/// Those of all QueueWorkers, in whatever namespace. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges {
    replicas: Family<Labels, Gauge>,
    ready: Family<Labels, Gauge>,
    oldest: Family<Labels, Gauge<f64, AtomicU64>>,
}

impl Gauges {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register(
            "gritstone_queue_worker_replicas_wanted",
            "Workers that the load of a QueueWorker calls for, within its bounds",
            gauges.replicas.clone(),
        );
        registry.register(
            "gritstone_queue_worker_ready_jobs",
            "Jobs that the workers of a QueueWorker could claim now: its share where several serve a queue",
            gauges.ready.clone(),
        );
        registry.register(
            "gritstone_queue_worker_oldest_ready_job_seconds",
            "How long the oldest job that the workers of a QueueWorker could claim has been waiting",
            gauges.oldest.clone(),
        );
        gauges
    }

    /// Those of one QueueWorker, which go when this is dropped.
    pub(super) fn of(&self, user: &User) -> OfOne {
        let labels = Labels { namespace: user.namespace().to_owned(), queue_worker: user.name().to_owned() };
        OfOne { gauges: self.clone(), labels }
    }
}

/// The gauges of one QueueWorker.
#[derive(Debug)]
pub(super) struct OfOne {
    gauges: Gauges,
    labels: Labels,
}

impl OfOne {
    pub(super) fn wanted(&self, replicas: u32) {
        self.gauges.replicas.get_or_create(&self.labels).set(replicas.into());
    }

    pub(super) fn waits(&self, share: &Share) {
        self.gauges.ready.get_or_create(&self.labels).set(share.ready.try_into().unwrap_or(i64::MAX));
        self.gauges.oldest.get_or_create(&self.labels).set(share.oldest.as_secs_f64());
    }

    /// The database can't be asked: what waited a while ago would be taken for what waits now.
    pub(super) fn nobody_knows_what_waits(&self) {
        self.gauges.ready.remove(&self.labels);
        self.gauges.oldest.remove(&self.labels);
    }
}

impl Drop for OfOne {
    fn drop(&mut self) {
        self.gauges.replicas.remove(&self.labels);
        self.nobody_knows_what_waits();
    }
}
