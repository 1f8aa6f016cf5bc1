//! The steps, one after another.

use std::sync::Arc;

use gritstone_crds::kinds::QueueWorker;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio_util::sync::CancellationToken;

use super::build::engine;
use super::observe::observe;
use super::scale;
use super::status::{Outcome, status};
use super::validate::validate;
use crate::context::Context;
use crate::control::{Again, Error, LOOK, Made, Ours, drive, make, report};
use crate::database::User;
use crate::engine::{Built, build};
use crate::owned::Part;

/// Looks after every QueueWorker until `stop` is cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    drive(reconcile, context, stop).await;
}

async fn reconcile(worker: Arc<QueueWorker>, context: Arc<Context>) -> Result<Again, Error> {
    if worker.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        context.forget(&User::of(worker.as_ref()));
        return Ok(Again::Never);
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
        return Ok(Again::After(context.backoff.failed(&worker.place())));
    }
    context.backoff.succeeded(&worker.place());
    Ok(Again::After(LOOK))
}

/// Makes the objects of a worker that makes sense.
async fn outcome(worker: &QueueWorker, context: &Arc<Context>) -> Result<Outcome, Error> {
    let observed =
        observe(worker, context).await.map_err(|source| Error::Observe { object: worker.place(), source })?;
    let replicas = scale::own(worker, observed.live.as_ref(), context).await?;
    let (name, digest) = (worker.name_any(), observed.digest());
    let Built { deployment, budget } = build(&engine(worker, &name, digest.as_deref(), replicas), &context.settings);
    Ok(match make(worker, &[&deployment, &budget], context).await? {
        Made::Refused(said) => Outcome::Refused(said),
        Made::Applied(objects) => {
            let live = objects.into_iter().find_map(Part::live);
            let scaling = match &live {
                Some(live) => {
                    if worker.spec.autoscaling.is_some() && observed.live.is_none() {
                        // Before anybody scales it: what is taken over later is taken over as it is, which may be what it was a moment ago.
                        scale::take(worker, live, context).await?;
                    }
                    scale::order(worker, live, context).await?
                }
                None => None,
            };
            let rollout = live.map(|live| live.rollout).unwrap_or_default();
            Outcome::Applied { observed, rollout, scaling }
        }
    })
}
