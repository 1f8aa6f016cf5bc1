//! `gritstone recurring`: what the clock enqueues, and letting it run or rest by hand.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::name;
use super::output::{self, Align, Table, when, when_briefly};
use crate::process::next_run_of;
use gritstone_crds::{Duration, nearest};
use gritstone_store::{MissedRuns, TaskRun, TaskSchedule, TaskStanding, TaskView};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

/// List, run, suspend, resume and remove recurring tasks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone recurring list
  gritstone recurring run reports/daily
  gritstone recurring suspend reports/daily
  gritstone recurring remove reports/daily")]
pub(super) struct Recurring {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List recurring tasks, also those that Rails runs: when each ran last and runs next
    #[command(
        after_help = "Examples:\n  gritstone recurring list\n  gritstone recurring list --json | jq '.tasks[] | select(.suspended_by_hand)'"
    )]
    List,
    /// Show everything about a recurring task
    #[command(after_help = "Examples:\n  gritstone recurring show reports/daily")]
    Show(Key),
    /// Enqueue the job of a recurring task now, whether it is suspended or not; its schedule goes on as it was
    #[command(after_help = "Examples:\n  gritstone recurring run reports/daily")]
    Run(Key),
    /// Let recurring tasks rest until they are resumed, whatever is started or restarted meanwhile
    #[command(after_help = "Examples:\n  gritstone recurring suspend reports/daily reports/weekly")]
    Suspend(Keys),
    /// Let recurring tasks run again that were suspended by hand
    ///
    /// Runs that fell into the time between are over; they are not made up for.
    #[command(after_help = "Examples:\n  gritstone recurring resume reports/daily")]
    Resume(Keys),
    /// Remove recurring tasks whose owner is gone; the jobs that they have enqueued stay
    ///
    /// Whoever still has such a task in a file puts it again at the next start. Tasks that are Rails' own are refused.
    #[command(after_help = "Examples:\n  gritstone recurring remove reports/daily")]
    Remove(Keys),
}

#[derive(Debug, clap::Args)]
struct Key {
    /// The task's key
    #[arg(value_name = "KEY", value_parser = name)]
    key: String,
}

#[derive(Debug, clap::Args)]
struct Keys {
    /// The tasks' keys
    #[arg(required = true, value_name = "KEY", value_parser = name)]
    keys: Vec<String>,
}

impl Recurring {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List => list(global),
            Command::Show(key) => show(&key.key, global),
            Command::Run(key) => run(&key.key, global),
            Command::Suspend(keys) => switch(&keys.keys, true, global),
            Command::Resume(keys) => switch(&keys.keys, false, global),
            Command::Remove(keys) => remove(&keys.keys, global),
        }
    }
}

/// The task of this key, or what was probably meant.
async fn find(queue: &mut Queue, key: &str) -> Result<(TaskView, Timestamp), Exit> {
    let (tasks, now) = queue.session.all_tasks().await?;
    if let Some(position) = tasks.iter().position(|task| task.key == key) {
        return Ok((tasks.into_iter().nth(position).ok_or(Exit::Said)?, now));
    }
    let hint = match nearest(key, tasks.iter().map(|task| task.key.as_str())) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`gritstone recurring list` shows them".into(),
    };
    Err(Exit::Refused(format!("there is no recurring task `{key}` in {}; {hint}", queue.url)))
}

fn list(global: &Global) -> Result<(), Exit> {
    let (tasks, now) =
        with_queue(global, "listing recurring tasks", async |queue: &mut Queue| Ok(queue.session.all_tasks().await?))?;
    if global.json {
        let tasks: Vec<Value> = tasks.iter().map(|task| shape(task, now)).collect();
        return output::json(&json!({ "tasks": tasks }));
    }
    if tasks.is_empty() {
        output::note("there are no recurring tasks: `gritstone start -f` puts those of manifests");
        return Ok(());
    }
    let columns = ["TASK", "SCHEDULE", "CLASS", "LAST RUN", "NEXT RUN", ""].map(|name| (name, Align::Left));
    let mut table = Table::new(&columns);
    for task in tasks {
        let [last, next] = [task.last_run_at, next_run_of(&task, now).ok().flatten()]
            .map(|time| time.map_or_else(|| "-".into(), |time| when_briefly(time, now)));
        let (class, remark) = (what(&task), remark(&task));
        table.row(vec![task.key, schedule(&task.schedule), class, last, next, remark]);
    }
    table.print()
}

