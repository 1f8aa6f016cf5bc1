//! When a job runs again: the retry policy, as a function of values.
//!
//! The wait before run `n + 1` is `initial * factor^(n - 1)`, at most `max`, of which a random part is taken off: the job
//! waits between half and the whole of it ("equal jitter"). Taking off rather than adding keeps `max` a promise; keeping
//! half makes sure that a service that asked for peace gets some (full jitter may retry at once); and a spread of half the
//! wait is enough to pull apart jobs that failed together.

use super::errors::class;
use super::{JobError, Outcome};
use std::collections::HashMap;
use std::time::Duration;

/// The longest delay a handler may ask for: ten years. Longer ones are a mistake in units, and past what dates can hold.
pub const LONGEST_DELAY: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// How waits grow from one run to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    initial: Duration,
    factor: f64,
    max: Duration,
}

impl Default for Backoff {
    /// 5 s, doubling, at most an hour.
    fn default() -> Self {
        Self::new(Duration::from_secs(5), 2.0, Duration::from_secs(3600))
    }
}

impl Backoff {
    /// `initial` before the second run, `factor` times longer before each one after (never shorter: a factor below 1, or
    /// one that is no number, is 1), never more than `max`.
    pub fn new(initial: Duration, factor: f64, max: Duration) -> Self {
        Self { initial, factor: if factor >= 1.0 { factor } else { 1.0 }, max: max.min(LONGEST_DELAY) }
    }

    /// The longest wait after run `attempt` (counted from 1).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        // Infinity, and 0 * infinity, end here.
        Duration::try_from_secs_f64(seconds).map_or(self.max, |wait| wait.min(self.max))
    }

    /// The wait after run `attempt`; `random` is uniform in 0..1.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let kept = 0.5 + 0.5 * random.clamp(0.0, 1.0);
        self.ceiling(attempt).mul_f64(kept).min(self.max)
    }
}

/// Which jobs run again, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Runs a job gets in all, the first included. At least 1.
    pub attempts: u32,
    /// How many of them may end with the death of the handler; all of them when `None`.
    pub crashes: Option<u32>,
    /// How long it waits between them.
    pub backoff: Backoff,
    /// What is different for some classes.
    pub classes: HashMap<String, ClassPolicy>,
}

/// What one class does differently.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClassPolicy {
    /// Runs in all, instead of the policy's.
    pub attempts: Option<u32>,
    /// Waits, instead of the policy's.
    pub backoff: Option<Backoff>,
}

impl Default for Policy {
    /// Nothing runs again by itself, as in Solid Queue.
    fn default() -> Self {
        Self { attempts: 1, crashes: None, backoff: Backoff::default(), classes: HashMap::new() }
    }
}

/// What becomes of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is finished.
    Done,
    /// It runs again after the delay, and has used an attempt.
    RetryIn {
        /// How long it waits.
        delay: Duration,
        /// Why this run didn't count as done.
        error: JobError,
    },
    /// It has failed for good.
    Fail(JobError),
    /// It runs again at once, an interruption counted and no attempt.
    Interrupt(JobError),
    /// It goes back, as if never run: at once, or after the delay.
    Release(Option<Duration>),
}

impl Policy {
    /// Runs that a job of this class gets in all.
    pub fn attempts(&self, class: &str) -> u32 {
        self.classes.get(class).and_then(|own| own.attempts).unwrap_or(self.attempts).max(1)
    }

    /// What becomes of a job of `class` whose run number `attempt` (from 1) ended with `outcome`; `random` is uniform in
    /// 0..1. A delay that the handler asked for is taken as it is, but the runs are limited all the same.
    pub fn decide(&self, outcome: Outcome, attempt: u32, class: &str, random: f64) -> Verdict {
        match outcome {
            Outcome::Done => Verdict::Done,
            Outcome::Fail { error } => Verdict::Fail(error),
            Outcome::Interrupted { error } => Verdict::Interrupt(error),
            Outcome::Release { delay } => Verdict::Release(delay.map(|delay| delay.min(LONGEST_DELAY))),
            Outcome::Retry { error, .. } if attempt >= self.attempts(class) => Verdict::Fail(error),
            Outcome::Retry { delay: Some(delay), error } => Verdict::RetryIn { delay: delay.min(LONGEST_DELAY), error },
            Outcome::Retry { delay: None, error } => {
                let backoff = self.classes.get(class).and_then(|own| own.backoff).unwrap_or(self.backoff);
                Verdict::RetryIn { delay: backoff.delay(attempt, random), error }
            }
        }
    }
}

impl Outcome {
    /// The same for a job whose handler died over `before` of its runs, and over `most` at most.
    pub(crate) fn after_crashes(self, before: u32, most: u32) -> Self {
        match self {
            Self::Retry { error, .. } if before.saturating_add(1) >= most => Self::Fail { error },
            other => other,
        }
    }

    /// Whether the handler died over it.
    pub(crate) fn is_crash(&self) -> bool {
        matches!(self, Self::Retry { error, .. } if error.exception_class() == class::HANDLER_CRASHED)
    }

