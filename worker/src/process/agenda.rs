//! What a scheduler does next: which runs are due, and which of those that nobody came to in time are made up for. Reads no clock.

use gritstone_crds::kinds::{Interval, Schedule};
use gritstone_crds::{Duration, Timetable};
use gritstone_store::{DueTask, MissedRuns, TaskSchedule, TaskView};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// A run that nobody came to for so long was missed; a younger one is merely late. Restarting a scheduler takes less.
const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The tasks that run, in the order of their next runs.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    tasks: HashMap<String, Planned>,
    order: BTreeSet<(Timestamp, String)>,
}

#[derive(Debug)]
struct Planned {
    schedule: TaskSchedule,
    time_zone: Option<String>,
    timetable: Timetable,
    missed_runs: MissedRuns,
    /// Runs up to this moment are over.
    run_after: Timestamp,
    /// The next run.
    next: Option<Timestamp>,
    /// Until then it is not tried again, and how often that was so since a run was made.
    put_off: Option<(Timestamp, u32)>,
}

/// How long a run that the database refused is put off at first; twice as long each time after that, up to the longest.
const PUT_OFF: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PUT_OFF: SignedDuration = SignedDuration::from_mins(1);

impl Agenda {
    /// Takes these tasks in place of all before. Those that can't be planned are left out: their keys, and why.
    pub(super) fn replace(&mut self, tasks: Vec<TaskView>, now: Timestamp) -> Vec<(String, String)> {
        let mut before = std::mem::take(&mut self.tasks);
        self.order.clear();
        let mut left_out = Vec::new();
        for task in tasks.into_iter().filter(TaskView::runs) {
            // Reading a schedule takes longer than all else that is done here.
            let is_so = |known: &Planned| (&known.schedule, &known.time_zone) == (&task.schedule, &task.time_zone);
            let known = before.remove(&task.key).filter(is_so);
            let timetable = known.map_or_else(|| timetable(&task), |known| Ok(known.timetable));
            match timetable {
                Ok(timetable) => {
                    let run_after = task.run_after.unwrap_or(now);
                    let TaskView { schedule, time_zone, missed_runs, .. } = task;
                    let mut planned =
                        Planned { schedule, time_zone, timetable, missed_runs, run_after, next: None, put_off: None };
                    planned.next = planned.run(now);
                    self.order.extend(planned.turn().map(|turn| (turn, task.key.clone())));
                    self.tasks.insert(task.key, planned);
                }
                Err(fault) => left_out.push((task.key, fault)),
            }
        }
        left_out
    }

    /// The keys of the tasks that run, sorted.
    pub(super) fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    /// When something is to be done next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(next, _)| *next)
    }

    /// Runs whose time has come, the earliest first, one of a task and at most so many.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<DueTask> {
        let come: Vec<_> = self.order.iter().take_while(|(next, _)| *next <= now).take(most).cloned().collect();
        let mut due = Vec::with_capacity(come.len());
        for (_, key) in come {
            // It may have been missed since it was planned.
            self.plan(&key, now);
            let Some(planned) = self.tasks.get(&key) else { continue };
            if let Some(run_at) = planned.next.filter(|next| *next <= now) {
                due.push(DueTask { schedule: planned.schedule.clone(), key, run_at });
            }
        }
        due
    }

    /// Notes that a task's runs up to this one are over.
    pub(super) fn over(&mut self, key: &str, run_at: Timestamp, now: Timestamp) {
        self.change(key, now, |planned| {
            planned.run_after = planned.run_after.max(run_at);
            planned.put_off = None;
        });
    }

    /// Lets a task wait whose run the database has refused, while the others go on; for how long. A run that is missed meanwhile is made
    /// up for, or not, as any other.
    pub(super) fn put_off(&mut self, key: &str, now: Timestamp) -> SignedDuration {
        let mut pause = PUT_OFF;
        self.change(key, now, |planned| {
            let times = planned.put_off.map_or(0, |(_, times)| times);
            pause = PUT_OFF.checked_mul(1 << times.min(6)).unwrap_or(LONGEST_PUT_OFF).min(LONGEST_PUT_OFF);
            planned.put_off = now.checked_add(pause).ok().map(|until| (until, times + 1));
        });
        pause
    }

    fn plan(&mut self, key: &str, now: Timestamp) {
        self.change(key, now, |_| ());
    }

    /// Changes a task, and what comes of that for its turn.
    fn change(&mut self, key: &str, now: Timestamp, change: impl FnOnce(&mut Planned)) {
        let Some(planned) = self.tasks.get_mut(key) else { return };
        let before = planned.turn();
        change(planned);
        planned.next = planned.run(now);
        let turn = planned.turn();
        if turn != before {
            if let Some(before) = before {
                self.order.remove(&(before, key.to_owned()));
            }
            self.order.extend(turn.map(|turn| (turn, key.to_owned())));
        }
    }
}

