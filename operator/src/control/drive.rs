//! Calling `reconcile`: when something changed, after an error, and now and then.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::controller::{Action, Config, Controller};
use tokio_util::sync::CancellationToken;

use super::{Error, Ours};
use crate::context::Context;

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 8;
/// How often everything is looked at though nobody said that it changed.
pub(crate) const LOOK: Duration = Duration::from_secs(10 * 60);

/// Looks after every object that `controller` watches until `stop` is cancelled.
pub(crate) async fn drive<K, F>(
    controller: Controller<K>,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    context: Arc<Context>,
    stop: CancellationToken,
) where
    K: Ours,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, after_error, context)
        .for_each(async |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "a {} could not be reconciled", K::kind(&()));
            }
        })
        .await;
}

fn after_error<K: Ours>(object: Arc<K>, _: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.backoff.failed(&object.place()))
}
