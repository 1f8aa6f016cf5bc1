//! A CronSchedule as the store has it.

use gritstone_crds::kinds::{CronScheduleSpec, MissedRunsPolicy, Schedule};
use gritstone_crds::{ScheduleError, Timetable};
use gritstone_store::{MissedRuns, NewTask, TaskSchedule};

/// The row of a schedule. One with neither cron nor interval, which the API server refuses, has an empty cron, which the store refuses.
pub(crate) fn new_task(spec: &CronScheduleSpec) -> NewTask {
    let schedule = match spec.interval {
        Some(interval) => TaskSchedule::Every { every: interval.every.as_std(), offset: interval.offset.as_std() },
        None => TaskSchedule::Cron(spec.zoned_cron().unwrap_or_default()),
    };
    let missed_runs = match spec.missed_runs.policy {
        MissedRunsPolicy::Skip => MissedRuns::Skip,
        MissedRunsPolicy::Latest => MissedRuns::Latest,
        MissedRunsPolicy::All => MissedRuns::All(spec.missed_runs.limit.max(1).unsigned_abs()),
    };
    NewTask {
        queue: spec.job.queue.as_ref().map(ToString::to_string),
        priority: spec.job.priority,
        description: spec.description.clone(),
        missed_runs,
        suspended: spec.suspend,
        ..NewTask::new(&spec.key, schedule, &spec.job.class).arguments(spec.job.args.clone())
    }
}

/// When it runs.
pub(super) fn timetable(spec: &CronScheduleSpec) -> Result<Timetable, ScheduleError> {
    let schedule = match spec.interval {
        Some(interval) => Schedule::Interval(interval),
        None => Schedule::Text(spec.cron.clone().unwrap_or_default()),
    };
    Timetable::of(&schedule, &spec.time_zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn a_schedule_becomes_a_row() {
        let spec = json!({
            "key": "reports/daily", "cron": "0 9 * * 1-5", "timeZone": "Asia/Seoul", "suspend": true,
            "job": {"class": "DailyReport", "args": [42], "queue": "reports", "priority": 5},
            "description": "for sales", "missedRuns": {"policy": "All", "limit": 3},
        });
        let task = new_task(&serde_json::from_value(spec).expect("a spec"));
        let schedule = TaskSchedule::Cron("0 9 * * 1-5 Asia/Seoul".to_owned());
        let expected = NewTask {
            description: Some("for sales".to_owned()),
            missed_runs: MissedRuns::All(3),
            suspended: true,
            ..NewTask::new("reports/daily", schedule, "DailyReport")
                .arguments(vec![json!(42)])
                .on("reports")
                .priority(5)
        };
        assert_eq!(task, expected);
        let every = json!({"key": "k", "interval": {"every": "90m", "offset": "5m"}, "job": {"class": "A"}});
        let task = new_task(&serde_json::from_value(every).expect("a spec"));
        let (every, offset) = (Duration::from_secs(5_400), Duration::from_secs(300));
        assert_eq!(task.schedule, TaskSchedule::Every { every, offset });
    }
}
