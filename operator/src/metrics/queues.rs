//! What waits to be reconciled, and what is under way.
//!
//! kube keeps its queue to itself. So this one is kept beside it, by the same rules: everything that puts an object into kube's is counted
//! here on its way there; an object is in it once, and of two times the earlier holds; it is taken out in the call by which kube begins.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper bounds of controller-runtime's histograms, in seconds.
const BOUNDS: [f64; 12] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: String,
    controller: String,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Those of all controllers. Clones share them.
#[derive(Clone, Debug)]
pub struct Queues {
    queues: Arc<Mutex<BTreeMap<String, Arc<Queue>>>>,
    depth: Family<Named, Gauge>,
    adds: Family<Named, Counter>,
    waited: Family<Named, Histogram, fn() -> Histogram>,
    worked: Family<Named, Histogram, fn() -> Histogram>,
    unfinished: Family<Named, Seconds>,
    longest: Family<Named, Seconds>,
}

impl Queues {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BOUNDS);
        let all = Self {
            queues: Arc::default(),
            depth: Family::default(),
            adds: Family::default(),
            waited: Family::new_with_constructor(histogram),
            worked: Family::new_with_constructor(histogram),
            unfinished: Family::default(),
            longest: Family::default(),
        };
        registry.register("workqueue_depth", "Objects whose turn it is, not yet begun with", all.depth.clone());
        registry.register("workqueue_adds", "Times that an object's turn came", all.adds.clone());
        registry.register(
            "workqueue_queue_duration_seconds",
            "How long objects waited once it was their turn",
            all.waited.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "How long objects were worked on, those included that needed nothing",
            all.worked.clone(),
        );
        registry.register(
            "workqueue_unfinished_work_seconds",
            "How long what is under way has taken so far, added up",
            all.unfinished.clone(),
        );
        registry.register(
            "workqueue_longest_running_processor_seconds",
            "How long the oldest of what is under way has taken so far",
            all.longest.clone(),
        );
        all
    }

    /// That of a controller, in all namespaces that are looked after.
    pub(crate) fn of(&self, controller: &str) -> Arc<Queue> {
        let named = Named { name: controller.to_owned(), controller: controller.to_owned() };
        let new = || {
            Arc::new(Queue {
                state: Mutex::default(),
                adds: self.adds.get_or_create(&named).clone(),
                waited: self.waited.get_or_create(&named).clone(),
                worked: self.worked.get_or_create(&named).clone(),
            })
        };
        self.queues().entry(controller.to_owned()).or_insert_with(new).clone()
    }

    /// Brings the gauges up to date: it is the time alone by which they change.
    pub(super) fn measure(&self) {
        let now = Instant::now();
        for (controller, queue) in &*self.queues() {
            let named = Named { name: controller.clone(), controller: controller.clone() };
            let Sizes { depth, unfinished, longest } = queue.sizes(now);
            self.depth.get_or_create(&named).set(depth);
            self.unfinished.get_or_create(&named).set(unfinished.as_secs_f64());
            self.longest.get_or_create(&named).set(longest.as_secs_f64());
        }
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object, by namespace and name.
type Object = (Box<str>, Box<str>);

/// When it is an object's turn, and whether that was counted.
#[derive(Debug)]
struct Turn {
    at: Instant,
    is_counted: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Object, Turn>,
    /// By when it began, with a number to tell those apart that began together.
    working: BTreeSet<(Instant, u64)>,
    begun: u64,
}

/// One controller's.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    adds: Counter,
    waited: Histogram,
    worked: Histogram,
}

struct Sizes {
    depth: i64,
    unfinished: Duration,
    longest: Duration,
}

impl Queue {
    /// It is an object's turn.
    pub(crate) fn add(&self, namespace: &str, name: &str) {
        self.put(namespace, name, Instant::now());
    }

    /// It will be its turn after this time, unless that comes sooner.
    pub(crate) fn add_after(&self, namespace: &str, name: &str, wait: Duration) {
        // What can't be reckoned never comes.
        if let Some(at) = Instant::now().checked_add(wait) {
            self.put(namespace, name, at);
        }
    }

