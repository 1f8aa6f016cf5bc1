//! `RecurringTask`: a job enqueued by the clock.

use serde::{Deserialize, Serialize};

#[cfg(feature = "kube")]
use super::RecurringTaskStatus;
use super::{Database, JobTemplate, MissedRuns, Schedule};
use crate::check::{Violation, Violations};
use crate::manifest::Metadata;
use crate::path::Path;

/// What to enqueue, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, schemars::JsonSchema),
    kube(
        group = "gritstone.dev",
        version = "v1alpha1",
        kind = "RecurringTask",
        plural = "recurringtasks",
        shortname = "rt",
        category = "gritstone",
        namespaced,
        derive = "PartialEq",
        doc = "A job that is enqueued by the clock.",
        status = "RecurringTaskStatus",
        printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
        printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
        printcolumn(name = "Next run", type_ = "string", json_path = ".status.nextRunTime"),
        printcolumn(name = "Last run", type_ = "date", json_path = ".status.lastRunTime"),
        printcolumn(name = "Outcome", type_ = "string", json_path = ".status.lastRunOutcome"),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
        printcolumn(name = "Key", type_ = "string", json_path = ".status.key", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    ),
    schemars(transform = crate::schema::recurring_task)
)]
#[serde(rename_all = "camelCase")]
pub struct RecurringTaskSpec {
    /// The queue's database. Needed on Kubernetes; elsewhere it comes from the command line or `DATABASE_URL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// The task's name in the database, of which there can be one; at most 255 characters. Default
    /// `<cluster>/<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::name()))]
    pub key: Option<String>,
    /// When: words (`every weekday at 9am`), cron (`0 9 * * 1-5`, seconds possible), or `{every: 90m, offset: 5m}`. Required.
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::text_or_interval"))]
    pub schedule: Schedule,
    /// In which time zone, by its IANA name. Default `UTC`.
    #[serde(default = "utc")]
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 64)))]
    pub time_zone: String,
    /// What to enqueue. This or `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobTemplate>,
    /// A line for the shell, at most 2048 characters: a job of class `Command` in the queue `gritstone_commands`. This or `job`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::matches(r"\S", 2048, "must not be empty: say what the shell should run")))]
    pub command: Option<String>,
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

/// What a task enqueues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TaskRun<'a> {
    /// A job.
    Job(&'a JobTemplate),
    /// A line for the shell.
    Command(&'a str),
}

/// As long as Solid Queue's own column for commands.
const MAX_COMMAND_CHARS: usize = 2_048;
const MAX_DESCRIPTION_CHARS: usize = 1_000;

pub(super) fn utc() -> String {
    "UTC".to_owned()
}

impl RecurringTaskSpec {
    /// A task that says when, and not yet what.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            database: None,
            key: None,
            schedule,
            time_zone: utc(),
            job: None,
            command: None,
            description: None,
            missed_runs: MissedRuns::default(),
            suspend: false,
        }
    }

    /// Its key outside a cluster: the one it names, else `<namespace>/<name>`, or the name alone where there is no namespace.
    pub fn key_under(&self, metadata: &Metadata) -> String {
        match (&self.key, &metadata.namespace) {
            (Some(key), _) => key.clone(),
            (None, Some(namespace)) => format!("{namespace}/{}", metadata.name),
            (None, None) => metadata.name.clone(),
        }
    }

    /// What it enqueues. `None` only when neither or both are given, which `validate` refuses.
    pub fn run(&self) -> Option<TaskRun<'_>> {
        match (&self.job, &self.command) {
            (Some(job), None) => Some(TaskRun::Job(job)),
            (None, Some(command)) => Some(TaskRun::Command(command)),
            _ => None,
        }
    }

    /// Everything that makes no sense in it.
    pub fn validate(&self) -> Vec<Violation> {
        let mut found = Violations::default();
        self.check(&Path::root().field("spec"), &mut found);
        found.into_vec()
    }

    fn check(&self, at: &Path, found: &mut Violations) {
        if let Some(database) = &self.database {
            database.check(&at.field("database"), found);
        }
        if let Some(key) = &self.key {
            found.name(at.field("key"), "the key", key);
        }
        self.schedule.check(&at.field("schedule"), found);
        check_time_zone(&self.time_zone, at.field("timeZone"), found);
        match (&self.job, &self.command) {
            (None, None) => found.add(at.field("job"), "is missing: give a job or a command"),
            (Some(_), Some(_)) => found.add(at.field("command"), "stands beside job: keep one of them"),
            _ => {}
        }
        if let Some(job) = &self.job {
            job.check(&at.field("job"), found);
        }
        if let Some(command) = &self.command {
            check_command(command, at.field("command"), found);
        }
        if let Some(description) = &self.description {
            check_description(description, at.field("description"), found);
        }
        self.missed_runs.check(&at.field("missedRuns"), found);
    }
}

pub(super) fn check_description(description: &str, at: Path, found: &mut Violations) {
    let chars = description.chars().count();
    if chars > MAX_DESCRIPTION_CHARS {
        found.add(at, format!("has {chars} characters; at most {MAX_DESCRIPTION_CHARS} are possible"));
    } else if description.contains('\0') {
        found.add(at, "has a NUL character, which no database keeps");
    }
}

fn check_command(command: &str, at: Path, found: &mut Violations) {
    let chars = command.chars().count();
    if command.trim().is_empty() {
        found.add(at, "is empty: say what the shell should run");
    } else if chars > MAX_COMMAND_CHARS {
        found.add(
            at,
            format!("has {chars} characters; at most {MAX_COMMAND_CHARS} are possible, put the rest into a script"),
        );
    } else if command.contains('\0') {
        found.add(at, "has a NUL character, which no program can be given");
    }
}

pub(super) fn check_time_zone(name: &str, at: Path, found: &mut Violations) {
    if let Err(error) = crate::schedule::check_time_zone(name) {
        found.add(at, error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_zone(name: &str) -> Vec<String> {
        let mut found = Violations::default();
        check_time_zone(name, Path::root().field("timeZone"), &mut found);
        found.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn time_zones_are_known_by_name() {
        for name in ["UTC", "Asia/Seoul", "America/Argentina/Ushuaia", "Etc/GMT+5"] {
            assert_eq!(time_zone(name), Vec::<String>::new());
        }
        assert_eq!(time_zone("Asia/Seul"), ["timeZone: `Asia/Seul` is not a time zone; did you mean Asia/Seoul?"]);
        assert_eq!(time_zone("")[0], "timeZone: `` is not a time zone; say it as in Europe/Berlin or UTC");
    }
}
