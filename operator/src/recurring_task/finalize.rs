//! What is left to do when a RecurringTask goes: its row goes first.

use std::time::Duration;

use gritstone_crds::kinds::{CronSchedule, RecurringTask};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::clear::{clear, where_it_is};
use super::status::leaving;
use crate::context::Context;
use crate::control::{Again, Error, Ours, report};
use crate::database::User;

/// Keeps a task until its row is gone.
const FINALIZER: &str = "gritstone.dev/schedule";
/// How long a row is tried to be removed from a database that isn't there.
pub(super) const LET_GO_AFTER: Duration = Duration::from_secs(60);
/// How often it is tried.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// Makes sure that the task stays until its row is gone.
pub(super) async fn hold(task: &RecurringTask, context: &Context) -> Result<(), Error> {
    if task.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(());
    }
    let mut finalizers = task.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    write(task, &finalizers, context).await
}

/// Removes the row, then the CronSchedule, then lets the task go. One whose database can't be reached is let go after a minute, and an
/// Event says what may be left.
pub(super) async fn finalize(task: &RecurringTask, context: &Context) -> Result<Again, Error> {
    let (user, object) = (User::of(task), ObjectRef::from_obj(task));
    if task.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        // The CronSchedule may have gone first, as when the whole namespace goes.
        let named = || task.spec.database.as_ref().map(|database| database.secret_ref.clone());
        if let Some(database) = where_it_is(task, context).or_else(named)
            && let Err(why) = clear(task, &database, context).await
        {
            let left = left_to_wait(task, Timestamp::now());
            if !left.is_zero() {
                report(task, &leaving(task, &why, Timestamp::now()), context).await?;
                return Ok(Again::After(AGAIN.min(left)));
            }
            say_left(task, &database.name, &why, context).await;
        }
        delete_schedule(task, context).await?;
        let finalizers: Vec<_> = task.finalizers().iter().filter(|other| *other != FINALIZER).cloned().collect();
        write(task, &finalizers, context).await?;
    }
    context.schedules.forget(&object);
    context.forget(&user);
    Ok(Again::Never)
}

/// How long a task that was told to go still waits for its database.
fn left_to_wait(task: &RecurringTask, now: Timestamp) -> Duration {
    let Some(since) = &task.metadata.deletion_timestamp else { return LET_GO_AFTER };
    let waited = Duration::try_from(now.duration_since(since.0)).unwrap_or_default();
    LET_GO_AFTER.saturating_sub(waited)
}

/// Says that a row may be left, and what to do about it.
pub(super) async fn say_left(task: &RecurringTask, secret: &str, why: &str, context: &Context) {
    let key = task.status.as_ref().and_then(|status| status.key.clone()).unwrap_or_default();
    let note = format!(
        "the row of the task {key} may be left in the database of the Secret {secret}, which could not be used for {} s ({why}): \
         if that database still exists, remove it with `gritstone recurring remove {key}`",
        LET_GO_AFTER.as_secs()
    );
    tracing::warn!(object = task.place(), "{note}");
    let event = Event {
        type_: EventType::Warning,
        reason: "RowLeft".to_owned(),
        note: Some(note),
        action: "Finalize".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.events.publish(&event, &task.object_ref(&())).await {
        tracing::warn!(%error, reason = "RowLeft", "an Event could not be written");
    }
}

/// Not left to Kubernetes' collector, which may be told to leave what it owns.
async fn delete_schedule(task: &RecurringTask, context: &Context) -> Result<(), Error> {
    let schedules: Api<CronSchedule> = Api::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    match schedules.delete(&task.name_any(), &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Apply { object: task.place(), kind: CronSchedule::kind(&()).into_owned(), source }),
    }
}

/// Writes the finalizers, unless somebody has changed the task meanwhile: then it is looked at again.
async fn write(task: &RecurringTask, finalizers: &[String], context: &Context) -> Result<(), Error> {
    let tasks: Api<RecurringTask> = Api::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": task.metadata.resource_version}});
    match tasks.patch(&task.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(written) => {
            context.written.note(&task.place(), written.metadata.resource_version.as_deref());
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Hold { object: task.place(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_waits_for_its_database_a_minute_from_when_it_was_told_to_go() {
        let task = json!({
            "apiVersion": gritstone_crds::API_VERSION, "kind": "RecurringTask",
            "metadata": {"name": "daily", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"schedule": "0 9 * * *", "job": {"class": "A"}},
        });
        let task: RecurringTask = serde_json::from_value(task).expect("a task");
        let left = |at: &str| left_to_wait(&task, at.parse().expect("a time"));
        assert_eq!(left("2026-01-01T00:00:10Z"), Duration::from_secs(50));
        assert_eq!(left("2026-01-01T00:05:00Z"), Duration::ZERO);
        assert_eq!(left("2025-12-31T23:59:59Z"), LET_GO_AFTER, "clocks differ");
    }
}
