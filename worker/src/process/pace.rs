//! How fast jobs go by: what it is worth to claim ahead.
//!
//! While jobs take less than a claim's way to the database and back, a worker that claims only for its free slots waits most of
//! the time. A job that was claimed ahead can be run by nobody else, so only as many are as start within a blink; how many
//! that are follows from how long the last runs took.

use std::time::Duration;

/// What starts within this time may as well be here. Several ways to the database and back, commit included, and shorter than anybody
/// notices.
const HORIZON: Duration = Duration::from_millis(20);

/// The most that are claimed ahead unasked.
pub(super) const MOST: u32 = 500;

/// How much a new look counts against all before it.
const WEIGHT: f64 = 0.3;

/// The mean time of a run, lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    runs: u64,
    busy: Duration,
    mean: Option<f64>,
}

impl Pace {
    /// Learns from the totals so far: how many runs there were, and their time.
    pub(super) fn note(&mut self, runs: u64, busy: Duration) {
        let new = runs.saturating_sub(self.runs);
        if new == 0 {
            return;
        }
        let sample = busy.saturating_sub(self.busy).as_secs_f64() / new as f64;
        self.mean = Some(self.mean.map_or(sample, |mean| mean + WEIGHT * (sample - mean)));
        (self.runs, self.busy) = (runs, busy);
    }

    /// Forgets what jobs took: they take longer by now, and none has ended to say so.
    pub(super) fn forget(&mut self) {
        self.mean = None;
    }

    /// How many jobs so many threads start within a blink; none before anything is known.
    pub(super) fn soon(&self, threads: u32) -> u32 {
        let Some(mean) = self.mean else { return 0 };
        let each = HORIZON.as_secs_f64() / mean.max(1e-6);
        (f64::from(threads) * each).min(f64::from(MOST)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(runs: u64, each: Duration) -> Pace {
        let mut pace = Pace::default();
        pace.note(runs, each * runs as u32);
        pace
    }

    #[test]
    fn short_jobs_are_claimed_ahead_and_long_ones_are_not() {
        assert_eq!(Pace::default().soon(3), 0);
        assert_eq!(after(100, Duration::from_millis(1)).soon(3), 60);
        assert_eq!(after(100, Duration::from_millis(10)).soon(3), 6);
        assert_eq!(after(100, Duration::from_secs(1)).soon(3), 0);
        assert_eq!(after(100, Duration::ZERO).soon(3), MOST);
    }

    #[test]
    fn it_follows_what_jobs_take_lately() {
        let mut pace = after(1_000, Duration::from_micros(10));
        let mut busy = Duration::from_millis(10);
        for runs in 1_001..1_010 {
            busy += Duration::from_secs(1);
            pace.note(runs, busy);
        }
        assert_eq!(pace.soon(3), 0);
    }

    #[test]
    fn once_forgotten_nothing_is_claimed_ahead_until_a_run_ends() {
        let mut pace = after(1_000, Duration::from_micros(10));
        pace.forget();
        pace.note(1_000, Duration::from_millis(10));
        assert_eq!(pace.soon(3), 0);
        pace.note(1_001, Duration::from_millis(11));
        assert_eq!(pace.soon(3), 60);
    }

    #[test]
    fn nothing_is_learned_from_a_look_without_a_run() {
        let mut pace = after(10, Duration::from_millis(1));
        pace.note(10, Duration::from_secs(5));
        assert_eq!(pace.soon(1), 20);
    }
}
