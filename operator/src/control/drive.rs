//! Calling `reconcile`: when something changed, after an error, and now and then. Each call has a bound, a trace id and its place in the
//! metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::StreamExt;
use futures::future::ready;
use kube::ResourceExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{Action, Config, Controller, Error as Watching};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, watcher};
use rand::Rng;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Error, Ours, api};
use crate::context::Context;
use crate::database::User;
use crate::metrics::Outcome;

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 8;
/// How long one may take: what hangs would keep its place from others.
const AT_MOST: Duration = Duration::from_secs(2 * 60);
/// How often everything is looked at though nobody said that it changed.
pub(crate) const LOOK: Duration = Duration::from_secs(10 * 60);

/// A controller that watches all objects of its kind. What Kubernetes keeps about whose their fields are, half of their size, is left out.
pub(crate) fn controller<K: Ours>(context: &Context) -> Controller<K> {
    let (reader, writer) = reflector::store();
    let objects = watcher(api::<K>(context), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        // Deleted ones too: they are missed when it is their turn.
        .touched_objects();
    Controller::for_stream(objects, reader)
}

/// Looks after every object that `controller` watches, and the objects that it owns, until `stop` is cancelled; what is under way then is finished.
pub(crate) async fn drive<K, F>(
    controller: Controller<K>,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    K: Ours,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let name: Arc<str> = K::kind(&()).to_lowercase().into();
    let running = context.instruments.health.begin(context.scoped(&name));
    context.instruments.metrics.reconciling.begin(&name, CONCURRENCY);
    let store = controller.store();
    if stop.run_until_cancelled(context.owned.synced()).await.is_none() {
        return;
    }
    let touched = context.owned.touched(&K::kind(&()));
    let touched = touched.map(|owner| ObjectRef::new(&owner.name).within(&owner.namespace));
    let work = controller
        .reconcile_on(touched)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object, context| observed(name.clone(), object.clone(), context.clone(), reconcile(object, context)),
            after_error,
            context.clone(),
        )
        .for_each(|result| {
            match result {
                // Said already.
                Ok(_) | Err(Watching::ReconcilerFailed(..)) => {}
                Err(Watching::ObjectNotFound(gone)) => {
                    context.forget(&User::new(
                        &K::kind(&()),
                        gone.namespace.as_deref().unwrap_or_default(),
                        &gone.name,
                    ));
                }
                Err(error) => tracing::warn!(%error, "watching {}s failed: it goes on", K::kind(&())),
            }
            ready(())
        });
    let filled = async {
        if store.wait_until_ready().await.is_ok() {
            running.synced();
        }
    };
    futures::join!(work, filled);
}

fn after_error<K: Ours>(object: Arc<K>, _: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.backoff.failed(&object.place()))
}

/// One reconciliation, with what is to be known of it.
async fn observed<K: Ours>(
    name: Arc<str>,
    object: Arc<K>,
    context: Arc<Context>,
    work: impl Future<Output = Result<Action, Error>> + Send,
) -> Result<Action, Error> {
    if context.written.is_stale(&object.place(), object.meta().resource_version.as_deref()) {
        return Ok(Action::await_change());
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
            Ok(action) if *action == Action::await_change() => Outcome::Success,
            Ok(_) => Outcome::RequeueAfter,
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
