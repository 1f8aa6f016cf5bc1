//! What a RecurringTask's status says, and that of its CronSchedule.

use gritstone_crds::kinds::{
    Condition, ConditionStatus, CronScheduleSpec, CronScheduleStatus, RecurringTask, RecurringTaskStatus,
};
use jiff::Timestamp;

use super::finalize::LET_GO_AFTER;
use crate::conditions::Saying;
use crate::cron_schedule::{self, Row, missed_run};
use crate::database::{self, Standing};

/// How a reconciliation went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// What is asked for makes no sense; nothing was changed.
    Invalid(String),
    /// The API server takes no CronSchedule like this.
    Refused(String),
    /// The row has still to be taken out of the database in which it was before; why it wasn't.
    Moving(String),
    /// The CronSchedule is as it should be.
    Applied {
        /// What it says.
        spec: Box<CronScheduleSpec>,
        /// How its database stands.
        standing: Standing,
        /// What came of putting its row.
        put: Put,
    },
}

/// What came of putting a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Put {
    /// It is there.
    There {
        /// The row.
        row: Box<Row>,
        /// The database's time.
        now: Timestamp,
    },
    /// Somebody else has its key; in words.
    Taken(String),
    /// The database takes no row like this; in its words.
    Refused(String),
    /// The database can't be used now; in words.
    Away(String),
    /// Nobody has looked at the database yet.
    Unknown,
}

