//! A scheduler: enqueues the jobs of recurring tasks when their time has come.
//!
//! Any number may run at once: that a run makes one job is the store's promise, not this loop's. Time is the database's, read every two
//! seconds together with whether a task has changed, and carried on by the monotonic clock in between, so that schedulers on hosts
//! whose clocks differ agree.

use super::agenda::Agenda;
use super::config::SchedulerConfig;
use super::heart;
use super::hooks::{HookError, Life, Reporter};
use super::link::{Link, in_time};
use super::registration::{Application, Declared, Registration, STUCK_AFTER, unlisted};
use super::stop::Stop;
use crate::health::{Health, Pulse};
use gritstone_store::{DueTask, Error, RanTask, ScheduleMark, Store, TaskStanding};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often to look whether a task has changed, and what time it is.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Runs made in one transaction.
const RUNS_AT_ONCE: usize = 500;

/// The pause before looking again at a run that the database takes for too early, or whose task is another one by now.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// How much of a list of keys a process shows: MySQL keeps at most 64 KB of its metadata.
const SHOWN_BYTES: usize = 32 * 1024;

/// A scheduler whose start hooks failed tries again after this pause, which doubles each time, up to the longest.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(30);

/// A scheduler, inside a process. It is listed once there are tasks.
pub struct Scheduler {
    store: Store,
    config: SchedulerConfig,
    supervisor_id: Option<i64>,
}

impl Scheduler {
    /// A scheduler of all tasks in the database.
    pub fn new(store: Store, config: SchedulerConfig) -> Self {
        Scheduler { store, config, supervisor_id: None }
    }

    /// Listed under a supervisor.
    pub fn supervised_by(mut self, supervisor_id: Option<i64>) -> Self {
        self.supervisor_id = supervisor_id;
        self
    }

    /// Makes runs until told to stop. Waits out a database that is away, and start hooks that fail: whatever this process does beside it is
    /// not to stop for them.
    pub async fn run(&self, stop: &Stop) {
        let mut pause = RESTART_PAUSE;
        while let Err(hook) = self.run_once(stop).await {
            tracing::error!(error = %hook, "the scheduler tries again in a while");
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_RESTART_PAUSE);
        }
    }

    async fn run_once(&self, stop: &Stop) -> Result<(), HookError> {
        let life = Life::new(&self.config.hooks);
        let (reporter, reporting) = Reporter::start(&self.config.hooks, unlisted("Scheduler"));
        let mut ended = Ok(());
        let mut process = None;
        while !stop.is_requested() && ended.is_ok() {
            // A connection that was in use when others took this process for dead is not used again.
            let mut course = Course::new(&self.store, &self.config, &reporter);
            if !course.until_there_are_tasks(stop).await {
                break;
            }
            let application = Application {
                kind: "Scheduler",
                supervisor_id: self.supervisor_id,
                metadata: metadata(&course.agenda.keys()),
                max_interruptions: 0,
                declared: Declared::default(),
                reporter: reporter.clone(),
                health: self.config.health.clone(),
            };
            let Some(registration) = application.register(&self.store, stop).await else { break };
            tracing::info!(process_id = registration.process_id, name = registration.name, "start_process");
            process = Some(registration.process.clone());
            ended = self.live(&mut course, registration, &life, stop).await;
        }
        reporting.close().await;
        if let Some(process) = process {
            life.exit(&process).await;
        }
        ended
    }

    async fn live(
        &self,
        course: &mut Course,
        registration: Registration,
        life: &Life,
        stop: &Stop,
    ) -> Result<(), HookError> {
        let mut heart = tokio::spawn(heart::beat(self.store.clone(), registration.clone(), None));
        let work = async {
            life.start(&registration.process, stop).await?;
            course.follow(registration.process_id, stop).await;
            Ok(())
        };
        let ended = tokio::select! {
            ended = work => ended,
            _ = &mut heart => {
                tracing::error!(process_id = registration.process_id, "others take this process for dead; registering again");
                registration.reporter.engine("heartbeat", "others take this process for dead; it registers again");
                Ok(())
            }
        };
        if stop.is_requested() {
            life.stop(&registration.process, stop).await;
        }
        heart.abort();
        registration.leave(&self.store).await;
        tracing::info!(process_id = registration.process_id, name = registration.name, "shutdown_process");
        ended
    }
}