    fn put(&self, namespace: &str, name: &str, at: Instant) {
        match self.state().waiting.entry((namespace.into(), name.into())) {
            Entry::Occupied(turn) if turn.get().at <= at => {}
            Entry::Occupied(mut turn) => turn.get_mut().at = at,
            Entry::Vacant(place) => drop(place.insert(Turn { at, is_counted: false })),
        }
    }

    /// It is begun with, until the guard is dropped.
    pub(crate) fn take(self: &Arc<Self>, namespace: &str, name: &str) -> Working {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(turn) = state.waiting.remove(&(namespace.into(), name.into())) {
            self.count(&turn);
            self.waited.observe(now.saturating_duration_since(turn.at).as_secs_f64());
        }
        state.begun += 1;
        let begun = (now, state.begun);
        state.working.insert(begun);
        Working { queue: self.clone(), begun }
    }

    fn count(&self, turn: &Turn) {
        if !turn.is_counted {
            self.adds.inc();
        }
    }

    fn sizes(&self, now: Instant) -> Sizes {
        let mut state = self.state();
        let mut depth = 0;
        for turn in state.waiting.values_mut().filter(|turn| turn.at <= now) {
            self.count(turn);
            turn.is_counted = true;
            depth += 1;
        }
        let took = |(begun, _): &(Instant, u64)| now.saturating_duration_since(*begun);
        Sizes {
            depth,
            unfinished: state.working.iter().map(took).sum(),
            longest: state.working.first().map(took).unwrap_or_default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object that is worked on.
#[derive(Debug)]
pub(crate) struct Working {
    queue: Arc<Queue>,
    begun: (Instant, u64),
}

impl Drop for Working {
    fn drop(&mut self) {
        self.queue.worked.observe(self.begun.0.elapsed().as_secs_f64());
        self.queue.state().working.remove(&self.begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(3_600);

    fn queue() -> Arc<Queue> {
        Queues::new(&mut Registry::default()).of("queueworker")
    }

    /// How many it would be the turn of after this time.
    fn depth(queue: &Queue, after: Duration) -> i64 {
        queue.sizes(Instant::now() + after).depth
    }

    #[test]
    fn an_object_waits_once_until_it_is_begun_with() {
        let queue = queue();
        for name in ["a", "b", "a"] {
            queue.add("shop", name);
        }
        assert_eq!((depth(&queue, Duration::ZERO), queue.adds.get()), (2, 2));
        let working = queue.take("shop", "a");
        assert_eq!(depth(&queue, Duration::ZERO), 1);
        // Asked for again meanwhile.
        queue.add("shop", "a");
        assert_eq!((depth(&queue, Duration::ZERO), queue.adds.get()), (2, 3));
        drop(working);
        assert_eq!(depth(&queue, Duration::ZERO), 2);
    }

    #[test]
    fn of_two_times_the_earlier_holds_and_what_is_not_due_is_not_counted() {
        let queue = queue();
        queue.add_after("shop", "a", LATER);
        assert_eq!((depth(&queue, Duration::ZERO), queue.adds.get()), (0, 0));
        queue.add_after("shop", "a", LATER * 3);
        assert_eq!((depth(&queue, LATER * 2), queue.adds.get()), (1, 1));

        queue.add_after("shop", "b", LATER);
        queue.add("shop", "b");
        queue.add_after("shop", "b", LATER);
        drop(queue.take("shop", "b"));
        assert_eq!((depth(&queue, Duration::ZERO), queue.adds.get()), (0, 2));
        assert_eq!(depth(&queue, LATER * 2), 1, "taken out whole");
    }

    #[test]
    fn what_is_under_way_adds_up() {
        let queue = queue();
        let (first, second) = (queue.take("shop", "a"), queue.take("shop", "b"));
        let sizes = queue.sizes(Instant::now() + LATER);
        assert!(sizes.longest >= LATER && sizes.unfinished >= LATER * 2);
        drop(first);
        let sizes = queue.sizes(Instant::now() + LATER);
        assert!(sizes.unfinished == sizes.longest && sizes.longest >= LATER);
        drop(second);
        assert_eq!(queue.sizes(Instant::now()).longest, Duration::ZERO);
    }
}
