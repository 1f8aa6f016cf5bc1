//! Recurring tasks of manifests, as the database keeps them.

use gritstone_crds::kinds::{self, MissedRunsPolicy, Schedule, TaskRun};
use gritstone_crds::{Metadata, RecurringTaskSpec, ScheduleError, Timetable};
use gritstone_store::{COMMANDS_QUEUE, MissedRuns, NewTask, SHELL_CLASS, TaskSchedule};
use serde_json::Value;

/// What a manifest describes. Its cron is written down with its time zone, so that it means the same to everyone.
///
/// # Errors
/// When its schedule can't be read, which `validate` refuses.
pub fn recurring_task(metadata: &Metadata, spec: &RecurringTaskSpec) -> Result<NewTask, ScheduleError> {
    let schedule = schedule(&spec.schedule, &spec.time_zone)?;
    let key = spec.key_under(metadata);
    let mut task = match spec.run() {
        Some(TaskRun::Job(job)) => {
            let mut task = NewTask::new(key, schedule, &job.class).arguments(job.args.clone());
            task.queue = job.queue.as_ref().map(ToString::to_string);
            task.priority = job.priority;
            task
        }
        Some(TaskRun::Command(line)) => {
            NewTask::new(key, schedule, SHELL_CLASS).arguments(vec![Value::from(line)]).on(COMMANDS_QUEUE)
        }
        // The store refuses a task without a class.
        None => NewTask::new(key, schedule, ""),
    };
    task.description.clone_from(&spec.description);
    task.missed_runs = missed_runs(spec.missed_runs);
    task.suspended = spec.suspend;
    Ok(task)
}

/// What Rails' `recurring.yml` describes: a static row, as Rails' own scheduler writes it, the schedule as the file has it.
///
/// # Errors
/// When its schedule can't be read, which `validate` refuses.
pub fn rails_task(metadata: &Metadata, spec: &RecurringTaskSpec) -> Result<NewTask, ScheduleError> {
    let mut task = recurring_task(metadata, spec)?;
    if let Schedule::Text(text) = &spec.schedule {
        task.schedule = TaskSchedule::Cron(text.clone());
        task.static_zone = Some(spec.time_zone.clone());
    }
    Ok(task)
}

fn missed_runs(missed_runs: kinds::MissedRuns) -> MissedRuns {
    match missed_runs.policy {
        MissedRunsPolicy::Skip => MissedRuns::Skip,
        MissedRunsPolicy::Latest => MissedRuns::Latest,
        MissedRunsPolicy::All => MissedRuns::All(missed_runs.limit.max(1).unsigned_abs()),
    }
}

fn schedule(schedule: &Schedule, time_zone: &str) -> Result<TaskSchedule, ScheduleError> {
    let timetable = Timetable::of(schedule, time_zone)?;
    Ok(match (schedule, timetable.cron()) {
        (Schedule::Interval(interval), _) => {
            TaskSchedule::Every { every: interval.every.as_std(), offset: interval.offset.as_std() }
        }
        (Schedule::Text(text), cron) => {
            let (cron, zone) = (cron.unwrap_or(text), timetable.time_zone());
            match cron.ends_with(&format!(" {zone}")) {
                true => TaskSchedule::Cron(cron.to_owned()),
                false => TaskSchedule::Cron(format!("{cron} {zone}")),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(spec: Value) -> NewTask {
        let metadata = Metadata { name: "daily".into(), namespace: Some("shop".into()), ..Metadata::default() };
        recurring_task(&metadata, &serde_json::from_value(spec).unwrap()).unwrap()
    }

    #[test]
    fn a_cron_carries_its_zone_and_can_be_read_again() {
        for (text, zone, written) in [
            ("every weekday at 9am", "Asia/Seoul", "0 9 * * 1,2,3,4,5 Asia/Seoul"),
            ("0 9 * * *", "UTC", "0 9 * * * UTC"),
            ("0 9 * * * Europe/Berlin", "UTC", "0 9 * * * Europe/Berlin"),
            ("*/10 * * * * *", "UTC", "0,10,20,30,40,50 * * * * * UTC"),
            ("0 9 * * * +09:00", "UTC", "0 9 * * * +09:00"),
        ] {
            let task = task(json!({"schedule": text, "timeZone": zone, "job": {"class": "A"}}));
            assert_eq!(task.schedule, TaskSchedule::Cron(written.into()));
            let (again, first) =
                (Timetable::parse(written, "America/Lima").unwrap(), Timetable::parse(text, zone).unwrap());
            assert_eq!(again.next_after(jiff::Timestamp::UNIX_EPOCH), first.next_after(jiff::Timestamp::UNIX_EPOCH));
        }
    }

    #[test]
    fn a_command_is_a_job_of_its_own_class_and_queue() {
        let task =
            task(json!({"schedule": {"every": "90m", "offset": "5m"}, "command": "rake clean", "suspend": true}));
        let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
        let mut expected =
            NewTask::new("shop/daily", TaskSchedule::Every { every: minutes(90), offset: minutes(5) }, "Command")
                .arguments(vec![json!("rake clean")])
                .on("gritstone_commands");
        expected.suspended = true;
        assert_eq!(task, expected);
    }

    #[test]
    fn a_job_goes_in_as_it_is_described() {
        let job = json!({"class": "Report", "args": [42, {"status": "open"}], "queue": "reports", "priority": 5});
        let task = task(
            json!({"key": "k", "schedule": "every hour", "job": job, "missedRuns": {"policy": "All", "limit": 7}}),
        );
        let expected = NewTask::new("k", TaskSchedule::Cron("0 * * * * UTC".into()), "Report")
            .arguments(vec![json!(42), json!({"status": "open"})])
            .on("reports")
            .priority(5)
            .missed_runs(MissedRuns::All(7));
        assert_eq!(task, expected);
    }
}
