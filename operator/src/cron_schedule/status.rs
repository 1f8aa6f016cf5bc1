//! When a schedule runs next, and what became of its last run.

use std::time::Duration;

use gritstone_crds::Timetable;
use gritstone_crds::kinds::{Condition, CronScheduleSpec, CronScheduleStatus, RunOutcome};
use gritstone_store::JobState;
use jiff::{SignedDuration, Timestamp};

use super::row::Row;
use super::task::timetable;

/// A run that no scheduler came to for so long was missed: twice what schedulers themselves go by, so that one which is just starting
/// isn't accused.
const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Until a run is looked for that is due: what a scheduler takes to make it, and whoever looks at the database to notice.
const SOONEST: Duration = Duration::from_secs(5);

/// The status of a schedule whose row is `row` at `now` by the database's clock.
pub(crate) fn status(
    spec: &CronScheduleSpec,
    row: &Row,
    now: Timestamp,
    before: &CronScheduleStatus,
    generation: Option<i64>,
    conditions: Vec<Condition>,
) -> CronScheduleStatus {
    let (last_run_time, last_job_id, last_run_outcome) = last_run(row, before);
    CronScheduleStatus {
        observed_generation: generation,
        next_run_time: next_run(spec, row, now),
        last_run_time,
        last_job_id,
        last_run_outcome,
        conditions,
    }
}

type LastRun = (Option<Timestamp>, Option<String>, Option<RunOutcome>);

/// A job that is gone takes the note of its run with it: what was known of it stays known, and that it had finished.
fn last_run(row: &Row, before: &CronScheduleStatus) -> LastRun {
    let Some(last) = row.view.last_run_at else { return (None, None, None) };
    if let Some(run) = row.run.as_ref().filter(|run| run.run_at >= last) {
        let outcome = match run.state {
            JobState::Finished => RunOutcome::Finished,
            JobState::Failed => RunOutcome::Failed,
            _ => RunOutcome::Enqueued,
        };
        return (Some(run.run_at), Some(run.job_id.to_string()), Some(outcome));
    }
    let same = before.last_run_time == Some(last);
    let outcome = match before.last_run_outcome {
        Some(RunOutcome::Finished) if same => RunOutcome::Finished,
        _ => RunOutcome::Gone,
    };
    (Some(last), before.last_job_id.clone().filter(|_| same), Some(outcome))
}

/// None while it rests.
fn next_run(spec: &CronScheduleSpec, row: &Row, now: Timestamp) -> Option<Timestamp> {
    let timetable = timetable(spec).ok().filter(|_| row.view.runs())?;
    let first = run_after(&timetable, row)?;
    // One that was missed is not the next any more.
    if is_missed(first, now) { timetable.next_after(now) } else { Some(first) }
}

/// The run that no scheduler came to in time, if that was so.
pub(crate) fn missed_run(spec: &CronScheduleSpec, row: &Row, now: Timestamp) -> Option<Timestamp> {
    let timetable = timetable(spec).ok().filter(|_| row.view.runs())?;
    run_after(&timetable, row).filter(|run| is_missed(*run, now))
}

/// How long nothing can change by time alone.
pub(crate) fn next_look(next_run_time: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let at = next_run_time?.checked_add(MISSED_AFTER).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default().max(SOONEST))
}

fn run_after(timetable: &Timetable, row: &Row) -> Option<Timestamp> {
    timetable.next_after(row.view.run_after?)
}

fn is_missed(run: Timestamp, now: Timestamp) -> bool {
    now.duration_since(run) >= MISSED_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_store::{MissedRuns, TaskRun, TaskSchedule, TaskStanding, TaskView};
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// Every hundred seconds; runs up to `run_after` are over.
    fn row(run_after: i64, last_run_at: Option<i64>, state: Option<JobState>) -> Row {
        let view = TaskView {
            key: "k".to_owned(),
            owner: "o".to_owned(),
            standing: TaskStanding::Ours,
            schedule: TaskSchedule::Every { every: Duration::from_secs(100), offset: Duration::ZERO },
            time_zone: None,
            class: Some("A".to_owned()),
            command: None,
            arguments: None,
            queue: None,
            priority: None,
            description: None,
            missed_runs: MissedRuns::Skip,
            suspended: false,
            suspended_by_hand: false,
            run_after: Some(at(run_after)),
            last_run_at: last_run_at.map(at),
        };
        let run = state.zip(last_run_at).map(|(state, run_at)| TaskRun {
            key: "k".to_owned(),
            run_at: at(run_at),
            job_id: 7,
            state,
        });
        Row { view, run }
    }

    fn spec() -> CronScheduleSpec {
        let spec = json!({"key": "k", "interval": {"every": "100s"}, "job": {"class": "A"}});
        serde_json::from_value(spec).expect("a spec")
    }

    fn said(row: &Row, now: i64, before: &CronScheduleStatus) -> CronScheduleStatus {
        status(&spec(), row, at(now), before, Some(1), Vec::new())
    }

    #[test]
    fn a_run_is_the_next_one_until_it_was_made_or_missed() {
        let next = |row: &Row, now| said(row, now, &CronScheduleStatus::default()).next_run_time;
        assert_eq!(next(&row(950, None, None), 960), Some(at(1_000)));
        assert_eq!(next(&row(950, None, None), 1_030), Some(at(1_000)), "late is not missed");
        assert_eq!(next(&row(950, None, None), 1_060), Some(at(1_100)));
        assert_eq!(missed_run(&spec(), &row(950, None, None), at(1_060)), Some(at(1_000)));
        assert_eq!(missed_run(&spec(), &row(1_000, None, None), at(1_060)), None);
        let mut resting = row(950, None, None);
        resting.view.suspended_by_hand = true;
        assert_eq!(next(&resting, 960), None);
        assert_eq!(missed_run(&spec(), &resting, at(2_000)), None);
    }

    #[test]
    fn the_last_run_has_the_outcome_of_its_job_also_when_that_is_cleared() {
        let nothing = CronScheduleStatus::default();
        let open = said(&row(1_000, Some(1_000), Some(JobState::Claimed)), 1_001, &nothing);
        assert_eq!((open.last_run_outcome, open.last_job_id.as_deref()), (Some(RunOutcome::Enqueued), Some("7")));
        let done = said(&row(1_000, Some(1_000), Some(JobState::Finished)), 1_002, &open);
        assert_eq!((done.last_run_time, done.last_run_outcome), (Some(at(1_000)), Some(RunOutcome::Finished)));

        let cleared = said(&row(1_000, Some(1_000), None), 1_003, &done);
        assert_eq!((cleared.last_run_outcome, cleared.last_job_id.as_deref()), (Some(RunOutcome::Finished), Some("7")));
        let discarded = said(&row(1_000, Some(1_000), None), 1_003, &open);
        assert_eq!(discarded.last_run_outcome, Some(RunOutcome::Gone));
        let later = said(&row(1_100, Some(1_100), None), 1_103, &done);
        assert_eq!((later.last_run_outcome, later.last_job_id), (Some(RunOutcome::Gone), None));
    }

    #[test]
    fn the_next_look_is_when_the_next_run_would_have_been_missed() {
        let status = said(&row(950, None, None), 960, &CronScheduleStatus::default());
        assert_eq!(next_look(status.next_run_time, at(960)), Some(Duration::from_secs(100)));
        assert_eq!(next_look(status.next_run_time, at(5_000)), Some(SOONEST));
        assert_eq!(next_look(None, at(960)), None);
    }
}
