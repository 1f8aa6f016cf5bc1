//! What a process tells of itself, to whoever watches it: whether its loops turn, whether it can take jobs, what it has done.
//!
//! A [`Health`] is handed to workers and dispatchers with their configuration. Their loops keep a [`Pulse`] each, handlers say once
//! that they answer, and everything is counted in [`Metrics`]. A [`Page`] serves it, on a thread of its own: `/livez`, `/readyz`
//! and `/metrics`. None of them asks the database; but a process that has found its tables missing is not ready until they are there, so that a rollout
//! leaves the older processes alone, which can do without them.

mod handler;
pub mod metrics;
mod page;
mod pulse;

pub use metrics::Metrics;
pub use page::{Page, PageError};
pub use pulse::Pulse;

use crate::execute::Handler;
use pulse::Pulses;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the runtime shows that it turns.
const TICK: Duration = Duration::from_secs(1);

/// For how long it may not. A machine where everyone waits for a processor delays a tick by seconds, not by half a minute.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// What is known of this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    pulses: Pulses,
    started: Arc<AtomicBool>,
    handlers: Arc<Mutex<Vec<Answered>>>,
    /// What has to come first, in a sentence.
    waits: Arc<Mutex<Option<String>>>,
    metrics: Metrics,
}

/// Whether a handler has answered its health check once.
#[derive(Clone, Debug, Default)]
pub struct Answered(Arc<AtomicBool>);

impl Answered {
    fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Health {
    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The process is not ready until this handler has answered.
    pub fn expect_handler(&self) -> Answered {
        let answered = Answered::default();
        self.handlers().push(answered.clone());
        answered
    }

    /// The same handler, which says here that it answers.
    pub fn watched(&self, handler: Arc<dyn Handler>, answered: Answered) -> Arc<dyn Handler> {
        Arc::new(handler::Watched::new(handler, answered))
    }

    /// Everything is under way that is expected to be. Within a runtime, whose turning is watched from now on.
    pub fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
        self.watch_runtime(TICK, STUCK_AFTER);
    }

    /// The process is not ready until something has come, which `what` says in a sentence; until it [goes on](Self::goes_on).
    pub fn waits(&self, what: impl Into<String>) {
        *self.waited_for() = Some(what.into());
    }

    /// What it [waited](Self::waits) for has come, or is no reason to be unready.
    pub fn goes_on(&self) {
        *self.waited_for() = None;
    }

    fn waited_for(&self) -> MutexGuard<'_, Option<String>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notices when the runtime carries nothing on any more: all its threads are blocked by something that doesn't wait as it should.
    fn watch_runtime(&self, tick: Duration, stuck_after: Duration) {
        let pulse = self.pulse("runtime", stuck_after);
        tokio::spawn(async move {
            loop {
                pulse.turn();
                tokio::time::sleep(tick).await;
            }
        });
    }

    /// For a loop that turns, when all is well, at least once in `longest`.
    pub fn pulse(&self, name: &'static str, longest: Duration) -> Pulse {
        self.pulses.start(name, longest)
    }

    /// Why this process should be killed and started again.
    ///
    /// # Errors
    /// In a sentence, when a loop has stopped turning.
    fn live(&self) -> Result<(), String> {
        self.pulses.check()
    }

    /// Why this process doesn't take jobs yet.
    ///
    /// # Errors
    /// In a sentence.
    fn ready(&self) -> Result<(), String> {
        if !self.started.load(Ordering::Relaxed) {
            return Err("starting".to_owned());
        }
        if let Some(what) = self.waited_for().clone() {
            return Err(what);
        }
        let waits = self.handlers().iter().filter(|answered| !answered.0.load(Ordering::Relaxed)).count();
        match waits {
            0 => Ok(()),
            1 => Err("the handler has not answered its health check yet".to_owned()),
            more => Err(format!("{more} handlers have not answered their health checks yet")),
        }
    }

    fn handlers(&self) -> MutexGuard<'_, Vec<Answered>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_ready_once_started_and_all_handlers_have_answered() {
        let health = Health::default();
        assert_eq!(health.ready(), Err("starting".to_owned()));
        let (one, two) = (health.expect_handler(), health.expect_handler());
        health.started();
        assert_eq!(health.ready(), Err("2 handlers have not answered their health checks yet".to_owned()));
        one.say();
        assert_eq!(health.ready(), Err("the handler has not answered its health check yet".to_owned()));
        two.say();
        assert_eq!(health.ready(), Ok(()));
    }

    /// Waits until the process counts as live, or as stuck.
    fn wait_until(health: &Health, live: bool) {
        while health.live().is_ok() != live {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_runtime_whose_threads_are_all_blocked_is_seen_and_a_busy_one_is_not() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let health = Health::default();
        runtime.block_on(async { health.watch_runtime(Duration::from_millis(1), Duration::from_secs(5)) });

        let busy = Arc::new(AtomicBool::new(true));
        let turns = Arc::new(std::sync::atomic::AtomicU64::new(0));
        for _ in 0..200 {
            let (busy, turns) = (Arc::clone(&busy), Arc::clone(&turns));
            runtime.spawn(async move {
                while busy.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            });
        }
        while turns.load(Ordering::Relaxed) < 100_000 {
            assert_eq!(health.live(), Ok(()));
        }
        busy.store(false, Ordering::Relaxed);

        let blocked = Arc::new(AtomicBool::new(true));
        for _ in 0..2 {
            let blocked = Arc::clone(&blocked);
            runtime.spawn(async move {
                while blocked.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        wait_until(&health, false);
        assert!(health.live().unwrap_err().contains("`runtime`"));
        blocked.store(false, Ordering::Relaxed);
        wait_until(&health, true);
    }

    #[tokio::test]
    async fn it_is_not_ready_while_it_waits() {
        let health = Health::default();
        health.started();
        health.waits("the tables are missing");
        assert_eq!(health.ready(), Err("the tables are missing".to_owned()));
        health.goes_on();
        assert_eq!((health.ready(), health.live()), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn without_handlers_it_is_ready_once_started() {
        let health = Health::default();
        health.started();
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.live(), Ok(()));
    }
}
