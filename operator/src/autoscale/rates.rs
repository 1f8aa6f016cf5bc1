//! Rates out of counts, smoothed.

use super::Observation;
use std::time::Duration;

/// Over how long arrivals are smoothed.
const ARRIVALS_OVER: Duration = Duration::from_secs(10);

/// Over how long run times are smoothed.
const RUN_TIME_OVER: Duration = Duration::from_secs(60);

/// How often jobs arrive, and how long they run.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    last: Option<Observation>,
    /// What arrived in a second, by the last looks.
    lately: [f64; 3],
    arrivals: f64,
    /// Ended runs and their seconds, weighted alike: the older, the less. Their ratio stays when neither grows.
    ended: f64,
    busy: f64,
}

impl Rates {
    /// Takes in a look. One that isn't later than the last is passed over.
    pub(super) fn note(&mut self, seen: &Observation) {
        let Some(last) = self.last.replace(*seen) else {
            self.note_runs(seen, 1.0);
            return;
        };
        let elapsed = seen.at.saturating_sub(last.at).as_secs_f64();
        if elapsed <= 0.0 {
            self.last = Some(last);
            return;
        }
        let there = |look: &Observation| (look.ready + look.claimed) as f64;
        let arrived = (there(seen) - there(&last) + seen.ended as f64).max(0.0);
        self.lately = [self.lately[1], self.lately[2], arrived / elapsed];
        let share = 1.0 - (-elapsed / ARRIVALS_OVER.as_secs_f64()).exp();
        self.arrivals += (median(self.lately) - self.arrivals) * share;
        self.note_runs(seen, (-elapsed / RUN_TIME_OVER.as_secs_f64()).exp());
    }

    fn note_runs(&mut self, seen: &Observation, keep: f64) {
        self.ended = self.ended * keep + seen.ended as f64;
        self.busy = self.busy * keep + seen.busy.as_secs_f64();
        // What has faded for hours must not become a division of nothing by nothing.
        if self.ended < 1.0 && self.ended > 0.0 {
            self.busy /= self.ended;
            self.ended = 1.0;
        }
    }

    /// Jobs that arrive in a second. A batch that is enqueued at once is none of them: it is no stream, and counts as what is ready.
    pub(super) fn arrivals(&self) -> f64 {
        self.arrivals
    }

    /// How long a job runs, in seconds; nothing while none has ended.
    pub(super) fn run_time(&self) -> Option<f64> {
        (self.ended > 0.0).then(|| self.busy / self.ended)
    }
}

/// The second largest.
fn median([a, b, c]: [f64; 3]) -> f64 {
    a.max(b).min(a.min(b).max(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(seconds: u64) -> Observation {
        Observation { at: Duration::from_secs(seconds), ..Observation::default() }
    }

    #[test]
    fn a_steady_stream_is_found_within_half_a_minute() {
        let mut rates = Rates::default();
        for second in 0..30 {
            // Ten arrive in a second; eight are done.
            rates.note(&Observation { ready: second * 2, ended: 8, busy: Duration::from_secs(4), ..look(second) });
        }
        assert!((rates.arrivals() - 10.0).abs() < 1.0, "{}", rates.arrivals());
        assert!((rates.run_time().unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn run_times_stay_known_when_nothing_runs() {
        let mut rates = Rates::default();
        rates.note(&Observation { ended: 3, busy: Duration::from_secs(6), ..look(0) });
        for minute in 1..10_000 {
            rates.note(&look(minute * 60));
        }
        assert_eq!(rates.run_time().map(|seconds| seconds.round()), Some(2.0));
        assert_eq!(rates.arrivals(), 0.0);
    }

    #[test]
    fn a_batch_is_no_stream() {
        let mut rates = Rates::default();
        for second in 0..60 {
            let ready = if second < 30 { 0 } else { 1_000_000 };
            rates.note(&Observation { ready, ..look(second) });
            assert_eq!(rates.arrivals(), 0.0);
        }
    }

    #[test]
    fn a_look_that_is_not_later_says_nothing() {
        let mut rates = Rates::default();
        rates.note(&look(10));
        rates.note(&Observation { ready: 1_000_000, ..look(10) });
        rates.note(&Observation { ready: 1_000_000, ..look(9) });
        assert_eq!(rates.arrivals(), 0.0);
        assert_eq!(rates.run_time(), None);
    }
}
