//! Watching the objects.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use tokio_util::sync::CancellationToken;

use super::{Key, Kind, Owned, Owner, Seen};
use crate::context::Context;
use crate::stale::number;
use crate::{FIELD_MANAGER, MANAGED_BY};

/// How many objects are read at once when a watch begins: until something is picked out of them they are there whole, and five hundred
/// Deployments, with two more lists beside them, took 25 MiB.
const PAGE: u32 = 50;

/// Keeps what is known of all owned objects true until `stop` is cancelled.
pub(crate) async fn watch(context: Arc<Context>, stop: CancellationToken) {
    let watches = Kind::ALL.map(|kind| {
        let (context, stop) = (context.clone(), stop.clone());
        async move {
            stop.run_until_cancelled(watch_kind(&context, kind)).await;
        }
    });
    join_all(watches).await;
}

async fn watch_kind(context: &Context, kind: Kind) {
    let running = context.instruments.health.begin(context.scope.name(&format!("watch of {}s", kind.as_str())));
    let api = context.scope.api_of(&context.client, &kind.resource());
    let ours = watcher::Config::default().labels(&format!("{MANAGED_BY}={FIELD_MANAGER}")).page_size(PAGE);
    let mut events = pin!(watch_objects(api, ours).default_backoff());
    let mut list = List::new(kind);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let is_whole = matches!(event, Event::InitDone);
                for owner in list.hear(event, &context.owned) {
                    context.owned.tell(owner).await;
                }
                if is_whole {
                    running.synced();
                }
            }
            Err(error) => tracing::warn!(%error, "watching {}s failed: it goes on", kind.as_str()),
        }
    }
}

/// What is known of one kind, event after event.
struct List {
    kind: Kind,
    /// The list that is being read, all of it or from where the watch broke off.
    read: HashMap<Key, Seen>,
    was_whole: bool,
}

impl List {
    fn new(kind: Kind) -> Self {
        Self { kind, read: HashMap::new(), was_whole: false }
    }

    fn key(&self, object: &DynamicObject) -> Key {
        let namespace = object.namespace().unwrap_or_default();
        Key { kind: self.kind, namespace, name: object.name_any() }
    }

    /// Takes an event in. Whom it is of interest to.
    fn hear(&mut self, event: Event<DynamicObject>, owned: &Owned) -> Vec<Owner> {
        match event {
            Event::Init => {
                self.read.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.read.insert(self.key(&object), Seen::of(self.kind, &object));
                Vec::new()
            }
            Event::InitDone => {
                let changed = owned.replace(self.kind, std::mem::take(&mut self.read));
                if !std::mem::replace(&mut self.was_whole, true) {
                    owned.synced.send_modify(|kinds| *kinds += 1);
                }
                changed
            }
            Event::Apply(object) => {
                let (key, seen) = (self.key(&object), Seen::of(self.kind, &object));
                let owner = seen.owner.clone();
                let is_news = owned.state().put(key, seen);
                owner.filter(|_| is_news).into_iter().collect()
            }
            Event::Delete(object) => {
                let version = number(object.metadata.resource_version.as_deref()).unwrap_or(u64::MAX);
                let gone = owned.state().remove(&self.key(&object), version);
                gone.and_then(|seen| seen.owner).into_iter().collect()
            }
        }
    }
}

impl Owned {
    /// These are all there are of this kind. The owners of those that are new, changed or gone.
    fn replace(&self, kind: Kind, mut list: HashMap<Key, Seen>) -> Vec<Owner> {
        let mut state = self.state();
        let newest = list.values().map(|seen| seen.version).max().unwrap_or_default();
        // What we wrote after the list was made isn't in it.
        let gone = |key: &Key, seen: &Seen| {
            key.kind == kind && !list.contains_key(key) && (list.is_empty() || seen.version <= newest)
        };
        let gone = state.known.extract_if(|key, known| gone(key, &known.seen));
        let mut owners: Vec<Owner> = gone.filter_map(|(_, known)| known.seen.owner).collect();
        for (key, seen) in list.drain() {
            let owner = seen.owner.clone();
            if state.put(key, seen) {
                owners.extend(owner);
            }
        }
        owners
    }

    /// Tells the controller of the owner's kind. One that has ended needs no telling.
    async fn tell(&self, owner: Owner) {
        let controller = self.state().controllers.get(&owner.kind).cloned();
        if let Some(mut controller) = controller {
            let _ = controller.send(owner).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, version: u64) -> DynamicObject {
        let owner = json!({"apiVersion": "v1", "kind": "QueueWorker", "name": name, "uid": "1", "controller": true});
        let metadata = json!({"name": name, "namespace": "shop", "resourceVersion": version.to_string(), "ownerReferences": [owner]});
        serde_json::from_value(json!({"metadata": metadata})).expect("an object")
    }

    fn names(owners: Vec<Owner>) -> Vec<String> {
        let mut names: Vec<_> = owners.into_iter().map(|owner| owner.name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_watch_that_broke_off_tells_of_what_changed_and_what_is_gone_meanwhile() {
        let (owned, mut list) = (Owned::default(), List::new(Kind::Deployment));
        let hear_list = |list: &mut List, objects: &[(&str, u64)]| {
            list.hear(Event::Init, &owned);
            for (name, version) in objects {
                list.hear(Event::InitApply(object(name, *version)), &owned);
            }
            names(list.hear(Event::InitDone, &owned))
        };
        assert_eq!(hear_list(&mut list, &[("a", 1), ("b", 2), ("c", 3)]), ["a", "b", "c"]);
        assert!(hear_list(&mut list, &[("a", 1), ("b", 2), ("c", 3)]).is_empty(), "the same again is no news");
        assert_eq!(hear_list(&mut list, &[("a", 1), ("b", 4), ("d", 5)]), ["b", "c", "d"]);
        assert_eq!(*owned.synced.borrow(), 1);
        assert_eq!(hear_list(&mut list, &[]), ["a", "b", "d"]);
    }

    #[test]
    fn an_event_twice_or_out_of_order_is_told_once() {
        let (owned, mut list) = (Owned::default(), List::new(Kind::Deployment));
        assert_eq!(names(list.hear(Event::Apply(object("a", 2)), &owned)), ["a"]);
        assert!(list.hear(Event::Apply(object("a", 2)), &owned).is_empty());
        assert!(list.hear(Event::Apply(object("a", 1)), &owned).is_empty());
        assert!(list.hear(Event::Delete(object("a", 1)), &owned).is_empty());
        assert_eq!(names(list.hear(Event::Delete(object("a", 3)), &owned)), ["a"]);
        assert!(list.hear(Event::Delete(object("a", 3)), &owned).is_empty());
    }
}
