//! Whose `spec.replicas` of a Deployment is, and writing it.
//!
//! While a QueueWorker scales by load the number belongs to the field manager `gritstone-scaler`, so that the reconciler, which applies
//! everything else, doesn't undo it. It takes the number over before the reconciler leaves it out, and gives it back after the
//! reconciler has put it in: at no time is it nobody's, which the API server would read as 1.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error, ResourceExt as _};
use serde_json::json;

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

/// Sets the number, and takes it over.
pub(crate) async fn set(client: &Client, namespace: &str, deployment: &str, replicas: u32) -> Result<(), Error> {
    apply(client, namespace, deployment, json!({"replicas": replicas})).await
}

/// Gives the number back to whoever else applies it.
pub(crate) async fn give_back(client: &Client, namespace: &str, deployment: &str) -> Result<(), Error> {
    apply(client, namespace, deployment, json!({})).await
}

async fn apply(client: &Client, namespace: &str, name: &str, spec: serde_json::Value) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
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
