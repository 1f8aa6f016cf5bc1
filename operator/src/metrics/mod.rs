//! What the operator counts, under the names that controllers of Kubernetes share, so that dashboards made for those work.
//!
//! `reconciling` has the controllers' work, `queues` what waits for it, `requests` the calls to the API server, `leading` whether this one works. Others add
//! theirs by [`Metrics::register`]. No label names an object: there may be ten thousand.

mod leading;
mod queues;
mod reconciling;
mod requests;

pub use leading::Leading;
pub(crate) use queues::Queue;
pub use queues::Queues;
pub(crate) use reconciling::Outcome;
pub use reconciling::Reconciling;
pub use requests::{Requests, RequestsLayer};

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::death::Pruned;

/// All of them. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// The controllers' work.
    pub reconciling: Reconciling,
    /// What waits to be reconciled.
    pub queues: Queues,
    /// The calls to the API server.
    pub requests: Requests,
    /// Whether this operator works or stands by.
    pub leading: Leading,
    /// The dead.
    pub(crate) pruned: Pruned,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (reconciling, requests) = (Reconciling::new(&mut registry), Requests::new(&mut registry));
        let (leading, pruned) = (Leading::new(&mut registry), Pruned::new(&mut registry));
        let queues = Queues::new(&mut registry);
        Self { registry: Arc::new(Mutex::new(registry)), reconciling, queues, requests, leading, pruned }
    }
}

impl Metrics {
    /// Adds some: `add` is given the registry.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of them as text, as Prometheus reads it (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        self.queues.measure();
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match encode(&mut text, &registry) {
            Ok(()) => text,
            // Writing to memory doesn't fail.
            Err(_) => String::new(),
        }
    }
}
