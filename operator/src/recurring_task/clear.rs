//! Taking a row out of a database.

use gritstone_crds::kinds::{RecurringTask, SecretKeyRef};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;
use crate::cron_schedule::Owner;
use crate::database::User;
use crate::owned::{Key, Kind, Part, Schedule};

/// Whose the row of a task is.
pub(super) fn owner(task: &RecurringTask, context: &Context) -> Owner {
    let cluster = context.settings.cluster_id.clone();
    Owner { cluster, namespace: task.namespace().unwrap_or_default(), name: task.name_any() }
}

/// What the task's CronSchedule is called among all objects.
fn schedule_key(task: &RecurringTask) -> Key {
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    Key { kind: Kind::CronSchedule, namespace, name }
}

/// The Secret with the database in which the row of the task is, if it ever was in one, as its CronSchedule says.
pub(super) fn where_it_is(task: &RecurringTask, context: &Context) -> Option<SecretKeyRef> {
    schedule(task, context)?.database
}

/// The task's CronSchedule as it is, if there is one.
pub(super) fn schedule(task: &RecurringTask, context: &Context) -> Option<Schedule> {
    match context.owned.find(&schedule_key(task))? {
        Part::CronSchedule(schedule) => Some(*schedule),
        _ => None,
    }
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
