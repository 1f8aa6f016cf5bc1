//! The gate in front of a handler that may fail to start: a circuit breaker.
//!
//! Open, jobs pass. A start that fails shuts it: the jobs concerned are released, and claiming waits. After a backoff one
//! run tries while the others wait for what becomes of it; the gate opens when it works and shuts for longer when it
//! doesn't. Before anything was tried, a look whether the program is there has to do. Of a server that says how it is, that is asked
//! again and again.

use super::retry::Backoff;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Open,
    Shut { until: Instant, failures: u32 },
    Trying { failures: u32 },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    state: watch::Sender<State>,
    backoff: Backoff,
    /// How old a look may be before another is taken; `None`: as old as it is.
    again: Option<Duration>,
    looks: Mutex<Looks>,
}

/// What is known without a job.
#[derive(Debug, Default)]
struct Looks {
    /// When all was well.
    fine_at: Option<Instant>,
    /// Something has happened since that makes one wonder.
    doubted: bool,
}

/// How old a look may be once it is doubted: each of many jobs that fail in a row would have one taken.
const DOUBTED: Duration = Duration::from_millis(100);

/// How claims wait after starts that failed: 1 s, doubling, at most a minute.
pub(crate) fn start_backoff() -> Backoff {
    Backoff::new(Duration::from_secs(1), 2.0, Duration::from_secs(60))
}

impl Breaker {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { state: watch::Sender::new(State::Open), backoff, again: None, looks: Mutex::default() }
    }

    /// One that looks again after so long, also while the gate is open.
    pub(crate) fn looking_again(self, after: Duration) -> Self {
        Self { again: Some(after), ..self }
    }

    /// Says that something makes one wonder whether all is well, so that it is looked soon.
    pub(crate) fn doubt(&self) {
        self.looks().doubted = true;
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_time_to_look(&self) -> bool {
        let looks = self.looks();
        match (looks.fine_at, self.again) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(at), Some(again)) => at.elapsed() >= if looks.doubted { DOUBTED } else { again },
        }
    }

    fn has_been_fine_since(&self, moment: Instant) -> bool {
        self.looks().fine_at.is_some_and(|at| at >= moment)
    }

    fn is_fine(&self) {
        *self.looks() = Looks { fine_at: Some(Instant::now()), doubted: false };
    }

    /// Resolves when a claimed job would be let in. `probe` looks, without a job, whether trying makes sense.
    pub(crate) async fn passable<E, F>(&self, probe: impl Fn() -> F)
    where
        E: std::fmt::Display,
        F: Future<Output = Result<(), E>>,
    {
        if *self.state.borrow() == State::Open && self.is_time_to_look() {
            match probe().await {
                Ok(()) => self.is_fine(),
                Err(reason) => self.shut(&reason),
            }
        }
        if *self.state.borrow() == State::Open {
            return;
        }
        let mut changes = self.state.subscribe();
        loop {
            let state = *changes.borrow_and_update();
            match state {
                State::Open => return,
                // It waits for a job to try with, for however long there is none.
                State::Shut { until, .. } if self.has_been_fine_since(until) && !self.is_time_to_look() => return,
                State::Shut { until, .. } if until <= Instant::now() => match probe().await {
                    Ok(()) => return self.is_fine(),
                    Err(reason) => self.shut(&reason),
                },
                State::Shut { until, .. } => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        _ = changes.changed() => {}
                    }
                }
                State::Trying { .. } => drop(changes.changed().await),
            }
        }
    }

    /// Lets a run in: `None` when it would be in vain, and the job should go back. Waits while another run tries.
    pub(crate) async fn admit(&self) -> Option<Admission<'_>> {
        let mut changes = self.state.subscribe();
        loop {
            let mut admitted = None;
            self.state.send_if_modified(|state| match *state {
                State::Open => {
                    admitted = Some(Some(Admission { breaker: self, trial: false }));
                    false
                }
                State::Shut { until, failures } if until <= Instant::now() => {
                    *state = State::Trying { failures };
                    admitted = Some(Some(Admission { breaker: self, trial: true }));
                    true
                }
                State::Shut { .. } => {
                    admitted = Some(None);
                    false
                }
                State::Trying { .. } => false,
            });
            if let Some(admitted) = admitted {
                return admitted;
            }
            drop(changes.changed().await);
        }
    }

    /// A start has failed: shuts the gate, for longer than the last time.
    pub(crate) fn shut(&self, reason: &dyn std::fmt::Display) {
        self.state.send_if_modified(|state| {
            let failures = match *state {
                State::Open => 0,
                State::Trying { failures } => failures,
                State::Shut { until, failures } if until <= Instant::now() => failures,
                // Another of the starts that were under way: one failure, not many.
                State::Shut { .. } => return false,
            };
            let failures = failures.saturating_add(1);
            let wait = self.backoff.ceiling(failures);
            tracing::warn!("claiming waits {wait:?}: {reason}");
            *state = State::Shut { until: Instant::now() + wait, failures };
            true
        });
    }
}

