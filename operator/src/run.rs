//! Running the controllers until the operator is told to stop.

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::Instruments;
use crate::context::{Context, Settings};
use crate::{dispatcher, owned, pods, queue_worker, recurring_task};

/// Looks after the objects of one namespace, or of all, until `stop` is cancelled; what is being written then is finished.
pub async fn run(client: Client, settings: Settings, instruments: Instruments, stop: CancellationToken) {
    let context = std::sync::Arc::new(Context::new(client, settings, instruments));
    let databases = context.databases.clone().run(stop.clone());
    let owned = owned::watch(context.clone(), stop.clone());
    let workers = queue_worker::run(context.clone(), stop.clone());
    let pods = pods::watch(context.clone(), stop.clone());
    let dispatchers = dispatcher::run(context.clone(), stop.clone());
    let tasks = recurring_task::run(context.clone(), stop);
    tokio::join!(databases, owned, pods, workers, dispatchers, tasks);
}