    /// The same for a job that was interrupted so often before.
    pub(crate) fn after_interruptions(self, interruptions: u32) -> Self {
        match self {
            Self::Interrupted { error } if interruptions > 0 => Self::Retry { delay: None, error },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error() -> JobError {
        JobError::new("Oops", "it broke")
    }

    fn retry(delay: Option<Duration>) -> Outcome {
        Outcome::Retry { delay, error: error() }
    }

    #[test]
    fn nothing_is_retried_by_itself() {
        assert_eq!(Policy::default().decide(retry(None), 1, "A", 0.5), Verdict::Fail(error()));
        assert_eq!(Policy::default().decide(retry(Some(Duration::ZERO)), 1, "A", 0.5), Verdict::Fail(error()));
    }

    #[test]
    fn attempts_are_the_total_of_runs() {
        let policy = Policy { attempts: 3, ..Policy::default() };
        assert!(matches!(policy.decide(retry(None), 2, "A", 0.0), Verdict::RetryIn { .. }));
        assert_eq!(policy.decide(retry(None), 3, "A", 0.0), Verdict::Fail(error()));
    }

    #[test]
    fn a_class_has_its_own_rules() {
        let own =
            ClassPolicy { attempts: Some(2), backoff: Some(Backoff::new(Duration::from_secs(60), 1.0, Duration::MAX)) };
        let policy = Policy { classes: HashMap::from([("Slow".to_owned(), own)]), ..Policy::default() };
        let Verdict::RetryIn { delay, .. } = policy.decide(retry(None), 1, "Slow", 1.0) else { panic!("not retried") };
        assert_eq!(delay, Duration::from_secs(60));
        assert_eq!(policy.decide(retry(None), 1, "Quick", 1.0), Verdict::Fail(error()));
    }

    #[test]
    fn a_release_uses_nothing_however_late_the_attempt() {
        let released = Policy::default().decide(Outcome::Release { delay: None }, 99, "A", 0.5);
        assert_eq!(released, Verdict::Release(None));
    }

    #[test]
    fn the_waits_double_up_to_an_hour() {
        let backoff = Backoff::default();
        let ceilings: Vec<u64> = [1, 2, 3, 10, 11, 1000, u32::MAX].map(|n| backoff.ceiling(n).as_secs()).into();
        assert_eq!(ceilings, [5, 10, 20, 2560, 3600, 3600, 3600]);
    }

    prop_compose! {
        fn backoffs()(initial in 0u64..10_000_000, factor in prop_oneof![-2.0..100.0f64, Just(f64::NAN), Just(f64::INFINITY)],
                      max in 0u64..10_000_000) -> Backoff {
            Backoff::new(Duration::from_millis(initial), factor, Duration::from_millis(max))
        }
    }

    #[test]
    fn a_job_is_interrupted_once_and_then_uses_its_attempts() {
        let interrupted = |before| {
            let outcome = Outcome::Interrupted { error: JobError::new("E", "closed") }.after_interruptions(before);
            Policy::default().decide(outcome, 1, "A", 0.5)
        };
        assert!(matches!(interrupted(0), Verdict::Interrupt(_)));
        assert!(matches!(interrupted(1), Verdict::Fail(_)));
    }

    #[test]
    fn a_job_that_kills_its_handler_too_often_fails_before_its_attempts_are_used() {
        let crash = || Outcome::Retry { delay: None, error: JobError::new(class::HANDLER_CRASHED, "died") };
        assert!(crash().is_crash() && !retry(None).is_crash());
        assert_eq!(crash().after_crashes(1, 3), crash());
        assert!(matches!(crash().after_crashes(2, 3), Outcome::Fail { .. }));
        assert!(matches!(crash().after_crashes(0, 1), Outcome::Fail { .. }));
    }

    proptest! {
        #[test]
        fn no_wait_is_above_max(backoff in backoffs(), attempt in 0u32.., random in 0.0..1.0f64) {
            prop_assert!(backoff.delay(attempt, random) <= backoff.max);
        }

        #[test]
        fn waits_grow_with_attempts(backoff in backoffs(), attempt in 0u32..u32::MAX, random in 0.0..1.0f64) {
            // For the same draw, so in expectation too.
            prop_assert!(backoff.delay(attempt, random) <= backoff.delay(attempt + 1, random));
        }

        #[test]
        fn at_least_half_of_the_wait_is_kept(backoff in backoffs(), attempt in 0u32.., random in 0.0..1.0f64) {
            let (delay, ceiling) = (backoff.delay(attempt, random), backoff.ceiling(attempt));
            prop_assert!(delay.as_secs_f64() >= ceiling.as_secs_f64() * 0.49999 - 1e-9 && delay <= ceiling);
        }

        #[test]
        fn no_job_runs_more_often_than_it_may(attempts in 0u32..50, asked in proptest::option::of(0u64..), random in 0.0..1.0f64) {
            let policy = Policy { attempts, ..Policy::default() };
            let mut runs = 1;
            while let Verdict::RetryIn { delay, .. } = policy.decide(retry(asked.map(Duration::from_secs)), runs, "A", random) {
                prop_assert!(delay <= LONGEST_DELAY);
                runs += 1;
            }
            prop_assert_eq!(runs, attempts.max(1));
        }
    }
}
