//! How many workers the database has connections for.

/// The connections that all workers of one QueueWorker may hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// `maxDatabaseConnections`.
    pub connections: u32,
    /// How many one worker holds.
    pub each: u32,
    /// Workers that hold connections without being counted as replicas: those of a rollout's surge, and those that are ending.
    pub others: u32,
}

impl Budget {
    /// How many replicas there may be.
    pub fn replicas(&self) -> u32 {
        let left = self.connections.saturating_sub(self.others.saturating_mul(self.each));
        left / self.each.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_workers_hold_connections_too() {
        let budget = |others| Budget { connections: 60, each: 4, others }.replicas();
        assert_eq!([budget(0), budget(1), budget(14), budget(15), budget(100)], [15, 14, 1, 0, 0]);
    }
}
