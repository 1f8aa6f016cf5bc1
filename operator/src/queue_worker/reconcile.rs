//! The steps, one after another.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use gritstone_crds::kinds::{QueueWorker, QueueWorkerStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::build::{Built, build};
use super::observe::observe;
use super::status::{Outcome, status};
use super::validate::validate;
use crate::apply::apply;
use crate::context::Context;
use crate::database::User;
use crate::{FIELD_MANAGER, events};

/// How many objects are worked on at once.
const CONCURRENCY: u16 = 8;
/// How often everything is looked at though nobody said that it changed.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// Why a worker could not be looked after this time. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("reading the Secret of QueueWorker {worker} failed: {source}")]
    Observe { worker: String, source: kube::Error },
    #[error("applying the {kind} of QueueWorker {worker} failed: {source}")]
    Apply { worker: String, kind: String, source: kube::Error },
    #[error("writing the status of QueueWorker {worker} failed: {source}")]
    Status { worker: String, source: kube::Error },
}

/// Looks after every QueueWorker until `stop` is cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let owned = watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={FIELD_MANAGER}"));
    Controller::new(api::<QueueWorker>(&context), watcher::Config::default())
        .owns(api::<Deployment>(&context), owned.clone())
        .owns(api::<PodDisruptionBudget>(&context), owned)
        .reconcile_on(context.databases.changes())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, after_error, context)
        .for_each(async |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "a QueueWorker could not be reconciled");
            }
        })
        .await;
}

fn api<K>(context: &Context) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    match &context.settings.namespace {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    }
}

async fn reconcile(worker: Arc<QueueWorker>, context: Arc<Context>) -> Result<Action, Error> {
    if worker.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        context.backoff.succeeded(&place(&worker));
        context.databases.forget(&User::of(worker.as_ref()));
        return Ok(Action::await_change());
    }
    let outcome = match validate(&worker.spec) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(()) => make(&worker, &context).await?,
    };
    write_status(&worker, &outcome, &context).await?;
    Ok(match outcome {
        Outcome::Refused(_) => Action::requeue(context.backoff.failed(&place(&worker))),
        Outcome::Applied { .. } | Outcome::Invalid(_) => {
            context.backoff.succeeded(&place(&worker));
            Action::requeue(LOOK)
        }
    })
}

fn after_error(worker: Arc<QueueWorker>, _: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.backoff.failed(&place(&worker)))
}

/// Its name in logs and errors.
fn place(worker: &QueueWorker) -> String {
    format!("{}/{}", worker.namespace().unwrap_or_default(), worker.name_any())
}

/// Makes the objects of a worker that makes sense.
async fn make(worker: &QueueWorker, context: &Context) -> Result<Outcome, Error> {
    let namespace = worker.namespace().unwrap_or_default();
    let observed = observe(worker, context).await.map_err(|source| Error::Observe { worker: place(worker), source })?;
    let Built { deployment, budget } = build(worker, &worker.name_any(), &context.settings);
    let mut applied = Vec::new();
    for wanted in [&deployment, &budget] {
        match apply(&context.client, &namespace, wanted).await {
            Ok(object) => applied.push(object),
            // Trying the same again is no use until something changes: the person has to know.
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                return Ok(Outcome::Refused(format!("the API server refused: {}", status.message)));
            }
            Err(source) => {
                return Err(Error::Apply { worker: place(worker), kind: wanted.kind.kind.clone(), source });
            }
        }
    }
    let deployment = applied.into_iter().next().unwrap_or(Value::Null);
    Ok(Outcome::Applied { observed, deployment })
}

/// Writes the status if it is another than before, and an Event for each condition that changed.
async fn write_status(worker: &QueueWorker, outcome: &Outcome, context: &Context) -> Result<(), Error> {
    let name = worker.name_any();
    let before = worker.status.clone().unwrap_or_default();
    let generation = worker.metadata.generation;
    let status: QueueWorkerStatus = status(&name, generation, &worker.spec, outcome, &before, Timestamp::now());
    if worker.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let workers: Api<QueueWorker> = Api::namespaced(context.client.clone(), &worker.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": QueueWorker::api_version(&()),
        "kind": QueueWorker::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match workers.patch_status(&name, &parameters, &Patch::Apply(&patch)).await {
        Ok(_) => {}
        // It was deleted meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(source) => return Err(Error::Status { worker: place(worker), source }),
    }
    events::publish(&context.recorder, &worker.object_ref(&()), &before.conditions, &status.conditions).await;
    Ok(())
}
