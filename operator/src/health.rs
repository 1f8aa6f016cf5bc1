//! Whether the operator lives, and whether it is ready.
//!
//! Alive is when its controllers run and their runtime turns; an API server that doesn't answer is no reason to start it anew. Ready
//! is when they have seen all there is, or when it stands by for a Lease that it has read: one that may not read it will never work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How often the controllers' runtime says that it turns.
const BEAT: Duration = Duration::from_secs(1);
/// Without a beat for so long it is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// What is known of the operator's parts. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    /// None before the controllers' runtime said anything.
    beat: Option<Instant>,
    turn: Turn,
    is_stopping: bool,
    controllers: BTreeMap<String, State>,
}

/// Whose turn it is to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Ours,
    /// It has asked for the Lease, and nobody has answered.
    Unknown,
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It runs, and hasn't seen all objects yet.
    Filling,
    /// It runs, and has.
    Synced,
    /// It has ended.
    Ended,
}

impl Health {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the runtime turns until `stop`. Runs on it.
    pub async fn beat(&self, stop: CancellationToken) {
        loop {
            self.parts().beat = Some(Instant::now());
            if stop.run_until_cancelled(tokio::time::sleep(BEAT)).await.is_none() {
                self.parts().is_stopping = true;
                return;
            }
        }
    }

    /// It asks for the Lease, and hasn't read it yet.
    pub fn asks(&self) {
        self.parts().turn = Turn::Unknown;
    }

    /// The Lease is somebody else's.
    pub(crate) fn stands_by(&self) {
        self.parts().turn = Turn::Others;
    }

    /// The Lease is its own.
    pub fn leads(&self) {
        self.parts().turn = Turn::Ours;
    }

    /// A controller runs until the guard is dropped.
    pub(crate) fn begin(&self, controller: impl Into<String>) -> Running {
        let name = controller.into();
        self.parts().controllers.insert(name.clone(), State::Filling);
        Running { health: self.clone(), name }
    }

    /// What keeps it from being alive; none if it is.
    pub fn ails(&self) -> Vec<String> {
        self.ails_at(Instant::now())
    }

    fn ails_at(&self, now: Instant) -> Vec<String> {
        let parts = self.parts();
        let ended = parts.controllers.iter().filter(|(_, state)| !parts.is_stopping && **state == State::Ended);
        let mut ails: Vec<String> = ended.map(|(name, _)| format!("the controller {name} has ended")).collect();
        if parts.beat.is_some_and(|beat| !parts.is_stopping && now.duration_since(beat) > STUCK) {
            ails.push(format!("nothing has moved for {} s", STUCK.as_secs()));
        }
        ails
    }

    /// What it waits for before it is ready; nothing if it is.
    pub fn waits_for(&self) -> Vec<String> {
        let parts = self.parts();
        match parts.turn {
            Turn::Ours => {}
            Turn::Unknown => return vec!["the Lease has not been read".to_owned()],
            Turn::Others => return Vec::new(),
        }
        if parts.controllers.is_empty() {
            return vec!["the controllers have not started".to_owned()];
        }
        let filling = parts.controllers.iter().filter(|(_, state)| **state != State::Synced);
        filling.map(|(name, _)| format!("the controller {name} has not seen all objects")).collect()
    }
}

/// A controller that runs.
#[derive(Debug)]
pub(crate) struct Running {
    health: Health,
    name: String,
}

impl Running {
    /// It has seen all objects.
    pub(crate) fn synced(&self) {
        self.health.parts().controllers.insert(self.name.clone(), State::Synced);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.health.parts().controllers.insert(self.name.clone(), State::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_controller_has_seen_all_objects_or_it_stands_by() {
        let health = Health::default();
        health.asks();
        assert_eq!(health.waits_for(), ["the Lease has not been read"]);
        health.stands_by();
        assert!(health.waits_for().is_empty());
        health.leads();
        assert_eq!(health.waits_for(), ["the controllers have not started"]);
        let (workers, tasks) = (health.begin("queueworker"), health.begin("recurringtask"));
        workers.synced();
        assert_eq!(health.waits_for(), ["the controller recurringtask has not seen all objects"]);
        tasks.synced();
        assert!(health.waits_for().is_empty());
        drop(workers);
        assert_eq!(health.waits_for(), ["the controller queueworker has not seen all objects"]);
    }

    #[tokio::test]
    async fn alive_is_while_controllers_run_and_the_runtime_turns() {
        let health = Health::default();
        let running = health.begin("queueworker");
        assert!(health.ails().is_empty());
        health.parts().beat = Some(Instant::now());
        assert!(health.ails().is_empty());
        assert_eq!(health.ails_at(Instant::now() + Duration::from_secs(60)), ["nothing has moved for 30 s"]);
        drop(running);
        assert_eq!(health.ails(), ["the controller queueworker has ended"]);
        let stop = CancellationToken::new();
        stop.cancel();
        health.beat(stop).await;
        assert!(health.ails().is_empty(), "what stops because it was told to is not ill");
    }
}
