//! Taking a row out of a database.

use gritstone_crds::kinds::{CronSchedule, RecurringTask, SecretKeyRef};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use crate::context::Context;
use crate::cron_schedule::Owner;
use crate::database::User;
use crate::owned::Key;

/// Whose the row of a task is.
pub(super) fn owner(task: &RecurringTask, context: &Context) -> Owner {
    let cluster = context.settings.cluster_id.clone();
    Owner { cluster, namespace: task.namespace().unwrap_or_default(), name: task.name_any() }
}

/// What the task's CronSchedule is called among all objects.
pub(super) fn schedule_key(task: &RecurringTask) -> Key {
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    Key { kind: CronSchedule::kind(&()).into_owned(), namespace, name }
}

/// The Secret with the database in which the row of the task is, if it ever was in one, as its CronSchedule says.
pub(super) fn where_it_is(task: &RecurringTask, context: &Context) -> Option<SecretKeyRef> {
    let schedule = context.owned.find(&schedule_key(task))?;
    serde_json::from_value(schedule["spec"]["database"]["secretRef"].clone()).ok()
}

/// Removes the row of a task from a database.
///
/// # Errors
/// Why that can't be done now, in words.
pub(super) async fn clear(task: &RecurringTask, database: &SecretKeyRef, context: &Context) -> Result<(), String> {
    let user = User::of(task);
    let looked = context.databases.look(&user, database, false).await;
    let store = match looked {
        Ok(_) => context.databases.store(&user).map_err(|fault| fault.to_string()),
        Err(error) => Err(format!("the Secret {} can't be read: {error}", database.name)),
    };
    let line = match store {
        Ok(store) => context.schedules.line(&store),
        // Its Secret may be gone before it, as when the whole namespace goes.
        Err(words) => context.schedules.line_of(&ObjectRef::from_obj(task)).ok_or(words)?,
    };
    line.remove(&owner(task, context)).await.map_err(|error| line.words(&error))
}
