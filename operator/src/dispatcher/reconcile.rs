//! The steps, one after another.

use std::sync::Arc;

use gritstone_crds::kinds::Dispatcher;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio_util::sync::CancellationToken;

use super::build::engine;
use super::observe::{Observed, observe};
use super::status::{Outcome, status};
use super::validate::validate;
use crate::context::Context;
use crate::control::{Again, Error, LOOK, Made, Ours, drive, make, report};
use crate::database::User;
use crate::engine::{Built, build};
use crate::owned::Part;

/// Looks after every Dispatcher until `stop` is cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    drive(reconcile, context, stop).await;
}

async fn reconcile(dispatcher: Arc<Dispatcher>, context: Arc<Context>) -> Result<Again, Error> {
    if dispatcher.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        context.forget(&User::of(dispatcher.as_ref()));
        return Ok(Again::Never);
    }
    let outcome = match validate(&dispatcher.spec) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(()) => outcome(&dispatcher, &context).await?,
    };
    let before = dispatcher.status.clone().unwrap_or_default();
    let status = status(dispatcher.metadata.generation, &outcome, &before, Timestamp::now());
    report(&*dispatcher, &status, &context).await?;
    if let Outcome::Refused(_) = outcome {
        return Ok(Again::After(context.backoff.failed(&dispatcher.place())));
    }
    context.backoff.succeeded(&dispatcher.place());
    Ok(Again::After(LOOK))
}

/// Makes the objects of a dispatcher that makes sense.
async fn outcome(dispatcher: &Dispatcher, context: &Context) -> Result<Outcome, Error> {
    let Observed { database, digest } =
        observe(dispatcher, context).await.map_err(|source| Error::Observe { object: dispatcher.place(), source })?;
    let name = dispatcher.name_any();
    let Built { deployment, budget } = build(&engine(dispatcher, &name, digest.as_deref()), &context.settings);
    Ok(match make(dispatcher, &[&deployment, &budget], context).await? {
        Made::Refused(said) => Outcome::Refused(said),
        Made::Applied(objects) => {
            let live = objects.into_iter().find_map(Part::live);
            Outcome::Applied { database, rollout: live.map(|live| live.rollout).unwrap_or_default() }
        }
    })
}
