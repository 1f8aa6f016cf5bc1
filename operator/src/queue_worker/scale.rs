//! Handing the number of workers over to who scales, and taking it back.

use std::sync::Arc;

use gritstone_crds::kinds::QueueWorker;
use kube::Resource;

use crate::context::Context;
use crate::control::{Error, Ours};
use crate::database::{Demand, User};
use crate::engine::{Live, Role};
use crate::scaler::{Order, Said, deployment};

/// The number that the reconciler has to apply. None where it is the scaler's, who has it then.
///
/// `live` is the Deployment as it is now, unless it is known to be the scaler's already: to take it over is to write the number that it has.
pub(super) async fn own(worker: &QueueWorker, live: Option<&Live>, context: &Context) -> Result<Option<i32>, Error> {
    let Some(autoscaling) = worker.spec.autoscaling else { return Ok(Some(worker.spec.replicas)) };
    match live {
        // Nothing is known of the load yet; with the fewest none is started for nothing.
        None => Ok(Some(autoscaling.min_replicas)),
        Some(live) => {
            take(worker, live, context).await?;
            Ok(None)
        }
    }
}

/// Makes the number the scaler's, if it isn't.
pub(super) async fn take(worker: &QueueWorker, live: &Live, context: &Context) -> Result<(), Error> {
    let taken = deployment::take(context, &Role::Worker.deployment(worker), live).await;
    taken.map_err(|source| failed(worker, source))
}

/// Has the worker scaled by load, if it asks for that, as its Deployment is now. What has come of it so far.
pub(super) async fn order(
    worker: &QueueWorker,
    live: &Live,
    context: &Arc<Context>,
) -> Result<Option<Box<Said>>, Error> {
    let (user, rollout) = (User::of(worker), live.rollout.clone());
    let demand = Demand::of(&worker.spec, rollout.wanted.max(0).unsigned_abs());
    let looks = context.databases.demand(&user, demand);
    let deployment = Role::Worker.deployment(worker);
    let Some(order) = Order::of(&worker.spec, worker.object_ref(&()), deployment.clone(), rollout) else {
        context.scalers.dismiss(&user);
        // Also when it was an operator before this one that scaled it.
        if live.is_scaled {
            let given = deployment::give_back(context, &deployment).await;
            given.map_err(|source| failed(worker, source))?;
        }
        return Ok(None);
    };
    Ok(Some(Box::new(context.scalers.order(context, &user, order, looks))))
}

fn failed(worker: &QueueWorker, source: kube::Error) -> Error {
    Error::Apply { object: worker.place(), kind: "Deployment".to_owned(), source }
}
