//! The objects that our kinds are made of, as they are in the API server: Deployments, PodDisruptionBudgets and CronSchedules with our label.
//!
//! One watch a kind, shared by all controllers (`watch`), keeps of each object only what is asked for (`seen`): ten thousand whole
//! Deployments would be a hundred megabytes. [`Owned::look`] tells whether an object is still as we wrote it. Who owns what changed is told
//! to its controller ([`Owned::touched`]).
//!
//! What we wrote is in the cache at once, and older words of a watch don't undo it.

mod kind;
mod live;
mod seen;
mod watch;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use kube::core::DynamicObject;
use tokio::sync::watch as signal;

pub(crate) use kind::Kind;
pub(crate) use live::live;
use seen::Seen;
pub(crate) use seen::{Part, Schedule};
pub(crate) use watch::watch;

/// How many changes may be on their way to a controller.
const TOUCHED: usize = 1_024;

/// An object among all that are watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Who is to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What we wrote last: a digest of it, and which of the object's fields were ours then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wrote {
    digest: u64,
    fields: u64,
}

/// What is known of an object.
#[derive(Debug)]
struct Known {
    seen: Seen,
    wrote: Option<Wrote>,
    /// Something was written to it since, and what came of that isn't known.
    is_doubted: bool,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Key, Known>,
    controllers: HashMap<String, mpsc::Sender<Owner>>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Owned {
    state: Mutex<State>,
    /// How many of the kinds have been seen whole.
    synced: signal::Sender<usize>,
}

impl Default for Owned {
    fn default() -> Self {
        Self { state: Mutex::default(), synced: signal::Sender::new(0) }
    }
}

impl Owned {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once everything that there is has been seen.
    pub(crate) async fn synced(&self) {
        // Only fails where the sender is gone, which we hold.
        let _ = self.synced.subscribe().wait_for(|kinds| *kinds >= Kind::ALL.len()).await;
    }

    /// The object as it is, if it is as we wrote it last and that had this digest.
    ///
    /// The API server keeps track of whose each field is: a field of ours that somebody else changes or takes away is no longer
    /// among ours. So nothing has to be compared that the server writes in its own way.
    pub(crate) fn look(&self, key: &Key, digest: u64) -> Option<Part> {
        let state = self.state();
        let known = state.known.get(key).filter(|known| !known.is_doubted)?;
        let same = known.wrote == Some(Wrote { digest, fields: known.seen.fields });
        same.then(|| known.seen.part.clone())
    }

    /// The object as it is, whoever wrote it.
    pub(crate) fn find(&self, key: &Key) -> Option<Part> {
        let state = self.state();
        let known = state.known.get(key).filter(|known| !known.is_doubted)?;
        Some(known.seen.part.clone())
    }

    /// We applied it, with this digest, and this is how it is now: returns what is kept of that.
    pub(crate) fn wrote(&self, key: Key, digest: u64, object: &DynamicObject) -> Part {
        let seen = Seen::of(key.kind, object);
        let (part, wrote) = (seen.part.clone(), Wrote { digest, fields: seen.fields });
        let mut state = self.state();
        state.put(key.clone(), seen);
        if let Some(known) = state.known.get_mut(&key) {
            (known.wrote, known.is_doubted) = (Some(wrote), false);
        }
        part
    }

    /// We wrote a part of it, and this is how it is now.
    pub(crate) fn changed(&self, key: Key, object: &DynamicObject) {
        let seen = Seen::of(key.kind, object);
        self.state().put(key, seen);
    }

    /// We wrote to it, and what came of that isn't known: nothing is, until it is applied again or something newer is seen.
    pub(crate) fn doubt(&self, key: &Key) {
        if let Some(known) = self.state().known.get_mut(key) {
            known.is_doubted = true;
        }
    }

