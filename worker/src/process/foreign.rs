//! Jobs of classes that a worker doesn't run, on the queues that it serves: how not to go through them at each poll.
//!
//! No index has the class, so a claim of some classes steps over all that lies before. Once that takes long, the worker looks before it
//! claims: at everything, as seldom as that costs a twentieth of the time, and at each poll at what became ready since.

use gritstone_store::ReadyRows;
use std::time::{Duration, Instant};

/// What takes no longer than this is done at each poll.
const QUICK: Duration = Duration::from_millis(5);

/// A look at everything may take one part in so many of the time.
const SHARE: u32 = 20;

/// The longest that a look at everything has to wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The most jobs that one look brings.
pub(super) const MOST: u32 = 1_000;

/// What is known of jobs of other classes.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    in_the_way: Option<InTheWay>,
}

#[derive(Debug)]
struct InTheWay {
    /// Up to this row there is nothing for this worker.
    seen: Option<i64>,
    /// When everything may next be looked at.
    everything_allowed: Instant,
}

/// How the next claim begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Without a look.
    Claim,
    /// With a look at what became ready after this row, or at everything.
    Look(Option<i64>),
}

impl Foreign {
    /// How the next claim begins.
    pub(super) fn first(&self, now: Instant) -> First {
        match &self.in_the_way {
            None => First::Claim,
            Some(way) if now >= way.everything_allowed => First::Look(None),
            Some(way) => First::Look(way.seen),
        }
    }

    /// Learns from a claim that began without a look, and got so much of what it asked for.
    pub(super) fn claimed(&mut self, short: bool, took: Duration, now: Instant) {
        if short && took > QUICK {
            self.in_the_way = Some(InTheWay { seen: None, everything_allowed: now });
        }
    }

    /// Learns from a look; `short` when everything that it found was dealt with.
    pub(super) fn looked(&mut self, after: Option<i64>, found: &ReadyRows, short: bool, took: Duration, now: Instant) {
        let Some(way) = &mut self.in_the_way else { return };
        if after.is_none() {
            if took <= QUICK {
                self.in_the_way = None;
                return;
            }
            way.everything_allowed = now + (took * SHARE).min(LONGEST_WAIT);
            way.seen = None;
        }
        if short && found.newest.is_some() {
            way.seen = found.newest;
        }
    }

    /// Other queues are served than before: nothing is known of those.
    pub(super) fn forget(&mut self) {
        if let Some(way) = &mut self.in_the_way {
            way.seen = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(40);

    fn found(newest: Option<i64>) -> ReadyRows {
        ReadyRows { rows: Vec::new(), newest }
    }

    #[test]
    fn claims_go_without_a_look_until_one_takes_long_for_little() {
        let now = Instant::now();
        let mut foreign = Foreign::default();
        foreign.claimed(true, QUICK, now);
        foreign.claimed(false, SLOW, now);
        assert_eq!(foreign.first(now), First::Claim);
        foreign.claimed(true, SLOW, now);
        assert_eq!(foreign.first(now), First::Look(None));
    }

    #[test]
    fn everything_is_looked_at_for_a_twentieth_of_the_time_and_what_is_new_meanwhile() {
        let now = Instant::now();
        let mut foreign = Foreign::default();
        foreign.claimed(true, SLOW, now);
        foreign.looked(None, &found(Some(7)), true, SLOW, now);
        let before = now + Duration::from_millis(799);
        assert_eq!(foreign.first(before), First::Look(Some(7)));
        foreign.looked(Some(7), &found(Some(9)), true, Duration::from_millis(1), before);
        assert_eq!(foreign.first(before), First::Look(Some(9)));
        assert_eq!(foreign.first(now + Duration::from_millis(800)), First::Look(None));
        foreign.looked(None, &found(Some(9)), true, Duration::from_secs(60), now);
        assert_eq!(foreign.first(now + LONGEST_WAIT), First::Look(None), "ten seconds at most");
    }

    #[test]
    fn what_is_left_of_a_look_is_found_by_the_next() {
        let now = Instant::now();
        let mut foreign = Foreign::default();
        foreign.claimed(true, SLOW, now);
        foreign.looked(None, &found(None), false, SLOW, now);
        assert_eq!(foreign.first(now), First::Look(None), "more than one look brings");
        foreign.looked(None, &found(Some(7)), true, SLOW, now);
        foreign.looked(Some(7), &found(Some(9)), false, QUICK, now);
        assert_eq!(foreign.first(now), First::Look(Some(7)), "more than were asked for");
    }

    #[test]
    fn once_nothing_is_in_the_way_claims_go_without_a_look() {
        let now = Instant::now();
        let mut foreign = Foreign::default();
        foreign.claimed(true, SLOW, now);
        foreign.looked(None, &found(Some(7)), true, QUICK, now);
        assert_eq!(foreign.first(now), First::Claim);
    }

    #[test]
    fn of_queues_that_are_new_everything_is_looked_at() {
        let now = Instant::now();
        let mut foreign = Foreign::default();
        foreign.claimed(true, SLOW, now);
        foreign.looked(None, &found(Some(7)), true, SLOW, now);
        foreign.forget();
        assert_eq!(foreign.first(now), First::Look(None));
    }
}
