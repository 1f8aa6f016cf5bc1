//! `CronSchedule`: what the operator makes of a `RecurringTask` and puts into its database. Nobody else writes it.

use serde::{Deserialize, Serialize};

#[cfg(feature = "kube")]
use super::CronScheduleStatus;
use super::recurring_task::{check_description, check_time_zone, utc};
use super::schedule::check_text;
use super::{Database, Interval, JobTemplate, MissedRuns, RecurringTaskSpec, Schedule, TaskRun};
use crate::check::{Violation, Violations};
use crate::path::Path;
use crate::schedule::{ScheduleError, Timetable};
use crate::text::QueueName;

/// A compiled schedule: exactly one of `cron` and `interval`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, schemars::JsonSchema),
    kube(
        group = "gritstone.dev",
        version = "v1alpha1",
        kind = "CronSchedule",
        plural = "cronschedules",
        shortname = "cs",
        category = "gritstone",
        namespaced,
        derive = "PartialEq",
        doc = "The compiled form of a RecurringTask. Written by the operator alone.",
        status = "CronScheduleStatus",
        printcolumn(name = "Cron", type_ = "string", json_path = ".spec.cron"),
        printcolumn(name = "Every", type_ = "string", json_path = ".spec.interval.every"),
        printcolumn(name = "Time zone", type_ = "string", json_path = ".spec.timeZone"),
        printcolumn(name = "Next run", type_ = "string", json_path = ".status.nextRunTime"),
        printcolumn(name = "Last run", type_ = "date", json_path = ".status.lastRunTime"),
        printcolumn(name = "Outcome", type_ = "string", json_path = ".status.lastRunOutcome"),
        printcolumn(name = "Key", type_ = "string", json_path = ".spec.key", priority = 1),
        printcolumn(name = "Job", type_ = "string", json_path = ".status.lastJobId", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    ),
    schemars(transform = crate::schema::cron_schedule)
)]
#[serde(rename_all = "camelCase")]
pub struct CronScheduleSpec {
    /// The database that it is put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// The task's name in the database. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::name()))]
    pub key: String,
    /// When, as cron, seconds possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 255)))]
    pub cron: Option<String>,
    /// When, as every so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// In which time zone the cron is meant, by its IANA name. Default `UTC`.
    #[serde(default = "utc")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 64)))]
    pub time_zone: String,
    /// What to enqueue; a command has become a job of class `Command`. Required.
    pub job: JobTemplate,
    /// For people: what it is for, at most 1000 characters. Default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(length(max = 1000)))]
    pub description: Option<String>,
    /// What to do about runs that fell into a time when no scheduler was running.
    #[serde(default)]
    pub missed_runs: MissedRuns,
    /// Whether it rests; runs that fall into such a time are not missed runs. Default false.
    #[serde(default)]
    pub suspend: bool,
}

/// The class of jobs that are a text for the shell, and their queue.
const COMMAND: (&str, &str) = ("Command", "gritstone_commands");

impl CronScheduleSpec {
    /// What a task whose key is this one comes to: its schedule as cron, or as an interval, in the time zone in which it is meant, and its
    /// command as a job.
    ///
    /// # Errors
    /// When its schedule can't be read, which `validate` of the task says too, with the place.
    pub fn of(task: &RecurringTaskSpec, key: String) -> Result<Self, ScheduleError> {
        let timetable = Timetable::of(&task.schedule, &task.time_zone)?;
        let zone = timetable.time_zone().to_owned();
        let (cron, interval) = match &task.schedule {
            Schedule::Interval(interval) => (None, Some(*interval)),
            Schedule::Text(text) => {
                let cron = timetable.cron().unwrap_or(text);
                (Some(cron.strip_suffix(&format!(" {zone}")).unwrap_or(cron).to_owned()), None)
            }
        };
        Ok(Self {
            database: task.database.clone(),
            key,
            cron,
            interval,
            time_zone: zone,
            job: job(task),
            description: task.description.clone(),
            missed_runs: task.missed_runs,
            suspend: task.suspend,
        })
    }

    /// The cron with its time zone at the end, as the database has it: `0 9 * * 1-5 Asia/Seoul`. None for an interval.
    pub fn zoned_cron(&self) -> Option<String> {
        self.cron.as_ref().map(|cron| format!("{cron} {}", self.time_zone))
    }

