//! Handing the number of workers over to who scales, and taking it back.

use std::sync::Arc;

use gritstone_crds::kinds::QueueWorker;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Resource, ResourceExt as _};
use serde_json::Value;

use crate::context::Context;
use crate::control::{Error, Ours};
use crate::database::{Demand, User};
use crate::engine::{Role, Rollout};
use crate::scaler::{Order, Said, deployment};

/// The number that the reconciler has to apply. None where it is the scaler's, who has it then.
pub(super) async fn own(
    worker: &QueueWorker,
    live: Option<&Deployment>,
    context: &Context,
) -> Result<Option<i32>, Error> {
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

/// Makes the number of a Deployment that was just made the scaler's, before anybody scales it: what is taken over later is taken over as it
/// is, which may be what it was a moment ago.
pub(super) async fn take_made(worker: &QueueWorker, context: &Context) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(context.client.clone(), &worker.namespace().unwrap_or_default());
    let made = deployments.get(&Role::Worker.object(&worker.name_any())).await;
    let made = made.map_err(|source| Error::Observe { object: worker.place(), source })?;
    take(worker, &made, context).await
}

/// Has the worker scaled by load, if it asks for that, as its Deployment is now. What has come of it so far.
pub(super) async fn order(
    worker: &QueueWorker,
    applied: &Value,
    context: &Arc<Context>,
) -> Result<Option<Box<Said>>, Error> {
    let (user, rollout) = (User::of(worker), Rollout::of(applied));
    let name = Role::Worker.object(&worker.name_any());
    let demand = Demand::of(&worker.spec, rollout.wanted.max(0).unsigned_abs());
    let looks = context.databases.demand(&user, demand);
    let Some(order) = Order::of(&worker.spec, worker.object_ref(&()), name.clone(), rollout) else {
        if context.scalers.dismiss(&user) {
            let namespace = worker.namespace().unwrap_or_default();
            let given = deployment::give_back(&context.client, &namespace, &name).await;
            given.map_err(|source| Error::Apply { object: worker.place(), kind: "Deployment".to_owned(), source })?;
        }
        return Ok(None);
    };
    Ok(Some(Box::new(context.scalers.order(context, &user, order, looks))))
}

/// Makes the number the scaler's, if it isn't.
async fn take(worker: &QueueWorker, live: &Deployment, context: &Context) -> Result<(), Error> {
    if deployment::is_ours(live) {
        return Ok(());
    }
    let taken = deployment::take(&context.client, live).await;
    taken.map_err(|source| Error::Apply { object: worker.place(), kind: "Deployment".to_owned(), source })
}
