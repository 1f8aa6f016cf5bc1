//! The objects that a QueueWorker is made of.

use gritstone_crds::kinds::{QueueWorker, QueueWorkerSpec};
use kube::Resource;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::pod;
use crate::apply::Wanted;
use crate::{FIELD_MANAGER, Settings};

/// The label that tells the pods of one worker.
const LABEL: &str = "gritstone.dev/queue-worker";

/// All of them, the Deployment first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Built {
    pub(super) deployment: Wanted,
    pub(super) budget: Wanted,
}

/// Which pods are those of the worker called `name`, as a selector in text.
pub(super) fn selector(name: &str) -> String {
    format!("{LABEL}={name}")
}

/// The objects of a worker whose spec is valid.
pub(super) fn build(worker: &QueueWorker, name: &str, settings: &Settings) -> Built {
    let spec = &worker.spec;
    let selector = json!({LABEL: name});
    let labels = json!({
        "app.kubernetes.io/name": "gritstone-worker",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        LABEL: name,
    });
    let metadata = json!({
        "name": format!("{name}-worker"),
        "labels": labels,
        "ownerReferences": worker.controller_owner_ref(&()).map(|owner| vec![owner]),
    });
    Built {
        deployment: wanted("apps", "v1", "Deployment", &metadata, deployment(name, spec, settings, &labels, &selector)),
        budget: wanted("policy", "v1", "PodDisruptionBudget", &metadata, budget(&selector)),
    }
}

fn wanted(group: &str, version: &str, kind: &str, metadata: &Value, spec: Value) -> Wanted {
    Wanted {
        kind: GroupVersionKind::gvk(group, version, kind),
        name: metadata["name"].as_str().unwrap_or_default().to_owned(),
        object: json!({"apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": metadata, "spec": spec}),
    }
}

fn deployment(name: &str, spec: &QueueWorkerSpec, settings: &Settings, labels: &Value, selector: &Value) -> Value {
    json!({
        "replicas": spec.replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": selector},
        "template": pod::template(name, spec, settings, labels, selector),
    })
}

/// A drained node takes its workers one at a time. Those that don't run anyway may always go.
fn budget(selector: &Value) -> Value {
    json!({"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": selector}})
}
