//! The steps, one after another.

use std::sync::Arc;

use gritstone_crds::kinds::QueueWorker;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::build::engine;
use super::observe::observe;
use super::scale;
use super::status::{Outcome, status};
use super::validate::validate;
use crate::context::Context;
use crate::control::{Error, LOOK, Made, Ours, controller, drive, make, report};
use crate::database::User;
use crate::engine::{Built, build};

/// Looks after every QueueWorker until `stop` is cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let controller = controller::<QueueWorker>(&context).reconcile_on(context.databases.changes());
    drive(controller, reconcile, context, stop).await;
}

async fn reconcile(worker: Arc<QueueWorker>, context: Arc<Context>) -> Result<Action, Error> {
    if worker.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        context.forget(&User::of(worker.as_ref()));
        return Ok(Action::await_change());
    }
    let outcome = match validate(&worker.spec) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(()) => outcome(&worker, &context).await?,
    };
    let before = worker.status.clone().unwrap_or_default();
    let generation = worker.metadata.generation;
    let status = status(&worker.name_any(), generation, &worker.spec, &outcome, &before, Timestamp::now());
    report(&*worker, &status, &context).await?;
    if let Outcome::Refused(_) = outcome {
        return Ok(Action::requeue(context.backoff.failed(&worker.place())));
    }
    context.backoff.succeeded(&worker.place());
    Ok(Action::requeue(LOOK))
}

/// Makes the objects of a worker that makes sense.
async fn outcome(worker: &QueueWorker, context: &Arc<Context>) -> Result<Outcome, Error> {
    let observed =
        observe(worker, context).await.map_err(|source| Error::Observe { object: worker.place(), source })?;
    let replicas = scale::own(worker, observed.deployment.as_deref(), context).await?;
    let (name, digest) = (worker.name_any(), observed.digest());
    let Built { deployment, budget } = build(&engine(worker, &name, digest.as_deref(), replicas), &context.settings);
    Ok(match make(worker, &[&deployment, &budget], context).await? {
        Made::Refused(said) => Outcome::Refused(said),
        Made::Applied(objects) => {
            if worker.spec.autoscaling.is_some() && observed.deployment.is_none() {
                scale::take_made(worker, context).await?;
            }
            let deployment = objects.into_iter().next().unwrap_or(Value::Null);
            let scaling = scale::order(worker, &deployment, context).await?;
            Outcome::Applied { observed, deployment, scaling }
        }
    })
}
