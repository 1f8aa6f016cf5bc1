//! The objects that the engine's pods come from.

use serde_json::{Value, json};

use super::{Engine, pod};
use crate::apply::Wanted;
use crate::owned::Kind;
use crate::{FIELD_MANAGER, MANAGED_BY, Settings};

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Built {
    /// Makes the pods.
    pub(crate) deployment: Wanted,
    /// Lets them be evicted one at a time.
    pub(crate) budget: Wanted,
}

/// The objects of an engine whose spec is valid.
pub(crate) fn build(engine: &Engine<'_>, settings: &Settings) -> Built {
    let role = engine.role;
    let labels = json!({
        "app.kubernetes.io/name": format!("gritstone-{}", role.as_str()),
        "app.kubernetes.io/instance": engine.name,
        MANAGED_BY: FIELD_MANAGER,
        role.label(): engine.name,
    });
    let metadata = json!({
        "name": role.object(engine.name),
        "labels": labels,
        "ownerReferences": engine.owner.as_ref().map(|owner| vec![owner]),
    });
    Built {
        deployment: wanted(Kind::Deployment, &metadata, deployment(engine, settings, &labels)),
        budget: wanted(Kind::PodDisruptionBudget, &metadata, budget(&engine.selector())),
    }
}

fn wanted(kind: Kind, metadata: &Value, spec: Value) -> Wanted {
    Wanted {
        kind,
        name: metadata["name"].as_str().unwrap_or_default().to_owned(),
        object: json!({
            "apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": metadata, "spec": spec,
        }),
    }
}

fn deployment(engine: &Engine<'_>, settings: &Settings, labels: &Value) -> Value {
    let mut deployment = json!({
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": engine.selector()},
        "template": pod::template(engine, settings, labels),
    });
    // A field that is named, whatever with, is ours.
    if let Some(replicas) = engine.replicas {
        deployment["replicas"] = json!(replicas);
    }
    if !engine.may_surge {
        // At least one: of fewer than four pods a quarter is none.
        deployment["strategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"}});
    }
    deployment
}

/// A drained node takes its pods one at a time. Those that don't run anyway may always go.
fn budget(selector: &Value) -> Value {
    json!({"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": selector}})
}
