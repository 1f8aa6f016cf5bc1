//! What our objects say of themselves, and what is said of those that we made.

use gritstone_crds::kinds::{Condition, ConditionStatus, CronSchedule, Dispatcher, QueueWorker, RecurringTask};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use serde_json::Value;

/// Whose the number of pods of a Deployment is: the field managers that own it.
pub fn managers(deployment: &Deployment) -> Vec<String> {
    let owns = |fields: &Value| fields.pointer("/f:spec/f:replicas").is_some();
    let entries = deployment.managed_fields().iter();
    let owners = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
    owners.filter_map(|entry| entry.manager.clone()).collect()
}

/// An object of ours, whose status has conditions.
pub trait Conditions {
    fn conditions(&self) -> &[Condition];
}

macro_rules! conditions {
    ($($kind:ty),*) => {$(
        impl Conditions for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
        }
    )*};
}

conditions!(QueueWorker, Dispatcher, RecurringTask, CronSchedule);

/// What an object's status says of this.
pub fn condition<'a>(object: &'a impl Conditions, kind: &str) -> Option<&'a Condition> {
    object.conditions().iter().find(|condition| condition.r#type == kind)
}

/// Whether its status says this, for this reason.
pub fn says(object: &impl Conditions, kind: &str, status: ConditionStatus, reason: &str) -> bool {
    condition(object, kind).is_some_and(|found| (found.status, found.reason.as_str()) == (status, reason))
}
