//! The controllers' work.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper bounds of controller-runtime's histogram, in seconds.
const BOUNDS: [f64; 36] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
    1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 30.0, 60.0,
];

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing more to do until something changes.
    Success,
    /// It is to be looked at again after a while.
    RequeueAfter,
    /// It failed, and is tried again.
    Error,
    /// It failed by a mistake of ours, and is tried again.
    Panic,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    controller: String,
}

impl Of {
    fn new(controller: &str) -> Self {
        Self { controller: controller.to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    controller: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: String,
    controller: String,
}

/// By controller: what was done, how long it took, what is being done.
#[derive(Clone, Debug)]
pub struct Reconciling {
    total: Family<OfResult, Counter>,
    errors: Family<Of, Counter>,
    panics: Family<Of, Counter>,
    seconds: Family<Of, Histogram, fn() -> Histogram>,
    active: Family<Of, Gauge>,
    at_most: Family<Of, Gauge>,
    retries: Family<Named, Counter>,
}

impl Reconciling {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BOUNDS);
        let all = Self {
            total: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            active: Family::default(),
            at_most: Family::default(),
            retries: Family::default(),
        };
        registry.register("controller_runtime_reconcile", "Reconciliations, by how they ended", all.total.clone());
        registry.register("controller_runtime_reconcile_errors", "Reconciliations that failed", all.errors.clone());
        registry.register(
            "controller_runtime_reconcile_panics",
            "Reconciliations that failed by a mistake of the operator's",
            all.panics.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciliations took",
            all.seconds.clone(),
        );
        registry.register("controller_runtime_active_workers", "Reconciliations under way", all.active.clone());
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "How many reconciliations may be under way",
            all.at_most.clone(),
        );
        registry.register(
            "workqueue_retries",
            "Reconciliations that are tried again after a rest",
            all.retries.clone(),
        );
        all
    }

    /// A controller begins, with so many reconciliations at once at most. Its counters are there from now on, at zero.
    pub(crate) fn begin(&self, controller: &str, at_most: u16) {
        self.at_most.get_or_create(&Of::new(controller)).set(at_most.into());
        drop(self.active.get_or_create(&Of::new(controller)));
        drop(self.errors.get_or_create(&Of::new(controller)));
        drop(self.panics.get_or_create(&Of::new(controller)));
        drop(self.retries.get_or_create(&Named { name: controller.to_owned(), controller: controller.to_owned() }));
    }

    /// A reconciliation begins; it ends when the guard is dropped.
    pub(crate) fn start(&self, controller: &str) -> Active {
        let gauge = self.active.get_or_create(&Of::new(controller)).clone();
        gauge.inc();
        Active(gauge)
    }

    /// A reconciliation is over.
    pub(crate) fn ended(&self, controller: &str, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Success => "success",
            Outcome::RequeueAfter => "requeue_after",
            Outcome::Error | Outcome::Panic => "error",
        };
        self.total.get_or_create(&OfResult { controller: controller.to_owned(), result }).inc();
        self.seconds.get_or_create(&Of::new(controller)).observe(took.as_secs_f64());
        if matches!(outcome, Outcome::Error | Outcome::Panic) {
            self.errors.get_or_create(&Of::new(controller)).inc();
            self.retries.get_or_create(&Named { name: controller.to_owned(), controller: controller.to_owned() }).inc();
        }
        if outcome == Outcome::Panic {
            self.panics.get_or_create(&Of::new(controller)).inc();
        }
    }
}

/// A reconciliation under way.
#[derive(Debug)]
pub(crate) struct Active(Gauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}