    /// Everything that makes no sense in it.
    pub fn validate(&self) -> Vec<Violation> {
        let mut found = Violations::default();
        let at = Path::root().field("spec");
        if let Some(database) = &self.database {
            database.check(&at.field("database"), &mut found);
        }
        found.name(at.field("key"), "the key", &self.key);
        match (&self.cron, &self.interval) {
            (None, None) => found.add(at.field("cron"), "is missing: give a cron or an interval"),
            (Some(_), Some(_)) => found.add(at.field("interval"), "stands beside cron: keep one of them"),
            (Some(cron), None) => check_text(cron, at.field("cron"), &mut found),
            (None, Some(interval)) => interval.check(&at.field("interval"), &mut found),
        }
        check_time_zone(&self.time_zone, at.field("timeZone"), &mut found);
        self.job.check(&at.field("job"), &mut found);
        if let Some(description) = &self.description {
            check_description(description, at.field("description"), &mut found);
        }
        self.missed_runs.check(&at.field("missedRuns"), &mut found);
        found.into_vec()
    }
}

/// What a task enqueues. One that says nothing, or two things, which `validate` refuses, comes to a job without a class.
fn job(task: &RecurringTaskSpec) -> JobTemplate {
    let (class, queue) = COMMAND;
    match task.run() {
        Some(TaskRun::Job(job)) => job.clone(),
        Some(TaskRun::Command(line)) => JobTemplate {
            class: class.to_owned(),
            args: vec![line.into()],
            queue: queue.parse::<QueueName>().ok(),
            priority: None,
        },
        None => JobTemplate { class: String::new(), args: Vec::new(), queue: None, priority: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn compiled(task: Value) -> Value {
        let task: RecurringTaskSpec = serde_json::from_value(task).expect("a task");
        let compiled = CronScheduleSpec::of(&task, "shop/daily".to_owned()).expect("a schedule");
        assert_eq!(compiled.validate(), []);
        json!(compiled)
    }

    #[test]
    fn words_become_cron_in_the_zone_in_which_they_are_meant() {
        for (schedule, zone, cron, meant) in [
            ("every weekday at 9am", "Asia/Seoul", "0 9 * * 1,2,3,4,5", "Asia/Seoul"),
            ("every day at 5pm in Europe/Berlin", "Asia/Seoul", "0 17 * * *", "Europe/Berlin"),
            ("*/30 * * * * America/New_York", "UTC", "0,30 * * * *", "America/New_York"),
            ("30 2 1 * *", "UTC", "30 2 1 * *", "UTC"),
        ] {
            let found = compiled(json!({"schedule": schedule, "timeZone": zone, "job": {"class": "A"}}));
            assert_eq!((&found["cron"], &found["timeZone"]), (&json!(cron), &json!(meant)), "{schedule}");
        }
    }

    #[test]
    fn a_cron_can_be_read_again_and_says_the_same() {
        let task = json!({"schedule": "every weekday at 9am in Asia/Seoul", "job": {"class": "A"}});
        let compiled: CronScheduleSpec = serde_json::from_value(compiled(task)).expect("a schedule");
        let text = compiled.zoned_cron().expect("a cron");
        assert_eq!(text, "0 9 * * 1,2,3,4,5 Asia/Seoul");
        let again = Timetable::parse(&text, "UTC").expect("a timetable");
        let first = Timetable::parse("every weekday at 9am in Asia/Seoul", "UTC").expect("a timetable");
        let at = jiff::Timestamp::UNIX_EPOCH;
        assert_eq!(again.next_after(at), first.next_after(at));
    }

    #[test]
    fn an_interval_stays_and_a_command_becomes_a_job() {
        let found = compiled(json!({"schedule": {"every": "90m", "offset": "5m"}, "command": "bin/vacuum --all"}));
        assert_eq!(found["interval"], json!({"every": "1h30m", "offset": "5m"}));
        let job = json!({"class": "Command", "args": ["bin/vacuum --all"], "queue": "gritstone_commands"});
        assert_eq!((found.get("cron"), &found["job"]), (None, &job));
    }
}