    /// The owners of `kind` whose objects change from now on.
    pub(crate) fn touched(&self, kind: &str) -> mpsc::Receiver<Owner> {
        let (sender, receiver) = mpsc::channel(TOUCHED);
        self.state().controllers.insert(kind.to_owned(), sender);
        receiver
    }
}

impl State {
    /// Keeps it, unless something newer is known. Whether it was news.
    fn put(&mut self, key: Key, seen: Seen) -> bool {
        match self.known.entry(key) {
            Entry::Occupied(known) if known.get().seen.version >= seen.version => false,
            Entry::Occupied(mut known) => {
                let is_news = seen.is_news(&known.get().seen);
                let known = known.get_mut();
                (known.seen, known.is_doubted) = (seen, false);
                is_news
            }
            Entry::Vacant(place) => {
                place.insert(Known { seen, wrote: None, is_doubted: false });
                true
            }
        }
    }

    /// It is gone. None if something newer is known.
    fn remove(&mut self, key: &Key, version: u64) -> Option<Seen> {
        if self.known.get(key).is_some_and(|known| known.seen.version > version) {
            return None;
        }
        self.known.remove(key).map(|known| known.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn key() -> Key {
        Key { kind: Kind::Deployment, namespace: "shop".to_owned(), name: "mail-worker".to_owned() }
    }

    fn object(version: u64, fields: &Value) -> DynamicObject {
        let entry = json!({"manager": "gritstone-operator", "operation": "Apply", "fieldsV1": fields});
        let metadata = json!({"name": "mail-worker", "resourceVersion": version.to_string(), "managedFields": [entry]});
        serde_json::from_value(json!({"metadata": metadata, "spec": {"replicas": version}})).expect("an object")
    }

    #[test]
    fn an_object_is_as_we_wrote_it_while_our_fields_are_ours_and_we_want_the_same() {
        let (owned, ours) = (Owned::default(), json!({"f:spec": {"f:replicas": {}}}));
        assert!(owned.look(&key(), 1).is_none());
        owned.wrote(key(), 1, &object(10, &ours));
        let Some(Part::Deployment(live)) = owned.look(&key(), 1) else { panic!("the same") };
        assert_eq!(live.rollout.wanted, 10);
        assert!(owned.look(&key(), 2).is_none(), "something else is wanted");

        owned.state().put(key(), Seen::of(Kind::Deployment, &object(11, &ours)));
        assert!(owned.look(&key(), 1).is_some(), "others may change what is theirs");
        owned.state().put(key(), Seen::of(Kind::Deployment, &object(12, &json!({}))));
        assert!(owned.look(&key(), 1).is_none(), "somebody took a field");
    }

    #[test]
    fn old_words_do_not_undo_what_we_wrote() {
        let (owned, ours) = (Owned::default(), json!({"f:spec": {}}));
        owned.wrote(key(), 1, &object(10, &ours));
        assert!(!owned.state().put(key(), Seen::of(Kind::Deployment, &object(9, &json!({})))));
        assert!(owned.state().remove(&key(), 9).is_none());
        assert!(owned.look(&key(), 1).is_some());
        assert!(owned.state().remove(&key(), 11).is_some());
        assert!(owned.look(&key(), 1).is_none());
    }

    #[test]
    fn what_we_changed_a_part_of_is_known_at_once_and_what_may_have_come_of_it_is_not() {
        let (owned, ours) = (Owned::default(), json!({"f:spec": {}}));
        owned.wrote(key(), 1, &object(10, &ours));
        owned.changed(key(), &object(12, &ours));
        assert!(!owned.state().put(key(), Seen::of(Kind::Deployment, &object(11, &ours))), "from before");
        let Some(Part::Deployment(live)) = owned.look(&key(), 1) else { panic!("what we applied is as it was") };
        assert_eq!(live.rollout.wanted, 12);
        owned.doubt(&key());
        owned.state().put(key(), Seen::of(Kind::Deployment, &object(12, &ours)));
        assert!(owned.find(&key()).is_none() && owned.look(&key(), 1).is_none(), "the watch is no further");
        owned.state().put(key(), Seen::of(Kind::Deployment, &object(13, &ours)));
        assert!(owned.look(&key(), 1).is_some());
    }
}