/// What Rails' pages show of a scheduler: the keys of its tasks, as many as there is room for.
fn metadata(keys: &[&str]) -> serde_json::Value {
    let mut room = SHOWN_BYTES;
    let fits = |key: &&&str| {
        // A character takes up to six bytes in JSON.
        let rest = room.checked_sub(key.chars().map(|c| if c.is_control() { 6 } else { c.len_utf8() * 2 }).sum());
        room = rest.unwrap_or(0);
        rest.is_some()
    };
    let shown: Vec<&str> = keys.iter().take_while(fits).copied().collect();
    match keys.len() - shown.len() {
        0 => json!({ "recurring_schedule": shown }),
        more => json!({ "recurring_schedule": shown, "more": more }),
    }
}

/// The database's time, carried on by the monotonic clock.
#[derive(Clone, Copy)]
struct Clock {
    now: Timestamp,
    read: Instant,
}

impl Clock {
    fn now(self) -> Timestamp {
        // Counted from when the answer came, so that it is never ahead.
        SignedDuration::try_from(self.read.elapsed())
            .ok()
            .and_then(|ago| self.now.checked_add(ago).ok())
            .unwrap_or(self.now)
    }
}

/// The tasks, and how far they have come.
struct Course {
    store: Store,
    link: Link,
    reporter: Reporter,
    health: Health,
    pulse: Pulse,
    /// Whether the tasks that a Rails application makes are run here, too.
    dynamic_tasks: bool,
    agenda: Agenda,
    mark: Option<ScheduleMark>,
    /// As of the last look. None: look before anything else.
    clock: Option<Clock>,
}

impl Course {
    fn new(store: &Store, config: &SchedulerConfig, reporter: &Reporter) -> Self {
        let (health, dynamic_tasks) = (config.health.clone(), config.dynamic_tasks);
        Course {
            store: store.clone(),
            link: Link::new(store, "schedule").reporting(reporter).counted(&health.metrics().connections),
            reporter: reporter.clone(),
            pulse: health.pulse("schedule", STUCK_AFTER),
            health,
            dynamic_tasks,
            agenda: Agenda::default(),
            mark: None,
            clock: None,
        }
    }

    /// False when told to stop before there are any.
    async fn until_there_are_tasks(&mut self, stop: &Stop) -> bool {
        while !stop.is_requested() {
            let looked = self.look().await;
            if looked.is_ok() && self.agenda.next().is_some() {
                self.link.answered();
                return true;
            }
            self.pause(looked.map(|_| LOOK_INTERVAL), stop).await;
        }
        false
    }

    /// Makes runs until told to stop.
    async fn follow(&mut self, process_id: i64, stop: &Stop) {
        while !stop.is_requested() {
            let round = self.round(process_id).await;
            self.pause(round, stop).await;
        }
    }

    async fn pause(&mut self, done: Result<Duration, Error>, stop: &Stop) {
        self.pulse.rest();
        let pause = async {
            match done {
                Ok(pause) => {
                    self.link.answered();
                    tokio::time::sleep(pause).await;
                }
                Err(error) => {
                    self.link.wait_after(&error).await;
                    self.clock = None;
                }
            }
        };
        tokio::select! {
            () = stop.requested() => {}
            () = pause => {}
        }
    }

    /// Makes what is due; how long there is nothing to do then.
    async fn round(&mut self, process_id: i64) -> Result<Duration, Error> {
        let clock = match self.clock.filter(|clock| clock.read.elapsed() < LOOK_INTERVAL) {
            Some(clock) => clock,
            None => {
                let (clock, changed) = self.look().await?;
                if changed {
                    let metadata = metadata(&self.agenda.keys());
                    in_time(self.link.session().await?.write_metadata(process_id, &metadata)).await?;
                }
                clock
            }
        };
        let due = self.agenda.due(clock.now(), RUNS_AT_ONCE);
        if !due.is_empty() {
            return self.make(&due, clock).await;
        }
        let until_look = LOOK_INTERVAL.saturating_sub(clock.read.elapsed());
        let until_run = self.agenda.next().map(|next| Duration::try_from(next.duration_since(clock.now())));
        Ok(until_run.map_or(until_look, |run| run.unwrap_or_default().min(until_look)))
    }

