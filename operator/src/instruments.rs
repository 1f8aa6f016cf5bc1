//! What others see of the operator: its metrics and its health.

use crate::health::Health;
use crate::metrics::Metrics;

/// Both. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Instruments {
    /// What it counts.
    pub metrics: Metrics,
    /// How it is.
    pub health: Health,
}