fn show(key: &str, global: &Global) -> Result<(), Exit> {
    let (task, last, now) = with_queue(global, "looking at a recurring task", async |queue: &mut Queue| {
        let (task, now) = find(queue, key).await?;
        let last: Option<TaskRun> = queue.session.last_task_runs(std::slice::from_ref(&task.key)).await?.pop();
        Ok((task, last, now))
    })?;
    if global.json {
        let mut shape = shape(&task, now);
        shape["last_job"] = json!(last);
        return output::json(&shape);
    }
    let next = match next_run_of(&task, now) {
        Ok(next) => next.map_or_else(|| "-".into(), |next| when(next, now)),
        Err(fault) => fault,
    };
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let last_job =
        last.map_or_else(|| "-".into(), |run| format!("{} ({}), for {}", run.job_id, run.state.name(), run.run_at));
    for (field, value) in [
        ("task", task.key.clone()),
        ("owner", task.owner.clone()),
        ("schedule", schedule(&task.schedule)),
        ("runs", what(&task)),
        ("arguments", task.arguments.clone().unwrap_or_else(|| "[]".into())),
        ("queue", task.queue.clone().unwrap_or_else(|| "default".into())),
        ("priority", task.priority.unwrap_or(0).to_string()),
        ("missed runs", missed_runs(task.missed_runs).0.into()),
        ("next run", next),
        ("last run", task.last_run_at.map_or_else(|| "-".into(), |last| when(last, now))),
        ("its last job", last_job),
        ("", remark(&task)),
    ] {
        if !value.is_empty() {
            table.row(vec![field.into(), value]);
        }
    }
    table.print()
}

fn run(key: &str, global: &Global) -> Result<(), Exit> {
    let enqueued = with_queue(global, "running a recurring task", async |queue: &mut Queue| {
        find(queue, key).await?;
        let enqueued = queue.session.run_task_now(key).await?;
        queue.wake(&[enqueued.queue.clone()].into()).await;
        Ok(enqueued)
    })?;
    match global.json {
        true => output::json(&json!({ "key": key, "job_id": enqueued.job_id, "id": enqueued.id })),
        false => output::line(format!("{key}: job {} {}", enqueued.job_id, enqueued.id)),
    }
}

fn switch(keys: &[String], suspend: bool, global: &Global) -> Result<(), Exit> {
    let doing = if suspend { "suspending recurring tasks" } else { "resuming recurring tasks" };
    let switched = with_queue(global, doing, async |queue: &mut Queue| {
        // All of them first: a misspelt one changes nothing.
        for key in keys {
            find(queue, key).await?;
        }
        let mut switched = Vec::with_capacity(keys.len());
        for key in keys {
            let changed = match suspend {
                true => queue.session.suspend_task(key).await?,
                false => queue.session.resume_task(key).await?,
            };
            let still = queue.session.task(key).await?.is_some_and(|task| task.suspended);
            switched.push((key, changed, still));
        }
        Ok(switched)
    })?;
    if global.json {
        let tasks: Vec<Value> = switched
            .iter()
            .map(|(key, changed, still)| {
                json!({ "key": key, "suspended_by_hand": suspend, "changed": changed, "suspended": still })
            })
            .collect();
        return output::json(&json!({ "tasks": tasks }));
    }
    for (key, changed, still) in switched {
        let state = match (suspend, changed) {
            (true, true) => "is suspended",
            (true, false) => "was suspended already",
            (false, true) => "goes on",
            (false, false) => "was not suspended by hand",
        };
        let owner = if still && !suspend { ", but its owner still suspends it (suspend: true)" } else { "" };
        output::line(format!("{key} {state}{owner}"))?;
    }
    Ok(())
}

