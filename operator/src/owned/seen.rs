//! What is kept of an object.

use std::hash::{DefaultHasher, Hash, Hasher};

use gritstone_crds::kinds::{CronScheduleStatus, SecretKeyRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

use super::{Kind, Owner};
use crate::FIELD_MANAGER;
use crate::engine::Live;
use crate::stale::number;

/// An object, without most of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Its version.
    pub(super) version: u64,
    /// Which fields are ours, as a hash.
    pub(super) fields: u64,
    /// Who owns it.
    pub(super) owner: Option<Owner>,
    /// What others ask of it.
    pub(super) part: Part,
}

/// What is asked of an object, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Deployment(Live),
    /// Nothing but that it is there.
    PodDisruptionBudget,
    CronSchedule(Box<Schedule>),
}

/// What is asked of a CronSchedule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    uid: Option<String>,
    pub(crate) generation: Option<i64>,
    /// The Secret with the database that its row is in.
    pub(crate) database: Option<SecretKeyRef>,
    /// What the operator said of it last.
    pub(crate) status: CronScheduleStatus,
}

impl Part {
    /// The Deployment that it is of, if it is.
    pub(crate) fn live(self) -> Option<Live> {
        match self {
            Self::Deployment(live) => Some(live),
            _ => None,
        }
    }
}

impl Seen {
    pub(super) fn of(kind: Kind, object: &DynamicObject) -> Self {
        let (metadata, namespace) = (&object.metadata, object.namespace().unwrap_or_default());
        let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        Self {
            version: number(metadata.resource_version.as_deref()).unwrap_or_default(),
            fields: fields(metadata.managed_fields.as_deref().unwrap_or_default()),
            owner: owner.map(|owner| Owner { kind: owner.kind.clone(), namespace, name: owner.name.clone() }),
            part: match kind {
                Kind::Deployment => Part::Deployment(Live::of(object)),
                Kind::PodDisruptionBudget => Part::PodDisruptionBudget,
                Kind::CronSchedule => Part::CronSchedule(Box::new(Schedule::of(object))),
            },
        }
    }

    /// Whether its owner has to know that it is so now and not as it was `before`. The status of a CronSchedule is the owner's own word.
    pub(super) fn is_news(&self, before: &Self) -> bool {
        match (&self.part, &before.part) {
            (Part::CronSchedule(now), Part::CronSchedule(then)) => {
                (self.fields, &now.uid, now.generation) != (before.fields, &then.uid, then.generation)
            }
            _ => true,
        }
    }
}

impl Schedule {
    fn of(object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        Self {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            database: SecretKeyRef::deserialize(&object.data["spec"]["database"]["secretRef"]).ok(),
            status: object.data.get("status").and_then(read).unwrap_or_default(),
        }
    }
}

fn read(status: &Value) -> Option<CronScheduleStatus> {
    CronScheduleStatus::deserialize(status).ok()
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
    use serde_json::json;

    #[test]
    fn of_a_deployment_is_kept_what_is_asked_for() {
        let object = json!({
            "metadata": {
                "name": "mail-worker", "namespace": "shop", "generation": 3, "resourceVersion": "17",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "1"},
                    {"apiVersion": "gritstone.dev/v1alpha1", "kind": "QueueWorker", "name": "mail", "uid": "2", "controller": true},
                ],
                "managedFields": [
                    {"manager": "gritstone-scaler", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ],
            },
            "spec": {
                "replicas": 2,
                "template": {"metadata": {"annotations": {"gritstone.dev/database-digest": "a1b2"}}, "spec": {}},
            },
            "status": {"observedGeneration": 3, "readyReplicas": 1, "conditions": [{"type": "Available"}]},
        });
        let mut object = serde_json::from_value(object).expect("an object");
        let seen = Seen::of(Kind::Deployment, &object);
        assert_eq!((seen.version, seen.owner.expect("an owner").name.as_str()), (17, "mail"));
        let Part::Deployment(live) = seen.part else { panic!("a Deployment") };
        assert_eq!((live.rollout.wanted, live.rollout.ready, live.is_scaled), (2, 1, true));
        assert_eq!(live.digest.as_deref(), Some("a1b2"));

        object.metadata.managed_fields = None;
        let Part::Deployment(live) = Seen::of(Kind::Deployment, &object).part else { panic!("a Deployment") };
        assert!(!live.is_scaled);
    }

    #[test]
    fn of_a_schedule_its_database_and_its_status_are_kept_and_only_the_status_is_no_news() {
        let schedule = |generation: i64, last: &str| {
            let object = json!({
                "metadata": {"name": "daily", "generation": generation, "resourceVersion": "1"},
                "spec": {"database": {"secretRef": {"name": "app-db"}}, "cron": "* * * * *"},
                "status": {"lastJobId": last},
            });
            Seen::of(Kind::CronSchedule, &serde_json::from_value(object).expect("an object"))
        };
        let seen = schedule(1, "7");
        let Part::CronSchedule(kept) = &seen.part else { panic!("a CronSchedule") };
        assert_eq!(kept.database.as_ref().expect("a Secret").name, "app-db");
        assert_eq!(kept.status.last_job_id.as_deref(), Some("7"));
        assert!(!schedule(1, "8").is_news(&seen));
        assert!(schedule(2, "7").is_news(&seen));
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
