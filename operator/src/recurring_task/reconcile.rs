//! The steps, one after another.

use std::sync::Arc;
use std::time::Duration;

use gritstone_crds::kinds::{CronSchedule, CronScheduleSpec, RecurringTask, RecurringTaskStatus};
use gritstone_store::Error as StoreError;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use super::build::build;
use super::clear::{clear, owner, schedule, where_it_is};
use super::finalize::{AGAIN, LET_GO_AFTER, finalize, hold, say_left};
use super::status::{Outcome, Put, schedule_status, status};
use super::validate::validate;
use crate::context::Context;
use crate::control::{Again, Error, LOOK, Made, Ours, drive, make, report, write_status};
use crate::cron_schedule::{Stand, new_task, next_look};
use crate::database::{DatabaseFault, User};

/// Looks after every RecurringTask until `stop` is cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    drive(reconcile, context, stop).await;
}

async fn reconcile(task: Arc<RecurringTask>, context: Arc<Context>) -> Result<Again, Error> {
    if task.metadata.deletion_timestamp.is_some() {
        return finalize(&task, &context).await;
    }
    let outcome = match validate(&task.spec, &owner(&task, &context)) {
        Err(problems) => Outcome::Invalid(problems),
        Ok(spec) => outcome(&task, spec, &context).await?,
    };
    let before = task.status.clone().unwrap_or_default();
    let status = status(&outcome, &before, task.metadata.generation, Timestamp::now());
    report_schedule(&task, &outcome, &status, &context).await?;
    report(&*task, &status, &context).await?;
    Ok(match &outcome {
        Outcome::Refused(_) => Again::After(context.backoff.failed(&task.place())),
        // Of a database that is known to be away its keeper tells.
        Outcome::Applied { put: Put::Away(_), standing, .. } if standing.reachable.is_ok() => {
            Again::After(context.backoff.failed(&task.place()))
        }
        _ => {
            context.backoff.succeeded(&task.place());
            Again::After(pause(&outcome, &status))
        }
    })
}

/// Until something may have changed though nobody said so.
fn pause(outcome: &Outcome, status: &RecurringTaskStatus) -> Duration {
    match outcome {
        Outcome::Moving(_) => AGAIN,
        Outcome::Applied { put: Put::There { now, .. }, .. } => {
            next_look(status.next_run_time, *now).map_or(LOOK, |look| look.min(LOOK))
        }
        _ => LOOK,
    }
}

/// Makes the CronSchedule of a task that makes sense, and puts its row.
async fn outcome(task: &RecurringTask, spec: CronScheduleSpec, context: &Arc<Context>) -> Result<Outcome, Error> {
    hold(task, context).await?;
    let Some(reference) = spec.database.as_ref().map(|database| &database.secret_ref) else {
        return Ok(Outcome::Invalid("spec.database: is missing".to_owned()));
    };
    if let Some(old) = where_it_is(task, context).filter(|old| old != reference)
        && let Err(why) = clear(task, &old, context).await
    {
        if has_moved_for(task, Timestamp::now()) < LET_GO_AFTER {
            return Ok(Outcome::Moving(why));
        }
        say_left(task, &old.name, &why, context).await;
        context.schedules.forget(&ObjectRef::from_obj(task));
    }
    if let Made::Refused(said) = make(task, &[&build(task, &spec)], context).await? {
        return Ok(Outcome::Refused(said));
    }
    let user = User::of(task);
    let looked = context.databases.look(&user, reference, false).await;
    let standing = looked.map_err(|source| Error::Observe { object: task.place(), source })?;
    let put = put(task, &spec, context).await;
    Ok(Outcome::Applied { spec: Box::new(spec), standing, put })
}

/// Puts the row, and remembers how it stands.
async fn put(task: &RecurringTask, spec: &CronScheduleSpec, context: &Arc<Context>) -> Put {
    let store = match context.databases.store(&User::of(task)) {
        Ok(store) => store,
        Err(DatabaseFault::Connecting) => return Put::Unknown,
        Err(fault) => return Put::Away(fault.to_string()),
    };
    let (line, owner) = (context.schedules.line(&store), owner(task, context));
    let (put, stand) = match line.put(&owner, &new_task(spec)).await {
        Ok(Ok((row, now))) => {
            let row = Box::new(row);
            (Put::There { row: row.clone(), now }, Stand::There(row))
        }
        Ok(Err(taken)) => (Put::Taken(owner.words(&taken)), Stand::Waits),
        Err(error @ (StoreError::Refused(_) | StoreError::Data(_))) => return Put::Refused(line.words(&error)),
        Err(error) => return Put::Away(line.words(&error)),
    };
    context.schedules.note(ObjectRef::from_obj(task), line, &spec.key, stand);
    put
}

/// Since when it has been tried to take the row out of the database of before.
fn has_moved_for(task: &RecurringTask, now: Timestamp) -> Duration {
    let conditions = task.status.iter().flat_map(|status| &status.conditions);
    let moving = conditions.into_iter().find(|condition| condition.r#type == "Moved");
    let since = moving.map(|moving| now.duration_since(moving.last_transition_time));
    since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
}

/// Writes the status of the CronSchedule if it is another than before.
async fn report_schedule(
    task: &RecurringTask,
    outcome: &Outcome,
    status: &RecurringTaskStatus,
    context: &Context,
) -> Result<(), Error> {
    if !matches!(outcome, Outcome::Applied { .. }) {
        return Ok(());
    }
    let Some(schedule) = schedule(task, context) else { return Ok(()) };
    let status = schedule_status(outcome, status, &schedule.status, schedule.generation);
    if status == schedule.status {
        return Ok(());
    }
    let namespace = task.namespace().unwrap_or_default();
    write_status::<CronSchedule>(&namespace, &task.name_any(), &status, context).await.map(drop)
}
