//! Running the controllers until the operator is told to stop.

use std::sync::Arc;

use futures::future::join_all;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::Instruments;
use crate::context::{Common, Context, Settings};
use crate::{dispatcher, owned, pods, queue_worker, recurring_task};

/// Looks after the objects of all scopes until `stop` is cancelled; what is being written then is finished.
pub async fn run(client: Client, settings: Settings, instruments: Instruments, stop: CancellationToken) {
    let common = Common::new(client, &settings, instruments);
    let databases = common.databases.clone().run(stop.clone());
    let scopes = settings.scopes.iter().map(|scope| {
        let context = Context::new(scope.clone(), settings.clone(), &common);
        look_after(Arc::new(context), stop.clone())
    });
    tokio::join!(databases, join_all(scopes));
}

/// Looks after the objects of one.
async fn look_after(context: Arc<Context>, stop: CancellationToken) {
    let owned = owned::watch(context.clone(), stop.clone());
    let workers = queue_worker::run(context.clone(), stop.clone());
    let pods = pods::watch(context.clone(), stop.clone());
    let dispatchers = dispatcher::run(context.clone(), stop.clone());
    let tasks = recurring_task::run(context.clone(), stop);
    tokio::join!(owned, pods, workers, dispatchers, tasks);
}