fn remove(keys: &[String], global: &Global) -> Result<(), Exit> {
    let removed = with_queue(global, "removing recurring tasks", async |queue: &mut Queue| {
        // All of them first: one that is refused keeps the others, too.
        let mut owners = Vec::with_capacity(keys.len());
        for key in keys {
            let (task, _) = find(queue, key).await?;
            owners.push(removable(task)?);
        }
        let mut removed = Vec::with_capacity(keys.len());
        for (key, owner) in keys.iter().zip(owners) {
            let gone = queue.session.remove_task(&owner, key).await?;
            removed.push((key, owner, gone));
        }
        Ok(removed)
    })?;
    if global.json {
        let shape =
            |(key, owner, removed): &(&String, String, bool)| json!({ "key": key, "owner": owner, "removed": removed });
        return output::json(&json!({ "tasks": removed.iter().map(shape).collect::<Vec<_>>() }));
    }
    for (key, owner, gone) in &removed {
        output::line(match gone {
            true => format!("{key} of {owner} is removed"),
            false => format!("{key} was gone already"),
        })?;
        if Path::new(owner).is_absolute() && Path::new(owner).exists() {
            output::note(format!("{owner} is there: if it still has {key}, the next start with it puts it again"));
        }
    }
    Ok(())
}

/// Whose a task is, if it may be taken away from there.
fn removable(task: TaskView) -> Result<String, Exit> {
    let TaskView { key, owner, standing, command, .. } = task;
    let instead = match standing {
        TaskStanding::Ours | TaskStanding::Overwritten | TaskStanding::Deleted => return Ok(owner),
        TaskStanding::Followed => "the application made it: SolidQueue.unschedule_recurring_task there removes it",
        TaskStanding::Rails if command.is_some() => "it is Ruby out of its config/recurring.yml: remove it there",
        TaskStanding::Rails => {
            "it is in its config/recurring.yml, and removed from there, or the application made it, and \
             SolidQueue.unschedule_recurring_task removes it"
        }
    };
    Err(Exit::Refused(format!("the recurring task {key} belongs to Rails: {instead}")))
}

fn schedule(schedule: &TaskSchedule) -> String {
    let text = |duration: std::time::Duration| {
        Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX)).to_string()
    };
    match schedule {
        TaskSchedule::Cron(cron) => cron.clone(),
        TaskSchedule::Every { every, offset } if offset.is_zero() => format!("every {}", text(*every)),
        TaskSchedule::Every { every, offset } => format!("every {}, offset {}", text(*every), text(*offset)),
    }
}

/// A class, or a line of Ruby.
fn what(task: &TaskView) -> String {
    task.class.clone().or_else(|| task.command.clone()).unwrap_or_default()
}

fn remark(task: &TaskView) -> String {
    match task.standing {
        TaskStanding::Rails => "Rails runs it".into(),
        TaskStanding::Overwritten => "Rails has put one of its own under this key".into(),
        TaskStanding::Deleted => "its row was deleted: its owner has to put it again".into(),
        TaskStanding::Ours | TaskStanding::Followed if task.suspended_by_hand => "suspended by hand".into(),
        TaskStanding::Ours | TaskStanding::Followed if task.suspended => "suspended".into(),
        TaskStanding::Ours | TaskStanding::Followed => String::new(),
    }
}

fn missed_runs(missed_runs: MissedRuns) -> (&'static str, Option<u32>) {
    match missed_runs {
        MissedRuns::Skip => ("skip", None),
        MissedRuns::Latest => ("latest", None),
        MissedRuns::All(limit) => ("all", Some(limit)),
    }
}

fn shape(task: &TaskView, now: Timestamp) -> Value {
    let (cron, every, offset) = match &task.schedule {
        TaskSchedule::Cron(cron) => (Some(cron), None, None),
        TaskSchedule::Every { every, offset } => (None, Some(every.as_secs_f64()), Some(offset.as_secs_f64())),
    };
    let arguments: Option<Value> = task.arguments.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let (policy, limit) = missed_runs(task.missed_runs);
    json!({
        "key": task.key, "owner": task.owner, "standing": task.standing, "cron": cron, "every_seconds": every,
        "offset_seconds": offset, "class": task.class, "command": task.command, "arguments": arguments.unwrap_or_else(|| json!([])),
        "queue": task.queue, "priority": task.priority, "description": task.description, "missed_runs": policy,
        "missed_limit": limit, "suspended": task.suspended, "suspended_by_hand": task.suspended_by_hand,
        "next_run_at": next_run_of(task, now).ok().flatten(), "last_run_at": task.last_run_at,
    })
}
