//! What every controller has: a bound on its work, a trace id, counters, a rest after an error.

use std::fmt::Debug;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{Action, Config, Controller, Error};
use kube::{Resource, ResourceExt};
use rand::Rng;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::context::Context;
use crate::metrics::Outcome;

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 8;
/// How long one may take. Something hangs then, and others wait for its place.
const AT_MOST: Duration = Duration::from_secs(2 * 60);

/// Why an object could not be looked after this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure<E> {
    #[error(transparent)]
    Failed(E),
    #[error("it took longer than {} s and was given up", AT_MOST.as_secs())]
    TooLong,
    #[error("a mistake in the operator ended it (the log says where): please report it")]
    Panicked,
}

/// Looks after every object of a kind until `stop` is cancelled; what is under way then is finished. `name` is the kind in lower case.
pub(crate) async fn run<K, E, F>(
    controller: Controller<K>,
    name: &'static str,
    reconcile: impl Fn(Arc<K>, Arc<Context>) -> F + Clone + Send + 'static,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash,
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<Action, E>> + Send + 'static,
{
    let running = context.instruments.health.begin(context.scoped(name));
    context.instruments.metrics.reconciling.begin(name, CONCURRENCY);
    let store = controller.store();
    let work = controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object, context| observed(name, object.clone(), context.clone(), reconcile(object, context)),
            move |object, _, context| {
                let rest = context.backoff.failed(&key(name, &*object));
                tracing::debug!(object = place(&*object), ?rest, "will be tried again");
                Action::requeue(rest)
            },
            context,
        )
        .for_each(move |result| {
            match result {
                // Said already; or deleted between the word and the look.
                Ok(_) | Err(Error::ReconcilerFailed(..) | Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(controller = name, %error, "watching failed: it goes on"),
            }
            futures::future::ready(())
        });
    let filled = async {
        if store.wait_until_ready().await.is_ok() {
            running.synced();
        }
    };
    futures::join!(work, filled);
}

/// One reconciliation, with what is to be known of it.
async fn observed<K, E>(
    name: &'static str,
    object: Arc<K>,
    context: Arc<Context>,
    work: impl Future<Output = Result<Action, E>> + Send,
) -> Result<Action, Failure<E>>
where
    K: Resource<DynamicType = ()>,
    E: std::error::Error + Send + Sync + 'static,
{
    let trace = format!("{:032x}", rand::rng().random::<u128>());
    let span = tracing::info_span!("reconcile", controller = name, object = place(&*object), trace_id = trace);
    async {
        let (active, start) = (context.instruments.metrics.reconciling.start(name), Instant::now());
        let ended = tokio::time::timeout(AT_MOST, AssertUnwindSafe(work).catch_unwind()).await;
        drop(active);
        let result = match ended {
            Ok(Ok(result)) => result.map_err(Failure::Failed),
            Ok(Err(_)) => Err(Failure::Panicked),
            Err(_) => Err(Failure::TooLong),
        };
        let outcome = match &result {
            Ok(action) if *action == Action::await_change() => Outcome::Success,
            Ok(_) => Outcome::RequeueAfter,
            Err(Failure::Panicked) => Outcome::Panic,
            Err(_) => Outcome::Error,
        };
        context.instruments.metrics.reconciling.ended(name, outcome, start.elapsed());
        match &result {
            Ok(_) => tracing::debug!("reconciled"),
            Err(error) => tracing::warn!(%error, "could not be reconciled: it will be tried again"),
        }
        result
    }
    .instrument(span)
    .await
}

/// An object among those of all kinds.
pub(crate) fn key<K: Resource<DynamicType = ()>>(name: &str, object: &K) -> String {
    format!("{name}/{}", place(object))
}

/// Its name in logs and errors.
pub(crate) fn place<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
