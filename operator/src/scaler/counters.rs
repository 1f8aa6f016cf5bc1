//! What workers have done between two looks, out of what they have done since they started.

use std::collections::HashMap;
use std::time::Duration;

use gritstone_store::WorkerLoad;

/// What was seen of each process at the last look.
#[derive(Debug, Default)]
pub(super) struct Counters {
    last: HashMap<i64, (u64, Duration)>,
    /// The newest process at the last look, whosever it is.
    newest: Option<i64>,
}

/// What was done since the last look, and what is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) ended: u64,
    pub(super) busy: Duration,
    pub(super) claimed: u64,
}

impl Counters {
    /// Takes in a look; `newest` is the newest process in it, whosever it is. What a worker did before it was seen counts if it wasn't
    /// there at the last look. If it was, its pod wasn't heard of yet, and it did that at any time.
    pub(super) fn note<'l>(&mut self, workers: impl Iterator<Item = &'l WorkerLoad>, newest: Option<i64>) -> Done {
        let (mut done, mut now) = (Done::default(), HashMap::new());
        for worker in workers {
            let is_new = self.newest.is_some_and(|newest| worker.process_id > newest);
            let unseen = if is_new { (0, Duration::ZERO) } else { (worker.ended, worker.busy) };
            let before = self.last.get(&worker.process_id).copied().unwrap_or(unseen);
            done.ended += worker.ended.saturating_sub(before.0);
            done.busy += worker.busy.saturating_sub(before.1);
            done.claimed += worker.claimed;
            now.insert(worker.process_id, (worker.ended, worker.busy));
        }
        self.last = now;
        self.newest = Some(newest.or(self.newest).unwrap_or(i64::MIN));
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
        let mut note = |loads: &[WorkerLoad], newest| {
            let done = counters.note(loads.iter(), newest);
            (done.ended, done.busy.as_secs(), done.claimed)
        };
        assert_eq!(note(&[], None), (0, 0, 0));
        assert_eq!(note(&[load(1, 3)], Some(1)), (3, 3, 2), "the first that there is");
        assert_eq!(note(&[load(1, 5), load(2, 3)], Some(2)), (5, 5, 4));
        assert_eq!(note(&[load(2, 3)], Some(2)), (0, 0, 2));
        assert_eq!(note(&[], None), (0, 0, 0));
        assert_eq!(note(&[load(3, 4)], Some(3)), (4, 4, 2));
    }

    #[test]
    fn what_was_done_before_the_first_look_or_before_its_pod_was_heard_of_does_not() {
        let mut counters = Counters::default();
        let mut note = |loads: &[WorkerLoad], newest| counters.note(loads.iter(), newest).ended;
        assert_eq!(note(&[load(1, 1_000)], Some(2)), 0);
        assert_eq!(note(&[load(1, 1_001), load(2, 5_000)], Some(2)), 1);
        assert_eq!(note(&[load(1, 1_001), load(2, 5_003)], Some(2)), 3);
    }
}
