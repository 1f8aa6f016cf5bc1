//! The steps, one after another.

use std::sync::Arc;

use gritstone_crds::kinds::Dispatcher;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::build::engine;
use super::observe::observe;
use super::status::{Outcome, status};
use super::validate::validate;
use crate::context::Context;
use crate::control::{Error, LOOK, Made, Ours, controller, drive, make, report};
use crate::database::User;
use crate::engine::{Built, Role, build, database_digest};

/// Looks after every Dispatcher until `stop` is cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let controller = controller::<Dispatcher>(&context).reconcile_on(context.databases.changes());
    drive(controller, reconcile, context, stop).await;
}

async fn reconcile(dispatcher: Arc<Dispatcher>, context: Arc<Context>) -> Result<Action, Error> {
    if dispatcher.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        context.forget(&User::of(dispatcher.as_ref()));
        return Ok(Action::await_change());
    }
    let outcome = match validate(&dispatcher.spec) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(()) => outcome(&dispatcher, &context).await?,
    };
    let before = dispatcher.status.clone().unwrap_or_default();
    let status = status(dispatcher.metadata.generation, &outcome, &before, Timestamp::now());
    report(&*dispatcher, &status, &context).await?;
    if let Outcome::Refused(_) = outcome {
        return Ok(Action::requeue(context.backoff.failed(&dispatcher.place())));
    }
    context.backoff.succeeded(&dispatcher.place());
    Ok(Action::requeue(LOOK))
}

/// Makes the objects of a dispatcher that makes sense.
async fn outcome(dispatcher: &Dispatcher, context: &Context) -> Result<Outcome, Error> {
    let database =
        observe(dispatcher, context).await.map_err(|source| Error::Observe { object: dispatcher.place(), source })?;
    let name = dispatcher.name_any();
    let known = database.as_ref().and_then(|standing| standing.digest.clone());
    let digest = match known {
        Some(digest) => Some(digest),
        None => kept_digest(dispatcher, context).await?,
    };
    let Built { deployment, budget } = build(&engine(dispatcher, &name, digest.as_deref()), &context.settings);
    Ok(match make(dispatcher, &[&deployment, &budget], context).await? {
        Made::Refused(said) => Outcome::Refused(said),
        Made::Applied(objects) => {
            Outcome::Applied { database, deployment: objects.into_iter().next().unwrap_or(Value::Null) }
        }
    })
}

/// What stands for the database's address in the pods that there are. While it can't be read, they keep to it.
async fn kept_digest(dispatcher: &Dispatcher, context: &Context) -> Result<Option<String>, Error> {
    let deployments: Api<Deployment> =
        Api::namespaced(context.client.clone(), &dispatcher.namespace().unwrap_or_default());
    let live = deployments.get_opt(&Role::Dispatcher.object(&dispatcher.name_any())).await;
    let live = live.map_err(|source| Error::Observe { object: dispatcher.place(), source })?;
    Ok(live.as_ref().and_then(database_digest))
}
