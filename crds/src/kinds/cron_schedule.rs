//! `CronSchedule`: what the operator makes of a `RecurringTask`, for schedulers to read. Nobody else writes it.

use serde::{Deserialize, Serialize};

use super::recurring_task::{check_description, check_time_zone, utc};
use super::schedule::check_text;
use super::{Interval, JobTemplate, MissedRuns};
use crate::check::{Violation, Violations};
use crate::path::Path;

/// A compiled schedule: exactly one of `cron` and `interval`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronScheduleSpec {
    /// The task's name in the database. Required.
    pub key: String,
    /// When, as cron, seconds possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// When, as every so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// In which time zone the cron is meant, by its IANA name. Default `UTC`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What to enqueue; a command has become a job of class `Command`. Required.
    pub job: JobTemplate,
    /// See [`RecurringTaskSpec::description`](super::RecurringTaskSpec::description).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// See [`RecurringTaskSpec::missed_runs`](super::RecurringTaskSpec::missed_runs).
    #[serde(default)]
    pub missed_runs: MissedRuns,
    /// See [`RecurringTaskSpec::suspend`](super::RecurringTaskSpec::suspend).
    #[serde(default)]
    pub suspend: bool,
}

impl CronScheduleSpec {
    /// Everything that makes no sense in it.
    pub fn validate(&self) -> Vec<Violation> {
        let mut found = Violations::default();
        let at = Path::root().field("spec");
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
