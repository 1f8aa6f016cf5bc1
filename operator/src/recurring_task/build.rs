//! The CronSchedule of a RecurringTask.

use gritstone_crds::kinds::{CronSchedule, CronScheduleSpec, RecurringTask};
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::apply::Wanted;
use crate::owned::Kind;
use crate::{FIELD_MANAGER, MANAGED_BY};

/// The object, of the same name and the task's own.
pub(super) fn build(task: &RecurringTask, spec: &CronScheduleSpec) -> Wanted {
    let name = task.name_any();
    Wanted {
        kind: Kind::CronSchedule,
        object: json!({
            "apiVersion": CronSchedule::api_version(&()),
            "kind": CronSchedule::kind(&()),
            "metadata": {
                "name": name,
                "labels": {
                    "app.kubernetes.io/name": "gritstone-schedule",
                    "app.kubernetes.io/instance": name,
                    MANAGED_BY: FIELD_MANAGER,
                },
                "ownerReferences": task.controller_owner_ref(&()).map(|owner| vec![owner]),
            },
            "spec": spec,
        }),
        name,
    }
}