/// The status of a task, which was `before`.
pub(super) fn status(
    outcome: &Outcome,
    before: &RecurringTaskStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> RecurringTaskStatus {
    let sayings = [ready(outcome, before, generation), moved(outcome), on_time(outcome, before)];
    let said = sayings.into_iter().flatten().map(|saying| saying.since(&before.conditions, generation, now));
    // An operator that starts knows no better yet.
    let unknown = matches!(outcome, Outcome::Applied { put: Put::Unknown, .. });
    let kept = before.conditions.iter().filter(|condition| unknown && condition.r#type == "Ready").cloned();
    let reachable = match outcome {
        Outcome::Applied { standing, .. } => database::condition(standing, &before.conditions, generation, now),
        _ => None,
    };
    let conditions = kept.chain(said).chain(reachable).collect();
    // What runs goes on as it was while something is in the way of a change.
    let mut status = RecurringTaskStatus { observed_generation: generation, conditions, ..before.clone() };
    if let Outcome::Applied { spec, put: Put::There { row, now }, .. } = outcome {
        let schedule = of_schedule(spec, row, *now, before);
        status.key = Some(spec.key.clone());
        status.next_run_time = schedule.next_run_time;
        status.last_run_time = schedule.last_run_time;
        status.last_run_outcome = schedule.last_run_outcome;
    }
    status
}

/// The status of a task's CronSchedule, which was `before`.
pub(super) fn schedule_status(
    outcome: &Outcome,
    task: &RecurringTaskStatus,
    before: &CronScheduleStatus,
    generation: Option<i64>,
) -> CronScheduleStatus {
    let ready = task.conditions.iter().find(|condition| condition.r#type == "Ready").cloned();
    let conditions: Vec<Condition> =
        ready.map(|ready| Condition { observed_generation: generation, ..ready }).into_iter().collect();
    match outcome {
        Outcome::Applied { spec, put: Put::There { row, now }, .. } => {
            cron_schedule::status(spec, row, *now, before, generation, conditions)
        }
        _ => CronScheduleStatus { observed_generation: generation, conditions, ..before.clone() },
    }
}

/// The status of a task that is to go and can't yet.
pub(super) fn leaving(task: &RecurringTask, why: &str, now: Timestamp) -> RecurringTaskStatus {
    let before = task.status.clone().unwrap_or_default();
    let message = format!(
        "its row can't be removed ({why}); it goes without that {} s after it was told to",
        LET_GO_AFTER.as_secs()
    );
    let ready = Saying::new("Ready", false, "Deleting", message);
    let ready = ready.since(&before.conditions, task.metadata.generation, now);
    let mut conditions = before.conditions.clone();
    conditions.retain(|condition| condition.r#type != "Ready");
    conditions.insert(0, ready);
    RecurringTaskStatus { conditions, ..before }
}

/// The same as the CronSchedule's: what the task knows of the last run is of the same moment.
fn of_schedule(spec: &CronScheduleSpec, row: &Row, now: Timestamp, before: &RecurringTaskStatus) -> CronScheduleStatus {
    let before = CronScheduleStatus {
        last_run_time: before.last_run_time,
        last_run_outcome: before.last_run_outcome,
        ..CronScheduleStatus::default()
    };
    cron_schedule::status(spec, row, now, &before, None, Vec::new())
}

fn ready(outcome: &Outcome, before: &RecurringTaskStatus, generation: Option<i64>) -> Option<Saying> {
    let not = |reason, message: String| Some(Saying::new("Ready", false, reason, message));
    let (spec, put) = match outcome {
        Outcome::Invalid(problems) => return not("InvalidSpec", problems.clone()),
        Outcome::Refused(said) => return not("Refused", said.clone()),
        Outcome::Moving(_) => return not("Moving", "its row has still to leave the database of before".to_owned()),
        Outcome::Applied { spec, put, .. } => (spec, put),
    };
    match put {
        Put::There { row, .. } if row.view.suspended => resting("Suspended", "it rests, as spec.suspend says"),
        Put::There { row, .. } if row.view.suspended_by_hand => {
            let key = &spec.key;
            resting("SuspendedByHand", &format!("it rests until `gritstone recurring resume {key}`"))
        }
        Put::There { .. } => Some(Saying::new("Ready", true, "Scheduled", format!("it runs {}", when(spec)))),
        Put::Taken(words) => not("KeyTaken", words.clone()),
        Put::Refused(words) => not("RowRefused", format!("the database takes no such task: {words}")),
        Put::Away(words) => still(before, generation)
            .or_else(|| not("DatabaseNotReachable", format!("it can't be put into its database: {words}"))),
        Put::Unknown => None,
    }
}

fn resting(reason: &'static str, message: &str) -> Option<Saying> {
    Some(Saying::new("Ready", true, reason, message))
}

fn when(spec: &CronScheduleSpec) -> String {
    match (&spec.interval, spec.zoned_cron()) {
        (Some(interval), _) => format!("every {}, offset {}", interval.every, interval.offset),
        (None, cron) => format!("at {}", cron.unwrap_or_default()),
    }
}

/// A row that was put stays put while the database is away: `DatabaseReachable` tells of that.
fn still(before: &RecurringTaskStatus, generation: Option<i64>) -> Option<Saying> {
    const KEPT: [&str; 3] = ["Scheduled", "Suspended", "SuspendedByHand"];
    let ready = before.conditions.iter().find(|condition| condition.r#type == "Ready")?;
    let reason = KEPT.into_iter().find(|reason| *reason == ready.reason)?;
    let is_so = ready.status == ConditionStatus::True && ready.observed_generation == generation;
    is_so.then(|| Saying::new("Ready", true, reason, ready.message.clone()))
}

/// Said only while the row has to leave a database.
fn moved(outcome: &Outcome) -> Option<Saying> {
    let Outcome::Moving(why) = outcome else { return None };
    let message = format!("its row can't be removed from the database of before: {why}");
    Some(Saying::new("Moved", false, "OldDatabaseAway", message))
}

/// Said once a run was missed.
fn on_time(outcome: &Outcome, before: &RecurringTaskStatus) -> Option<Saying> {
    let was_said = before.conditions.iter().find(|condition| condition.r#type == "OnTime");
    let Outcome::Applied { spec, put: Put::There { row, now }, .. } = outcome else {
        let status = was_said?.status == ConditionStatus::True;
        let reason = if status { "OnTime" } else { "RunMissed" };
        return Some(Saying::new("OnTime", status, reason, was_said?.message.clone()));
    };
    match missed_run(spec, row, *now) {
        Some(run) => {
            let message = format!(
                "no scheduler came to the run of {run}: see that a Dispatcher with this database runs, and that its \
                 scheduler is enabled"
            );
            Some(Saying::new("OnTime", false, "RunMissed", message))
        }
        None => was_said.map(|_| Saying::new("OnTime", true, "OnTime", "runs are made in time")),
    }
}