impl Planned {
    /// When it is looked at next.
    fn turn(&self) -> Option<Timestamp> {
        let until = self.put_off.map(|(until, _)| until);
        self.next.map(|next| until.map_or(next, |until| until.max(next)))
    }

    fn run(&self, now: Timestamp) -> Option<Timestamp> {
        next_run(&self.timetable, self.run_after, now, self.missed_runs)
    }
}

/// The next run of a task. None when it doesn't run here, or never again.
///
/// # Errors
/// When its schedule can't be read.
pub(crate) fn next_run_of(task: &TaskView, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let Some(run_after) = task.run_after.filter(|_| task.runs()) else { return Ok(None) };
    Ok(next_run(&timetable(task)?, run_after, now, task.missed_runs))
}

/// The next run to make, in the past or to come. None when there is none.
fn next_run(timetable: &Timetable, run_after: Timestamp, now: Timestamp, missed_runs: MissedRuns) -> Option<Timestamp> {
    let next = timetable.next_after(run_after)?;
    let missed_until = now.checked_sub(MISSED_AFTER).ok()?;
    if next > missed_until {
        return Some(next);
    }
    let made_up_for = match missed_runs {
        MissedRuns::Skip => 0,
        MissedRuns::Latest => 1,
        MissedRuns::All(limit) => limit,
    };
    first_of_last(made_up_for, timetable, run_after, missed_until).or_else(|| timetable.next_after(missed_until))
}

/// The first of the last `count` runs after one moment and up to another. Looks back further step by step: a timetable only goes
/// forward, and a run every second for a month is millions.
fn first_of_last(count: u32, timetable: &Timetable, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
    let mut back = SignedDuration::from_mins(1);
    loop {
        let from = until.checked_sub(back).map_or(after, |from| from.max(after));
        let mut last = VecDeque::with_capacity(count.min(1_000) + 1);
        let mut run = from;
        while let Some(next) = timetable.next_after(run).filter(|next| *next <= until) {
            last.push_back(next);
            if last.len() > count {
                last.pop_front();
            }
            run = next;
        }
        if last.len() == count || from == after {
            return last.front().copied();
        }
        back = back.saturating_mul(2);
    }
}

