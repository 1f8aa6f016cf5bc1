//! Calling `reconcile`: when something changed, after an error, and now and then. Each call has a bound, a trace id and its place in the
//! metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::StreamExt;
use futures::future::ready;
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, Controller, Error as Watching};
use rand::Rng;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Error, Ours};
use crate::context::Context;
use crate::metrics::Outcome;

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 8;
/// How long one may take: what hangs would keep its place from others.
const AT_MOST: Duration = Duration::from_secs(2 * 60);
/// How often everything is looked at though nobody said that it changed.
pub(crate) const LOOK: Duration = Duration::from_secs(10 * 60);

/// Looks after every object that `controller` watches until `stop` is cancelled; what is under way then is finished.
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
    let work = controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object, context| observed(name.clone(), object.clone(), context.clone(), reconcile(object, context)),
            after_error,
            context.clone(),
        )
        .for_each(|result| {
            match result {
                // Said already; or deleted between the word and the look.
                Ok(_) | Err(Watching::ReconcilerFailed(..) | Watching::ObjectNotFound(_)) => {}
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
