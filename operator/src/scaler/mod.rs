//! As many workers as the load needs, for each QueueWorker that asks for it.
//!
//! One task a QueueWorker (`task`): with each look at its queue it asks [`crate::autoscale`] how many workers there should be, writes a
//! larger number at once, and takes away workers in steps that end no running job (`lowering`), at once those that run nothing (`vacant`). `deployment` says whose the number is.
//!
//! A reconciler gives an [`Order`] whenever it looks at its object, and puts into the status what the task [`Said`]; the task has it look
//! again when that is something new. `gauges` are the numbers for a dashboard, `scalings` counts the changes.

mod counters;
pub(crate) mod deployment;
mod gauges;
mod lowering;
mod order;
mod scalings;
mod task;
mod vacant;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::context::Context;
use crate::database::{Looks, User};
use crate::metrics::Metrics;
pub(crate) use gauges::Gauges;
pub(crate) use order::{CONNECTIONS, Order, Said, State};
pub(crate) use scalings::Scalings;

/// The tasks of all QueueWorkers that scale by load.
#[derive(Debug)]
pub(crate) struct Scalers {
    running: Mutex<HashMap<User, Running>>,
    gauges: Gauges,
}

#[derive(Debug)]
struct Running {
    orders: watch::Sender<(Order, Option<Looks>)>,
    said: Arc<Mutex<Said>>,
    _stop: DropGuard,
}

impl Scalers {
    /// None yet; their numbers will be among `metrics`.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Scalers { running: Mutex::default(), gauges: metrics.scaling.clone() }
    }

    /// Scales the QueueWorker, by these looks, until it is [dismissed](Self::dismiss). What its task has said so far.
    pub(crate) fn order(&self, context: &Arc<Context>, user: &User, order: Order, looks: Option<Looks>) -> Said {
        match self.running().entry(user.clone()) {
            Entry::Occupied(running) => {
                let running = running.get();
                running.orders.send_if_modified(|(before, by)| {
                    let same_looks = match (&*by, &looks) {
                        (Some(before), Some(now)) => before.same_channel(now),
                        (None, None) => true,
                        _ => false,
                    };
                    let changed = *before != order || !same_looks;
                    (*before, *by) = (order, looks);
                    changed
                });
                lock(&running.said).clone()
            }
            Entry::Vacant(place) => {
                let (stop, said) = (CancellationToken::new(), Arc::<Mutex<Said>>::default());
                let (orders, received) = watch::channel((order, looks));
                let gauge = self.gauges.of(user);
                let task = task::Task::new(Arc::downgrade(context), user.clone(), received, said.clone(), gauge);
                let stopped = stop.clone();
                tokio::spawn(async move { stopped.run_until_cancelled(task.run()).await });
                place.insert(Running { orders, said, _stop: stop.drop_guard() });
                Said::default()
            }
        }
    }

    /// It is gone, or doesn't scale by load any more.
    pub(crate) fn dismiss(&self, user: &User) {
        self.running().remove(user);
    }

    fn running(&self) -> MutexGuard<'_, HashMap<User, Running>> {
        lock(&self.running)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
