//! What the engine is told by its environment: where the database is, where to tell of itself, and who the process is.

use gritstone_crds::kinds::SecretKeyRef;
use serde_json::{Value, json};

use super::{Engine, probes};
use crate::Settings;

/// What the variables are called: no manifest may say otherwise.
pub(super) const RESERVED: [&str; 6] = [
    "DATABASE_URL",
    "GRITSTONE_HEALTH_ADDRESS",
    "GRITSTONE_CLUSTER_ID",
    "GRITSTONE_NAMESPACE",
    "GRITSTONE_POD",
    "GRITSTONE_POD_UID",
];

/// The variables, in an order that stays.
pub(super) fn environment(engine: &Engine<'_>, settings: &Settings) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let url = engine.database.map(|database| {
        let SecretKeyRef { name, key } = &database.secret_ref;
        json!({"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
    });
    let identity = [
        json!({"name": "GRITSTONE_HEALTH_ADDRESS", "value": format!(":{}", probes::PORT)}),
        json!({"name": "GRITSTONE_CLUSTER_ID", "value": settings.cluster_id}),
        field("GRITSTONE_NAMESPACE", "metadata.namespace"),
        field("GRITSTONE_POD", "metadata.name"),
        field("GRITSTONE_POD_UID", "metadata.uid"),
    ];
    url.into_iter().chain(identity).collect()
}