    /// Reads the time, and the tasks if any has changed; whether that was so.
    async fn look(&mut self) -> Result<(Clock, bool), Error> {
        self.pulse.turn();
        let session = self.link.session().await?;
        let mut mark = in_time(session.schedule_mark()).await?;
        let changed = !self.mark.is_some_and(|before| before.same_tasks(&mark));
        if changed && self.dynamic_tasks && in_time(session.follow_rails_tasks()).await? {
            mark = in_time(session.schedule_mark()).await?;
        }
        let clock = Clock { now: mark.now, read: Instant::now() };
        if changed {
            // After the mark: an edit in between shows at the next look.
            let mut tasks = in_time(session.tasks()).await?;
            tasks.retain(|task| self.dynamic_tasks || task.standing != TaskStanding::Followed);
            for (task, fault) in self.agenda.replace(tasks, clock.now()) {
                tracing::error!(task, fault, "this recurring task can't be run until it is put anew");
                self.reporter.engine(
                    "schedule",
                    format!("the recurring task {task} can't be run until it is put anew: {fault}"),
                );
            }
            self.mark = Some(mark);
        }
        self.clock = Some(clock);
        Ok((clock, changed))
    }

    async fn make(&mut self, due: &[DueTask], clock: Clock) -> Result<Duration, Error> {
        self.pulse.turn();
        let session = self.link.session().await?;
        let error = match in_time(session.run_tasks(due)).await {
            Ok(ran) => return Ok(self.note(due, ran, clock)),
            Err(error @ (Error::Data(_) | Error::Other(_) | Error::Denied(_) | Error::Refused(_))) => error,
            Err(error) => return Err(error),
        };
        match due {
            [run] => {
                self.put_off(run, &error, clock);
                Ok(Duration::ZERO)
            }
            // One job that can't be written keeps no other from being.
            _ => {
                let mut pause = Duration::ZERO;
                for run in due {
                    pause = pause.max(Box::pin(self.make(std::slice::from_ref(run), clock)).await?);
                }
                Ok(pause)
            }
        }
    }

    /// A run that the database refuses: for good, when that is for its data; else it is tried again, while the others go on.
    fn put_off(&mut self, run: &DueTask, error: &Error, clock: Clock) {
        let DueTask { key: task, run_at: at, .. } = run;
        if error.is_data() {
            tracing::error!(task, %at, %error, "the database refuses this run's job; it is left out");
            self.agenda.over(task, *at, clock.now());
        } else {
            let pause = self.agenda.put_off(task, clock.now());
            tracing::error!(task, %at, %error, seconds = pause.as_secs(), "the database refuses this run; it is put off");
        }
        self.reporter.engine("schedule", format!("the run of the recurring task {task} for {at}: {error}"));
    }

    fn note(&mut self, due: &[DueTask], ran: Vec<RanTask>, clock: Clock) -> Duration {
        let mut queues = BTreeSet::new();
        let mut pause = Duration::ZERO;
        for (run, ran) in due.iter().zip(ran) {
            let DueTask { key: task, run_at: at, .. } = run;
            match ran {
                RanTask::Enqueued(job) => {
                    tracing::info!(task, %at, job_id = job.job_id, active_job_id = job.id, "enqueue_recurring_task");
                    self.health.metrics().dispatches.recurring();
                    queues.insert(job.queue);
                }
                RanTask::Already => tracing::debug!(task, %at, skipped = true, "enqueue_recurring_task"),
                RanTask::Unreadable(fault) => {
                    tracing::error!(task, %at, fault, "this recurring task's job can't be made; the run is left out");
                    self.reporter.engine("schedule", format!("the job of the recurring task {task} for {at}: {fault}"));
                }
                RanTask::Changed => {
                    (self.mark, self.clock) = (None, None);
                    pause = SECOND_LOOK;
                    continue;
                }
                RanTask::Early => {
                    self.clock = None;
                    pause = SECOND_LOOK;
                    continue;
                }
            }
            self.agenda.over(task, *at, clock.now());
        }
        self.store.wake(queues);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_shows_of_its_tasks_fits_everywhere() {
        assert_eq!(metadata(&["a", "b"]), json!({ "recurring_schedule": ["a", "b"] }));
        let key = "\u{e9}\"".repeat(127);
        let shown = metadata(&vec![key.as_str(); 10_000]);
        let length = shown.to_string().len();
        assert!((8 * 1024..64 * 1024).contains(&length), "{length}");
        assert_eq!(
            shown["recurring_schedule"].as_array().unwrap().len() as u64 + shown["more"].as_u64().unwrap(),
            10_000
        );
    }
}
