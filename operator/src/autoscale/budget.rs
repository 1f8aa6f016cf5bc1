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
    /// How many replicas there may be where there are `now`.
    ///
    /// More only where there is room beside the others. For their sake alone there are no fewer: they will be gone, and what went for them
    /// would have to come again.
    pub fn replicas(&self, now: u32) -> u32 {
        let each = self.each.max(1);
        let left = self.connections.saturating_sub(self.others.saturating_mul(each)) / each;
        left.max(now.min(self.connections / each))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_workers_hold_connections_too() {
        let budget = |others| Budget { connections: 60, each: 4, others }.replicas(0);
        assert_eq!([budget(0), budget(1), budget(14), budget(15), budget(100)], [15, 14, 1, 0, 0]);
    }

    #[test]
    fn nobody_goes_because_others_have_not_ended_yet() {
        let budget = |now, others| Budget { connections: 24, each: 8, others }.replicas(now);
        assert_eq!([budget(2, 1), budget(3, 1), budget(3, 3)], [2, 3, 3], "none more and none fewer");
        assert_eq!([budget(5, 0), budget(5, 3)], [3, 3], "more than there ever may be");
    }
}
