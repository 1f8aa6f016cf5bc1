//! The objects that our kinds are made of, as they are in the API server: Deployments, PodDisruptionBudgets and CronSchedules with our label.
//!
//! One watch a kind, shared by all controllers (`watch`), keeps of each object only what is asked for (`seen`): ten thousand whole
//! Deployments would be a hundred megabytes. [`Owned::look`] tells whether an object is still as we wrote it. Who owns what changed is told
//! to its controller ([`Owned::touched`]).
//!
//! What we wrote is in the cache at once, and older words of a watch don't undo it.

mod seen;
mod watch;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use kube::core::DynamicObject;
use serde_json::Value;
use tokio::sync::watch as signal;

pub(crate) use seen::Seen;
pub(crate) use watch::watch;

/// The kinds that are watched, with their group and version.
const KINDS: [(&str, &str, &str); 3] = [
    ("apps", "v1", "Deployment"),
    ("policy", "v1", "PodDisruptionBudget"),
    (gritstone_crds::GROUP, gritstone_crds::VERSION, "CronSchedule"),
];
/// How many changes may be on their way to a controller.
const TOUCHED: usize = 1_024;

/// An object among all that are watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) kind: String,
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

#[derive(Debug, Default)]
struct State {
    seen: HashMap<Key, Arc<Seen>>,
    wrote: HashMap<Key, Wrote>,
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
        let _ = self.synced.subscribe().wait_for(|kinds| *kinds >= KINDS.len()).await;
    }

    /// The object as it is, if it is as we wrote it last and that had this digest.
    ///
    /// The API server keeps track of whose each field is: a field of ours that somebody else changes or takes away is no longer
    /// among ours. So nothing has to be compared that the server writes in its own way.
    pub(crate) fn look(&self, key: &Key, digest: u64) -> Option<Value> {
        let state = self.state();
        let seen = state.seen.get(key)?;
        let same = state.wrote.get(key) == Some(&Wrote { digest, fields: seen.fields });
        same.then(|| seen.object.clone())
    }

    /// The object as it is, whoever wrote it.
    pub(crate) fn find(&self, key: &Key) -> Option<Value> {
        self.state().seen.get(key).map(|seen| seen.object.clone())
    }

    /// We wrote it, and this is how it is now: returns what is kept of that.
    pub(crate) fn wrote(&self, key: Key, digest: u64, object: &DynamicObject) -> Value {
        let seen = Seen::of(&key.kind, object);
        let kept = seen.object.clone();
        let mut state = self.state();
        state.wrote.insert(key.clone(), Wrote { digest, fields: seen.fields });
        state.put(key, seen);
        kept
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
        let kind = key.kind.clone();
        match self.seen.entry(key) {
            Entry::Occupied(known) if known.get().version >= seen.version => false,
            Entry::Occupied(mut known) => {
                let is_news = seen.is_news(&kind, known.get());
                known.insert(Arc::new(seen));
                is_news
            }
            Entry::Vacant(place) => {
                place.insert(Arc::new(seen));
                true
            }
        }
    }

    /// It is gone. None if something newer is known.
    fn remove(&mut self, key: &Key, version: u64) -> Option<Arc<Seen>> {
        if self.seen.get(key).is_some_and(|known| known.version > version) {
            return None;
        }
        self.wrote.remove(key);
        self.seen.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key() -> Key {
        Key { kind: "Deployment".to_owned(), namespace: "shop".to_owned(), name: "mail-worker".to_owned() }
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
        assert_eq!(owned.look(&key(), 1).expect("the same")["spec"]["replicas"], 10);
        assert!(owned.look(&key(), 2).is_none(), "something else is wanted");

        owned.state().put(key(), Seen::of("Deployment", &object(11, &ours)));
        assert!(owned.look(&key(), 1).is_some(), "others may change what is theirs");
        owned.state().put(key(), Seen::of("Deployment", &object(12, &json!({}))));
        assert!(owned.look(&key(), 1).is_none(), "somebody took a field");
    }

    #[test]
    fn old_words_do_not_undo_what_we_wrote() {
        let (owned, ours) = (Owned::default(), json!({"f:spec": {}}));
        owned.wrote(key(), 1, &object(10, &ours));
        assert!(!owned.state().put(key(), Seen::of("Deployment", &object(9, &json!({})))));
        assert!(owned.state().remove(&key(), 9).is_none());
        assert!(owned.look(&key(), 1).is_some());
        assert!(owned.state().remove(&key(), 11).is_some());
        assert!(owned.look(&key(), 1).is_none());
    }
}