/// A run that was let in. If it was the one that tries and it is dropped without a word, another may try.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Admission<'_> {
    /// Whether others wait for what becomes of this one.
    pub(crate) fn is_trial(&self) -> bool {
        self.trial
    }

    /// The start worked.
    pub(crate) fn works(&mut self) {
        // Of those let in while the gate was open, none says anything about it now.
        if !std::mem::take(&mut self.trial) {
            return;
        }
        self.breaker.state.send_if_modified(|state| {
            let shut = *state != State::Open;
            if shut {
                tracing::info!("the handler works again: claiming goes on");
                *state = State::Open;
            }
            shut
        });
    }

    /// The start did not work.
    pub(crate) fn failed(mut self, reason: &dyn std::fmt::Display) {
        self.trial = false;
        self.breaker.shut(reason);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.breaker.state.send_if_modified(|state| match *state {
                State::Trying { failures } => {
                    *state = State::Shut { until: Instant::now(), failures };
                    true
                }
                _ => false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// Stays shut for as long as a test runs.
    fn slow() -> Breaker {
        Breaker::new(start_backoff_of(Duration::from_secs(3600)))
    }

    /// Lets the next one try at once.
    fn quick() -> Breaker {
        Breaker::new(start_backoff_of(Duration::ZERO))
    }

    fn start_backoff_of(initial: Duration) -> Backoff {
        Backoff::new(initial, 2.0, Duration::MAX)
    }

    async fn fine() -> Result<(), String> {
        Ok(())
    }

    impl Breaker {
        fn failures(&self) -> u32 {
            match *self.state.borrow() {
                State::Open => 0,
                State::Shut { failures, .. } | State::Trying { failures } => failures,
            }
        }

        async fn fails(&self) {
            self.admit().await.unwrap().failed(&"no");
        }
    }

    #[tokio::test]
    async fn a_failed_start_shuts_it() {
        let breaker = slow();
        breaker.passable(fine).now_or_never().unwrap();
        breaker.fails().await;
        assert!(breaker.admit().await.is_none());
        assert!(breaker.passable(fine).now_or_never().is_none());
    }

    #[tokio::test]
    async fn it_opens_for_a_trial_after_a_while_and_shuts_for_longer_each_time() {
        let breaker = Breaker::new(start_backoff_of(Duration::from_millis(1)));
        for failures in 1..8 {
            breaker.passable(fine).await;
            breaker.fails().await;
            assert_eq!(breaker.failures(), failures);
        }
        breaker.passable(fine).await;
        breaker.admit().await.unwrap().works();
        assert_eq!(breaker.failures(), 0);
    }

    #[tokio::test]
    async fn starts_that_fail_together_count_once() {
        let breaker = slow();
        let (one, two) = (breaker.admit().await.unwrap(), breaker.admit().await.unwrap());
        one.failed(&"no");
        two.failed(&"no");
        assert_eq!(breaker.failures(), 1);
    }

    #[tokio::test]
    async fn one_tries_and_the_others_wait_for_it() {
        let breaker = quick();
        breaker.fails().await;
        let mut trial = breaker.admit().await.unwrap();
        assert!(trial.is_trial());
        let mut second = std::pin::pin!(breaker.admit());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(breaker.passable(fine).now_or_never().is_none());
        trial.works();
        assert!(!second.await.unwrap().is_trial());
        breaker.passable(fine).now_or_never().unwrap();
    }

    #[tokio::test]
    async fn those_that_waited_for_a_failure_go_back() {
        let breaker = slow();
        breaker.state.send_replace(State::Shut { until: Instant::now(), failures: 1 });
        let trial = breaker.admit().await.unwrap();
        let mut second = std::pin::pin!(breaker.admit());
        assert!(second.as_mut().now_or_never().is_none());
        trial.failed(&"no");
        assert!(second.await.is_none());
    }

    #[tokio::test]
    async fn a_trial_that_is_given_up_leaves_it_to_the_next() {
        let breaker = quick();
        breaker.fails().await;
        drop(breaker.admit().await.unwrap());
        assert!(breaker.admit().await.unwrap().is_trial());
    }

    #[tokio::test]
    async fn a_program_that_was_never_there_shuts_it_before_anything_is_tried() {
        let breaker = slow();
        assert!(breaker.passable(|| std::future::ready(Err("not there"))).now_or_never().is_none());
        assert_eq!(breaker.failures(), 1);
    }

    #[tokio::test]
    async fn a_look_is_taken_again_after_a_while_and_soon_when_it_is_doubted() {
        let looks = std::cell::Cell::new(0);
        let look = |result: Result<(), &'static str>| {
            let looks = &looks;
            move || {
                looks.set(looks.get() + 1);
                std::future::ready(result)
            }
        };
        let breaker = slow().looking_again(Duration::from_secs(3600));
        for _ in 0..3 {
            breaker.passable(look(Ok(()))).now_or_never().unwrap();
        }
        assert_eq!(looks.get(), 1, "one is enough for a while");
        breaker.doubt();
        tokio::time::sleep(DOUBTED).await;
        assert!(breaker.passable(look(Err("ill"))).now_or_never().is_none());
        assert_eq!((looks.get(), breaker.failures()), (2, 1));

        let breaker = quick().looking_again(Duration::ZERO);
        breaker.passable(look(Ok(()))).now_or_never().unwrap();
        breaker.passable(look(Ok(()))).now_or_never().unwrap();
        assert_eq!(looks.get(), 4, "after no time at all, each time");
    }

    #[tokio::test]
    async fn a_look_that_was_good_does_while_there_is_no_job_to_try_with() {
        let breaker = quick();
        breaker.shut(&"no");
        breaker.passable(fine).now_or_never().unwrap();
        breaker.passable(|| std::future::ready(Err("asked again"))).now_or_never().unwrap();
    }

    #[tokio::test]
    async fn while_the_probe_fails_nothing_is_let_through() {
        let breaker = quick();
        breaker.shut(&"no");
        let looks = std::cell::Cell::new(0);
        let probe = || {
            looks.set(looks.get() + 1);
            std::future::ready(if looks.get() < 4 { Err("still not there") } else { Ok(()) })
        };
        breaker.passable(probe).await;
        assert_eq!(looks.get(), 4);
        assert_eq!(breaker.failures(), 4);
    }
}
