//! What the operator counts, under the names that controllers of Kubernetes share, so that dashboards made for those work.
//!
//! `reconciling` has the controllers' work, `queues` what waits for it, `requests` the calls to the API server, `leading` whether this one
//! works. What is counted of the dead and of scaling is where that is done. All are there once, however many namespaces are looked after. No
//! label but scaling's names an object: there may be ten thousand.

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

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::death::Pruned;
use crate::scaler::{Gauges, Scalings};

/// All of them. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
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
    /// Workers that scale by load.
    pub(crate) scaling: Gauges,
    /// How often they did.
    pub(crate) scalings: Scalings,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (reconciling, requests) = (Reconciling::new(&mut registry), Requests::new(&mut registry));
        let (leading, queues) = (Leading::new(&mut registry), Queues::new(&mut registry));
        let (pruned, scaling) = (Pruned::new(&mut registry), Gauges::new(&mut registry));
        let scalings = Scalings::new(&mut registry);
        Self { registry: Arc::new(registry), reconciling, queues, requests, leading, pruned, scaling, scalings }
    }
}

impl Metrics {
    /// All of them as text, as Prometheus reads it (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        self.queues.measure();
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to memory doesn't fail.
            Err(_) => String::new(),
        }
    }
}
