//! What workers have done between two looks, out of what they have done since they started.

use std::collections::HashMap;
use std::time::Duration;

use gritstone_store::WorkerLoad;

/// What was seen of each process at the last look.
#[derive(Debug, Default)]
pub(super) struct Counters {
    last: Option<HashMap<i64, (u64, Duration)>>,
}

/// What was done since the last look, and what is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) ended: u64,
    pub(super) busy: Duration,
    pub(super) claimed: u64,
}

impl Counters {
    /// Takes in a look. What the workers that the first one finds did before it was done at another time.
    pub(super) fn note<'l>(&mut self, workers: impl Iterator<Item = &'l WorkerLoad>) -> Done {
        let (mut done, mut now) = (Done::default(), HashMap::new());
        for worker in workers {
            let before = match &self.last {
                None => (worker.ended, worker.busy),
                Some(last) => last.get(&worker.process_id).copied().unwrap_or_default(),
            };
            done.ended += worker.ended.saturating_sub(before.0);
            done.busy += worker.busy.saturating_sub(before.1);
            done.claimed += worker.claimed;
            now.insert(worker.process_id, (worker.ended, worker.busy));
        }
        self.last = Some(now);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(process_id: i64, ended: u64) -> WorkerLoad {
        WorkerLoad {
            process_id,
            namespace: "shop".to_owned(),
            pod_uid: "u".to_owned(),
            claimed: 2,
            ended,
            busy: Duration::from_secs(ended),
            cordoned: false,
        }
    }

    #[test]
    fn only_what_is_new_counts() {
        let mut counters = Counters::default();
        let mut note = |loads: &[WorkerLoad]| {
            let done = counters.note(loads.iter());
            (done.ended, done.busy.as_secs(), done.claimed)
        };
        assert_eq!(note(&[load(1, 1_000)]), (0, 0, 2));
        assert_eq!(note(&[load(1, 1_005), load(2, 3)]), (8, 8, 4));
        assert_eq!(note(&[load(2, 3)]), (0, 0, 2));
        assert_eq!(note(&[]), (0, 0, 0));
        assert_eq!(note(&[load(3, 4)]), (4, 4, 2));
    }
}
