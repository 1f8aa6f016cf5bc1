//! What is kept of an object.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::Owner;
use crate::FIELD_MANAGER;
use crate::stale::number;

/// The kind whose status we write.
const SCHEDULE: &str = "CronSchedule";
/// The numbers of a Deployment's status.
const COUNTS: [&str; 6] =
    ["observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"];

/// An object, without most of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Its version.
    pub(super) version: u64,
    /// Which fields are ours, as a hash.
    pub(super) fields: u64,
    /// Who owns it.
    pub(super) owner: Option<Owner>,
    /// Its name, UID and generation, `spec.replicas`, and the numbers of its status; of a [`SCHEDULE`] `spec.database` and all of its status.
    pub(crate) object: Value,
}

impl Seen {
    pub(super) fn of(kind: &str, object: &DynamicObject) -> Self {
        let (metadata, namespace) = (&object.metadata, object.namespace().unwrap_or_default());
        let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let (spec, status) = match kind {
            SCHEDULE => (
                json!({"database": object.data.get("spec").and_then(|spec| spec.get("database"))}),
                object.data.get("status").cloned().unwrap_or_default(),
            ),
            _ => (
                json!({"replicas": object.data.get("spec").and_then(|spec| spec.get("replicas"))}),
                counts(object.data.get("status")).into(),
            ),
        };
        Self {
            version: number(metadata.resource_version.as_deref()).unwrap_or_default(),
            fields: fields(metadata.managed_fields.as_deref().unwrap_or_default()),
            owner: owner.map(|owner| Owner { kind: owner.kind.clone(), namespace, name: owner.name.clone() }),
            object: json!({
                "metadata": {"name": metadata.name, "uid": metadata.uid, "generation": metadata.generation},
                "spec": spec,
                "status": status,
            }),
        }
    }

    /// Whether its owner has to know that it is so now and not as it was `before`. The status of a [`SCHEDULE`] is the owner's own word.
    pub(super) fn is_news(&self, kind: &str, before: &Self) -> bool {
        kind != SCHEDULE || (self.fields, &self.object["metadata"]) != (before.fields, &before.object["metadata"])
    }
}

fn counts(status: Option<&Value>) -> Map<String, Value> {
    let count = |name: &&str| Some(((*name).to_owned(), status?.get(*name)?.clone()));
    COUNTS.iter().filter_map(count).collect()
}

/// The fields that we applied and nobody has changed or taken away since.
fn fields(entries: &[ManagedFieldsEntry]) -> u64 {
    let ours = entries.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let mut hasher = DefaultHasher::new();
    ours.and_then(|entry| entry.fields_v1.as_ref()).map(|fields| fields.0.to_string()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_object_is_kept_what_is_asked_for() {
        let object = json!({
            "metadata": {
                "name": "mail-worker", "namespace": "shop", "generation": 3, "resourceVersion": "17",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "1"},
                    {"apiVersion": "gritstone.dev/v1alpha1", "kind": "QueueWorker", "name": "mail", "uid": "2", "controller": true},
                ],
            },
            "spec": {"replicas": 2, "template": {"spec": {}}},
            "status": {"readyReplicas": 1, "conditions": [{"type": "Available"}]},
        });
        let seen = Seen::of("Deployment", &serde_json::from_value(object).expect("an object"));
        assert_eq!(seen.version, 17);
        assert_eq!(seen.owner.expect("an owner").name, "mail");
        assert_eq!(seen.object["spec"], json!({"replicas": 2}));
        assert_eq!(seen.object["status"], json!({"readyReplicas": 1}));
    }

    #[test]
    fn of_a_schedule_its_database_and_its_status_are_kept_and_only_the_status_is_no_news() {
        let schedule = |generation: i64, last: &str| {
            let object = json!({
                "metadata": {"name": "daily", "generation": generation, "resourceVersion": "1"},
                "spec": {"database": {"secretRef": {"name": "app-db"}}, "cron": "* * * * *"},
                "status": {"lastJobId": last},
            });
            Seen::of("CronSchedule", &serde_json::from_value(object).expect("an object"))
        };
        let seen = schedule(1, "7");
        assert_eq!(seen.object["spec"], json!({"database": {"secretRef": {"name": "app-db"}}}));
        assert_eq!(seen.object["status"], json!({"lastJobId": "7"}));
        assert!(!schedule(1, "8").is_news("CronSchedule", &seen));
        assert!(schedule(2, "7").is_news("CronSchedule", &seen));
    }

    #[test]
    fn only_what_we_applied_to_the_object_itself_is_ours() {
        let entry = |manager: &str, operation: &str, part: &str, fields: Value| -> ManagedFieldsEntry {
            serde_json::from_value(
                json!({"manager": manager, "operation": operation, "subresource": part, "fieldsV1": fields}),
            )
            .expect("an entry")
        };
        let ours = || entry(FIELD_MANAGER, "Apply", "", json!({"f:spec": {}}));
        let others =
            [entry(FIELD_MANAGER, "Apply", "status", json!({})), entry("kubectl", "Update", "", json!({"f:spec": {}}))];
        assert_eq!(fields(&[others[0].clone(), ours(), others[1].clone()]), fields(&[ours()]));
        assert_ne!(fields(&others), fields(&[ours()]));
    }
}
