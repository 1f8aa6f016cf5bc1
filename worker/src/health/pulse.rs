//! Whether loops turn.
//!
//! A loop says each time that it turns, and when it is about to wait for what may take any time (a job, a handler). Whoever looks
//! needs neither the loop nor its runtime.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pulses of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulses(Arc<Mutex<Vec<Arc<Beat>>>>);

#[derive(Debug)]
struct Beat {
    name: &'static str,
    longest: Duration,
    /// The last turn; `None` while it waits.
    turned: Mutex<Option<Instant>>,
}

/// A loop's own, for as long as it runs.
#[derive(Debug)]
pub struct Pulse {
    beat: Arc<Beat>,
    all: Pulses,
}

impl Pulses {
    pub(super) fn start(&self, name: &'static str, longest: Duration) -> Pulse {
        let beat = Arc::new(Beat { name, longest, turned: Mutex::new(Some(Instant::now())) });
        self.lock().push(Arc::clone(&beat));
        Pulse { beat, all: self.clone() }
    }

    /// Fails, with a sentence, when a loop is overdue.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_at(Instant::now())
    }

    fn check_at(&self, now: Instant) -> Result<(), String> {
        for beat in self.lock().iter() {
            let Some(turned) = *lock(&beat.turned) else { continue };
            let silence = now.saturating_duration_since(turned);
            if silence > beat.longest {
                return Err(format!(
                    "the loop `{}` has not turned for {} s, which it does every {} s when all is well",
                    beat.name,
                    silence.as_secs(),
                    beat.longest.as_secs()
                ));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Beat>>> {
        lock(&self.0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pulse {
    /// The loop turns.
    pub fn turn(&self) {
        *lock(&self.beat.turned) = Some(Instant::now());
    }

    /// The loop waits, for as long as it takes; until the next turn its silence means nothing.
    pub fn rest(&self) {
        *lock(&self.beat.turned) = None;
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.all.lock().retain(|beat| !Arc::ptr_eq(beat, &self.beat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn a_loop_that_turns_lives_and_one_that_does_not_is_named() {
        let pulses = Pulses::default();
        let pulse = pulses.start("claims", LONGEST);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(pulses.check_at(later(20)), Ok(()));
        let stuck = pulses.check_at(later(40)).unwrap_err();
        assert!(stuck.starts_with("the loop `claims` has not turned for "), "{stuck}");
        pulse.turn();
        assert_eq!(pulses.check(), Ok(()));
    }

    #[test]
    fn one_that_waits_or_has_ended_is_not_missed() {
        let pulses = Pulses::default();
        let pulse = pulses.start("claims", LONGEST);
        let later = Instant::now() + Duration::from_secs(3_600);
        pulse.rest();
        assert_eq!(pulses.check_at(later), Ok(()));
        pulse.turn();
        assert!(pulses.check_at(later).is_err());
        drop(pulse);
        assert_eq!(pulses.check_at(later), Ok(()));
    }
}
