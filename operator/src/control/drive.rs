//! Calling `reconcile`: when something changed, after an error, and now and then. Each call has a bound, a trace id and its place in the
//! metrics.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::ready;
use futures::stream::select;
use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{Action, Config, Controller, Error as Watching};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, watcher};
use rand::Rng;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Error, Ours};
use crate::context::Context;
use crate::database::User;
use crate::metrics::{Outcome, Queue};

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 8;
/// How long one may take: what hangs would keep its place from others.
const AT_MOST: Duration = Duration::from_secs(2 * 60);
/// How often everything is looked at though nobody said that it changed.
pub(crate) const LOOK: Duration = Duration::from_secs(10 * 60);
/// Where `kubectl apply` keeps what it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// When to look at an object again though nobody said that it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    After(Duration),
    Never,
}

impl From<Again> for Action {
    fn from(again: Again) -> Self {
        match again {
            Again::After(wait) => Self::requeue(wait),
            Again::Never => Self::await_change(),
        }
    }
}

/// Looks after every object of a kind, those included whose bell is rung and whose own objects change, until `stop` is cancelled; what is
/// under way then is finished.
pub(crate) async fn drive<K, F>(
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    K: Ours,
    F: Future<Output = Result<Again, Error>> + Send + 'static,
{
    let rung = context.bells.listen::<K>(&context.scope);
    let name: Arc<str> = K::kind(&()).to_lowercase().into();
    let running = context.instruments.health.begin(context.scope.name(&name));
    context.instruments.metrics.reconciling.begin(&name, CONCURRENCY);
    let queue = context.instruments.metrics.queues.of(&name);
    if stop.run_until_cancelled(context.owned.synced()).await.is_none() {
        return;
    }
    let touched = context.owned.touched(&K::kind(&()));
    let touched = touched.map(|owner| ObjectRef::new(&owner.name).within(&owner.namespace));
    let controller = controller::<K>(&context, queue.clone());
    let store = controller.store();
    let (taking, failing, gone) = (queue.clone(), queue.clone(), queue.clone());
    let work = controller
        .reconcile_on(select(rung, touched).inspect(move |object: &ObjectRef<K>| {
            queue.add(object.namespace.as_deref().unwrap_or_default(), &object.name);
        }))
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(
            // Not within the future: kube takes it out of its queue before it makes one.
            move |object: Arc<K>, context: Arc<Context>| {
                let place = (object.namespace().unwrap_or_default(), object.name_any());
                let (queue, working) = (taking.clone(), taking.take(&place.0, &place.1));
                let work = observed(name.clone(), object.clone(), context.clone(), reconcile(object, context));
                async move {
                    let again = work.await;
                    drop(working);
                    if let Ok(Again::After(wait)) = again {
                        queue.add_after(&place.0, &place.1, wait);
                    }
                    again.map(Action::from)
                }
            },
            move |object: Arc<K>, _: &Error, context: Arc<Context>| {
                let wait = context.backoff.failed(&object.place());
                failing.add_after(&object.namespace().unwrap_or_default(), &object.name_any(), wait);
                Action::requeue(wait)
            },
            context.clone(),
        )
        .for_each(|result| {
            match result {
                // Said already.
                Ok(_) | Err(Watching::ReconcilerFailed(..)) => {}
                Err(Watching::ObjectNotFound(missing)) => {
                    let namespace = missing.namespace.as_deref().unwrap_or_default();
                    // Nothing to do any more.
                    drop(gone.take(namespace, &missing.name));
                    context.forget(&User::new(&K::kind(&()), namespace, &missing.name));
                }
                Err(error) => tracing::warn!(%error, "watching {}s failed: it goes on", K::kind(&())),
            }
            ready(())
        });
    let began = async {
        let is_filled = match stop.run_until_cancelled(store.wait_until_ready()).await {
            Some(filled) => filled.is_ok(),
            // Both at once?
            None => store.wait_until_ready().now_or_never().is_some_and(|filled| filled.is_ok()),
        };
        if is_filled {
            running.synced();
        }
        is_filled
    };
    let (mut work, began) = (pin!(work), pin!(began));
    tokio::select! {
        () = &mut work => {}
        has_begun = began => if has_begun {
            work.await;
        }
        // Else nothing is under way. Told to stop before it has seen all objects (a kind may not be known to the API server, or its
        // list not allowed), kube's controller would wait for them for ever.
    }
}

/// A controller that watches all objects of its kind. Of what Kubernetes keeps with them, more than they are themselves, nothing is left:
/// whose their fields are, and how kubectl applied them last.
fn controller<K: Ours>(context: &Context, queue: Arc<Queue>) -> Controller<K> {
    let (reader, writer) = reflector::store();
    let objects = watcher(context.scope.api::<K>(&context.client), watcher::Config::default())
        .default_backoff()
        .modify(|object| {
            object.meta_mut().managed_fields = None;
            object.annotations_mut().remove(LAST_APPLIED);
        })
        .reflect(writer)
        // Deleted ones too: they are missed when it is their turn.
        .touched_objects()
        .inspect_ok(move |object| queue.add(&object.namespace().unwrap_or_default(), &object.name_any()));
    Controller::for_stream(objects, reader)
}

/// One reconciliation, with what is to be known of it.
async fn observed<K: Ours>(
    name: Arc<str>,
    object: Arc<K>,
    context: Arc<Context>,
    work: impl Future<Output = Result<Again, Error>> + Send,
) -> Result<Again, Error> {
    if context.written.is_stale(&object.place(), object.meta().resource_version.as_deref()) {
        return Ok(Again::Never);
    }
    let place = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let trace_id = format!("{:032x}", rand::rng().random::<u128>());
    let span = tracing::info_span!("reconcile", controller = &*name, object = place, trace_id);
    let work = async {
        let reconciling = &context.instruments.metrics.reconciling;
        let (active, start) = (reconciling.start(&name), Instant::now());
        let ended = tokio::time::timeout(AT_MOST, AssertUnwindSafe(work).catch_unwind()).await;
        drop(active);
        let result = match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Panicked { object: object.place() }),
            Err(_) => Err(Error::TooLong { object: object.place(), seconds: AT_MOST.as_secs() }),
        };
        let outcome = match &result {
            Ok(Again::Never) => Outcome::Success,
            Ok(Again::After(_)) => Outcome::RequeueAfter,
            Err(Error::Panicked { .. }) => Outcome::Panic,
            Err(_) => Outcome::Error,
        };
        reconciling.ended(&name, outcome, start.elapsed());
        match &result {
            Ok(_) => tracing::debug!("reconciled"),
            Err(error) => tracing::warn!(%error, "could not be reconciled: it will be tried again"),
        }
        result
    };
    work.instrument(span).await
}
