//! `CronSchedule`: what the operator makes of a `RecurringTask`, for schedulers to read. Nobody else writes it.

use serde::{Deserialize, Serialize};

#[cfg(feature = "kube")]
use super::CronScheduleStatus;
use super::recurring_task::{check_description, check_time_zone, utc};
use super::schedule::check_text;
use super::{Interval, JobTemplate, MissedRuns};
use crate::check::{Violation, Violations};
use crate::path::Path;

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
        printcolumn(name = "Next run", type_ = "date", json_path = ".status.nextRunTime"),
        printcolumn(name = "Last run", type_ = "date", json_path = ".status.lastRunTime"),
        printcolumn(name = "Outcome", type_ = "string", json_path = ".status.lastRunOutcome"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    ),
    schemars(transform = crate::schema::cron_schedule)
)]
#[serde(rename_all = "camelCase")]
pub struct CronScheduleSpec {
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
