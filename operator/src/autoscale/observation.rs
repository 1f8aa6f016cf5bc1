//! What one look at the database sees.

use std::time::Duration;

/// What was seen of the queues that a QueueWorker serves, and of its workers' counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observation {
    /// When the look was taken, since the caller's origin.
    pub at: Duration,
    /// Jobs that these workers could claim now; those of paused queues not. An estimate will do where there are very many.
    pub ready: u64,
    /// Jobs that become due within the time that a worker takes to start.
    pub due_soon: u64,
    /// Jobs in these workers' hands.
    pub claimed: u64,
    /// Runs that ended since the look before, whatever came of them.
    pub ended: u64,
    /// How long those runs took together.
    pub busy: Duration,
    /// How long the oldest ready job has been waiting.
    pub oldest: Duration,
}