/// The timetable of a task as the database has it.
fn timetable(task: &TaskView) -> Result<Timetable, String> {
    let read = match &task.schedule {
        TaskSchedule::Cron(cron) => Timetable::parse(cron, task.time_zone.as_deref().unwrap_or("UTC")),
        TaskSchedule::Every { every, offset } => {
            let [every, offset] = [every, offset].map(|duration| {
                u64::try_from(duration.as_millis()).map(Duration::from_millis).map_err(|error| error.to_string())
            });
            Timetable::of(&Schedule::Interval(Interval { every: every?, offset: offset? }), "UTC")
        }
    };
    read.map_err(|error| format!("its schedule can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_store::TaskStanding;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    fn next(cron: &str, run_after: &str, now: &str, missed_runs: MissedRuns) -> Timestamp {
        next_run(&Timetable::parse(cron, "UTC").unwrap(), at(run_after), at(now), missed_runs).unwrap()
    }

    #[test]
    fn a_run_that_is_less_than_thirty_seconds_late_is_made_in_order_whatever_the_policy() {
        for policy in [MissedRuns::Skip, MissedRuns::Latest, MissedRuns::All(1)] {
            assert_eq!(next("* * * * *", "09:00:00", "09:01:29.999", policy), at("09:01:00"));
            assert_eq!(next("* * * * * *", "09:00:00", "09:00:30", policy), at("09:00:01"));
            assert_eq!(next("* * * * *", "09:00:00", "09:00:01", policy), at("09:01:00"), "the next one");
        }
    }

    #[test]
    fn a_missed_run_is_skipped_unless_asked_otherwise() {
        assert_eq!(next("* * * * *", "09:00:00", "09:01:30", MissedRuns::Skip), at("09:02:00"));
        assert_eq!(
            next("* * * * *", "09:00:00", "12:10:10", MissedRuns::Skip),
            at("12:10:00"),
            "a late one is not missed"
        );
        assert_eq!(next("* * * * *", "09:00:00", "12:10:10", MissedRuns::All(0)), at("12:10:00"));
    }

    /// All runs that are made until nothing is due.
    fn made(cron: &str, run_after: &str, now: &str, missed_runs: MissedRuns) -> Vec<Timestamp> {
        let timetable = Timetable::parse(cron, "UTC").unwrap();
        let mut made = Vec::new();
        let mut run_after = at(run_after);
        while let Some(run) = next_run(&timetable, run_after, at(now), missed_runs).filter(|run| *run <= at(now)) {
            made.push(run);
            run_after = run;
        }
        made
    }

    #[test]
    fn one_missed_run_is_made_up_for_and_it_is_the_latest() {
        assert_eq!(made("*/5 * * * *", "09:00:00", "12:12:00", MissedRuns::Latest), [at("12:10:00")]);
        assert_eq!(
            made("*/5 * * * *", "09:00:00", "12:10:10", MissedRuns::Latest),
            [at("12:05:00"), at("12:10:00")],
            "the missed one and the late one"
        );
    }

    #[test]
    fn missed_runs_are_made_up_for_in_their_order_the_latest_up_to_the_limit() {
        let all = |limit| made("*/5 * * * *", "09:00:00", "09:22:00", MissedRuns::All(limit));
        assert_eq!(all(10), ["09:05:00", "09:10:00", "09:15:00", "09:20:00"].map(at));
        assert_eq!(all(2), ["09:15:00", "09:20:00"].map(at));
        assert_eq!(made("* * * * * *", "00:00:00", "20:00:00", MissedRuns::All(3)).len(), 3 + 30);
    }

    #[test]
    fn a_timetable_that_ends_is_no_run() {
        let never = Timetable::parse("0 0 30 2 *", "UTC");
        assert!(
            never.is_err() || next_run(&never.unwrap(), at("09:00:00"), at("10:00:00"), MissedRuns::Latest).is_none()
        );
    }

    fn task(key: &str, schedule: TaskSchedule, run_after: &str) -> TaskView {
        TaskView {
            key: key.into(),
            owner: "test".into(),
            standing: TaskStanding::Ours,
            schedule,
            time_zone: None,
            class: Some("A".into()),
            command: None,
            arguments: None,
            queue: None,
            priority: None,
            description: None,
            missed_runs: MissedRuns::Skip,
            suspended: false,
            suspended_by_hand: false,
            run_after: Some(at(run_after)),
            last_run_at: None,
        }
    }

    fn cron(text: &str) -> TaskSchedule {
        TaskSchedule::Cron(text.into())
    }

    #[test]
    fn due_runs_come_in_order_one_of_a_task_and_again_once_they_are_over() {
        let mut agenda = Agenda::default();
        let now = at("09:00:02");
        let tasks = vec![
            task("second", cron("* * * * * *"), "09:00:00"),
            task("minute", cron("0 9 * * * UTC"), "08:59:00"),
            task("later", cron("0 10 * * *"), "09:00:00"),
        ];
        assert!(agenda.replace(tasks, now).is_empty());
        let due = agenda.due(now, 10);
        let keys: Vec<_> = due.iter().map(|due| (due.key.as_str(), due.run_at)).collect();
        assert_eq!(keys, [("minute", at("09:00:00")), ("second", at("09:00:01"))]);
        assert_eq!(agenda.due(now, 1), due[..1], "what is not over stays due");
        for due in &due {
            agenda.over(&due.key, due.run_at, now);
        }
        assert_eq!(agenda.due(now, 10).len(), 1);
        agenda.over("second", at("09:00:02"), now);
        assert_eq!((agenda.due(now, 10).len(), agenda.next()), (0, Some(at("09:00:03"))));
    }

    #[test]
    fn a_run_that_was_missed_after_it_was_planned_is_skipped() {
        let mut agenda = Agenda::default();
        agenda.replace(vec![task("a", cron("* * * * *"), "09:00:00")], at("09:00:10"));
        assert_eq!(agenda.due(at("09:05:40"), 10), []);
        assert_eq!(agenda.next(), Some(at("09:06:00")));
    }

    #[test]
    fn tasks_that_rest_or_can_not_be_read_are_not_planned() {
        let mut agenda = Agenda::default();
        let resting = TaskView { suspended: true, ..task("resting", cron("* * * * *"), "09:00:00") };
        let left_out = agenda.replace(vec![resting, task("odd", cron("whenever"), "09:00:00")], at("09:00:00"));
        assert_eq!((agenda.keys().len(), left_out[0].0.as_str()), (0, "odd"));
        assert!(left_out[0].1.starts_with("its schedule can't be read: "), "{left_out:?}");
    }

    #[test]
    fn a_run_that_is_put_off_keeps_no_other_waiting_and_comes_again() {
        let mut agenda = Agenda::default();
        agenda.replace(
            vec![task("a", cron("* * * * *"), "08:59:00"), task("b", cron("* * * * *"), "08:59:00")],
            at("09:00:00"),
        );
        let due = |agenda: &mut Agenda, now| agenda.due(at(now), 10).into_iter().map(|due| due.key).collect::<Vec<_>>();
        assert_eq!(due(&mut agenda, "09:00:00"), ["a", "b"]);
        assert_eq!(agenda.put_off("a", at("09:00:00")), SignedDuration::from_secs(1));
        assert_eq!(due(&mut agenda, "09:00:00"), ["b"]);
        agenda.over("b", at("09:00:00"), at("09:00:00"));
        assert_eq!(agenda.next(), Some(at("09:00:01")));
        assert_eq!(due(&mut agenda, "09:00:01"), ["a"]);
        assert_eq!(agenda.put_off("a", at("09:00:01")), SignedDuration::from_secs(2));
        for _ in 0..20 {
            agenda.put_off("a", at("09:00:01"));
        }
        assert_eq!(agenda.put_off("a", at("09:00:01")), SignedDuration::from_mins(1));
        assert_eq!(due(&mut agenda, "09:01:02"), ["b", "a"], "for the next run: this one was missed");
        agenda.over("a", at("09:01:00"), at("09:01:02"));
        assert_eq!(agenda.put_off("a", at("09:02:00")), SignedDuration::from_secs(1), "a run that is made begins anew");
    }

    #[test]
    fn a_schedule_of_rails_is_read_in_the_time_zone_that_goes_with_it() {
        let rails =
            |zone: &str| TaskView { time_zone: Some(zone.into()), ..task("a", cron("every day at 9am"), "09:00:00") };
        let mut agenda = Agenda::default();
        for (zone, next) in [("Asia/Seoul", "2026-03-03T00:00:00Z"), ("UTC", "2026-03-03T09:00:00Z")] {
            agenda.replace(vec![rails(zone)], at("09:00:00"));
            assert_eq!(agenda.next(), Some(next.parse().unwrap()), "{zone}");
        }
    }

    #[test]
    fn intervals_count_from_the_epoch() {
        let every = TaskSchedule::Every {
            every: std::time::Duration::from_secs(5_400),
            offset: std::time::Duration::from_secs(60),
        };
        let mut agenda = Agenda::default();
        agenda.replace(vec![task("a", every, "09:00:00")], at("09:00:00"));
        assert_eq!(agenda.next(), Some(at("09:01:00")));
    }
}
