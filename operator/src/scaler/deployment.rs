//! Whose `spec.replicas` of a Deployment is, and writing it.
//!
//! While a QueueWorker scales by load the number belongs to the field manager `gritstone-scaler`, so that the reconciler, which applies
//! everything else, doesn't undo it. It takes the number over before the reconciler leaves it out, and gives it back after the
//! reconciler has put it in: at no time is it nobody's, which the API server would read as 1.
//!
//! A number is written over the one that was seen and no other: what was decided by an old one (by a cache that lags, or by an operator
//! whose place another has taken) would take away workers that nobody chose.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error, ResourceExt as _};
use serde_json::{Value, json};

use crate::pods::{DELETION_COST, WorkerPod};

/// The field manager of the number of workers of a QueueWorker that scales by load.
const MANAGER: &str = "gritstone-scaler";

/// Whether the number is the scaler's.
pub(crate) fn is_ours(deployment: &Deployment) -> bool {
    deployment
        .managed_fields()
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some(MANAGER))
        .any(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some()))
}

/// Takes the number over as it is in `live`, which was just read.
///
/// # Errors
/// Those of the API server: 409 when it is not like that any more.
pub(crate) async fn take(client: &Client, live: &Deployment) -> Result<(), Error> {
    let spec = json!({"replicas": replicas(live)});
    apply(client, &live.namespace().unwrap_or_default(), &live.name_any(), live.resource_version(), spec).await
}

/// Changes the number if it still is `from`. Whether it was.
///
/// # Errors
/// Those of the API server.
pub(super) async fn change(client: &Client, namespace: &str, name: &str, from: u32, to: u32) -> Result<bool, Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    loop {
        let live = deployments.get(name).await?;
        if replicas(&live) != i64::from(from) {
            return Ok(false);
        }
        match apply(client, namespace, name, live.resource_version(), json!({"replicas": to})).await {
            // Its status changes all the time.
            Err(Error::Api(status)) if status.code == 409 => {}
            result => return result.map(|()| true),
        }
    }
}

/// Gives the number back to whoever else applies it.
pub(crate) async fn give_back(client: &Client, namespace: &str, deployment: &str) -> Result<(), Error> {
    apply(client, namespace, deployment, None, json!({})).await
}

/// How many pods it is to have; one when it doesn't say, as Kubernetes reads it.
fn replicas(deployment: &Deployment) -> i64 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1).into()
}

async fn apply(
    client: &Client,
    namespace: &str,
    name: &str,
    version: Option<String>,
    spec: Value,
) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let metadata = json!({"name": name, "resourceVersion": version});
    let patch = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
    deployments.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await?;
    Ok(())
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
