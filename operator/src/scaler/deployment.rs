//! Whose `spec.replicas` of a Deployment is, and writing it.
//!
//! While a QueueWorker scales by load the number belongs to the field manager `gritstone-scaler`, so that the reconciler, which applies
//! everything else, doesn't undo it. It takes the number over before the reconciler leaves it out, and gives it back after the
//! reconciler has put it in: at no time is it nobody's, which the API server would read as 1.
//!
//! A number is written over the one that was seen and no other: what was decided by an old one (by a cache that lags, or by an operator
//! whose place another has taken) would take away workers that nobody chose.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::Live;
use crate::owned::Key;
use crate::pods::{DELETION_COST, WorkerPod};

/// The field manager of the number of workers of a QueueWorker that scales by load.
const MANAGER: &str = "gritstone-scaler";
/// How often a number is written over what others have written to the Deployment since it was read. Its controller writes its status now
/// and then; who loses more often than that has an adversary, and says so.
const TRIES: usize = 5;

/// Whether the number is the scaler's, by whose the fields of a Deployment are.
pub(crate) fn is_scaled(fields: &[ManagedFieldsEntry]) -> bool {
    fields
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some(MANAGER))
        .any(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some()))
}

/// Takes the number over, where it isn't the scaler's, as it is, which is as in `live` unless somebody has written to the Deployment since.
///
/// # Errors
/// Those of the API server.
pub(crate) async fn take(context: &Context, deployment: &Key, live: &Live) -> Result<(), Error> {
    let mut live = live.clone();
    let mut tries = TRIES;
    while !live.is_scaled {
        match write(context, deployment, live.version, live.rollout.wanted).await {
            Err(error) if is_conflict(&error) && tries > 1 => tries -= 1,
            result => return result,
        }
        live = read(context, deployment).await?;
    }
    Ok(())
}

/// Changes the number if it still is `from`, as the API server has it: it is what others write, too. Whether it was.
///
/// # Errors
/// Those of the API server.
pub(super) async fn change(context: &Context, deployment: &Key, from: u32, to: u32) -> Result<bool, Error> {
    let mut tries = TRIES;
    loop {
        let live = read(context, deployment).await?;
        if i64::from(live.rollout.wanted) != i64::from(from) {
            return Ok(false);
        }
        match write(context, deployment, live.version, to).await {
            Err(error) if is_conflict(&error) && tries > 1 => tries -= 1,
            result => return result.map(|()| true),
        }
    }
}

async fn read(context: &Context, deployment: &Key) -> Result<Live, Error> {
    Ok(Live::of(&api(context, deployment).get(&deployment.name).await?))
}

/// Writes the number over this version of the Deployment: a [conflict](is_conflict) when there is another by now.
async fn write(
    context: &Context,
    deployment: &Key,
    version: Option<u64>,
    replicas: impl Into<i64>,
) -> Result<(), Error> {
    apply(context, deployment, version, json!({"replicas": replicas.into()})).await
}

fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}

/// Gives the number back to whoever else applies it.
pub(crate) async fn give_back(context: &Context, deployment: &Key) -> Result<(), Error> {
    apply(context, deployment, None, json!({})).await
}

/// Whose the number is by then is known at once: a reconciler that still took it for the scaler's would leave it to nobody.
async fn apply(context: &Context, deployment: &Key, version: Option<u64>, spec: Value) -> Result<(), Error> {
    let Key { kind, name, .. } = deployment;
    let metadata = json!({"name": name, "resourceVersion": version.map(|version| version.to_string())});
    let patch = json!({"apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": metadata, "spec": spec});
    match api(context, deployment).patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await {
        Ok(written) => {
            context.owned.changed(deployment.clone(), &written);
            Ok(())
        }
        Err(error) => {
            // What it refuses it doesn't do.
            if !matches!(&error, Error::Api(status) if status.code < 500) {
                context.owned.doubt(deployment);
            }
            Err(error)
        }
    }
}

fn api(context: &Context, deployment: &Key) -> Api<DynamicObject> {
    Api::namespaced_with(context.client.clone(), &deployment.namespace, &deployment.kind.resource())
}

/// Says of a pod that it should go before others, or doesn't say so any more.
pub(super) async fn mark(client: &Client, pod: &WorkerPod, first: bool) -> Result<(), Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
    let cost = first.then_some("-1000");
    // With its UID, so that another of its name is left alone. Not applied: of a pod that is gone that would make a new one, which takes a
    // right that nobody needs.
    let patch = json!({"metadata": {"uid": pod.uid, "annotations": {DELETION_COST: cost}}});
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match pods.patch(&pod.name, &parameters, &Patch::Merge(&patch)).await {
        // It went meanwhile.
        Err(Error::Api(status)) if !first && matches!(status.code, 404 | 409 | 422) => Ok(()),
        result => result.map(drop),
    }
}
