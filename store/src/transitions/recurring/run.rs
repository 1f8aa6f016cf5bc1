//! Runs: each enqueues one job, whoever else tries the same.
//!
//! A run compares and sets the task's `run_after` under the lock of its companion row, in the transaction that enqueues. So it happens once
//! although finished jobs, and with them the rows of `solid_queue_recurring_executions`, are cleared. Those rows are what
//! Rails' scheduler goes by; the unique index on them decides between it and us.

use super::look::{TaskStanding, TaskView};
use super::rest::{no_such_task, of_rails};
use super::task::{TaskSchedule, arguments_of_a_run};
use crate::error::Error;
use crate::job::{Enqueued, NewJob};
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use crate::store::Store;
use crate::transitions::prepare::{Classes, Prepared};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A run whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTask {
    /// The task.
    pub key: String,
    /// For which moment.
    pub run_at: Timestamp,
    /// The schedule that this moment comes from: a task that has another one by now doesn't run for it.
    pub schedule: TaskSchedule,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RanTask {
    /// Its job is in the queue.
    Enqueued(Enqueued),
    /// Another scheduler, ours or Rails', was first, or a later run has been made since.
    Already,
    /// The task is another one by now, rests, or is gone: read it again.
    Changed,
    /// By the database's clock its time has not come.
    Early,
    /// Its row can't be read; why.
    Unreadable(String),
}

impl Store {
    /// Enqueues a task's job now, by hand, and wakes workers. Recorded as a run of this moment; the schedule goes on as it was. A suspended
    /// task runs too.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such task, or it is Rails'; those of the database.
    pub async fn run_task_now(&self, key: &str) -> Result<Enqueued, Error> {
        let enqueued = self.session().await?.run_task_now(key).await?;
        self.wake([enqueued.queue.clone()]);
        Ok(enqueued)
    }
}

impl Session<'_> {
    /// Makes runs, at most one of a task in a call, all in one transaction. What became of each stands in their order. Wakes nobody.
    ///
    /// # Errors
    /// [`Error::Data`] when the database refuses one of the jobs; those of the database. No run was made then.
    pub async fn run_tasks(&mut self, due: &[DueTask]) -> Result<Vec<RanTask>, Error> {
        let keys: Vec<String> = due.iter().map(|due| due.key.clone()).collect();
        if keys.iter().collect::<HashSet<_>>().len() != keys.len() {
            return Err(Error::Refused("two runs of one recurring task can't be made in one call".into()));
        }
        // Without locks first: of several schedulers all but one come too late, and need not wait for each other.
        let sql = "select task_key, run_after from gritstone_schedule where task_key in ?";
        let mut over = HashMap::new();
        for row in self.query(sql, &values![&keys]).await? {
            over.insert(row.text(0)?, row.time(1)?);
        }
        if due.iter().all(|due| over.get(&due.key).is_some_and(|run_after| *run_after >= due.run_at)) {
            return Ok(vec![RanTask::Already; due.len()]);
        }
        let classes = self.class_defaults().await?;
        transaction!(self, self.run_script(due, &keys, &classes).await)
    }

    async fn run_script(&mut self, due: &[DueTask], keys: &[String], classes: &Classes) -> Result<Vec<RanTask>, Error> {
        let tasks: HashMap<String, TaskView> =
            self.lock_tasks(keys).await?.into_iter().map(|task| (task.key.clone(), task)).collect();
        let now = self.now().await?;
        let elsewhere = self.recorded(due, keys).await?;
        let mut ran: Vec<Option<RanTask>> = Vec::with_capacity(due.len());
        let mut jobs: Vec<(usize, NewJob)> = Vec::new();
        let mut over: BTreeMap<Timestamp, Vec<String>> = BTreeMap::new();
        for (position, due) in due.iter().enumerate() {
            let outcome = match tasks.get(&due.key) {
                Some(task) if task.runs() && task.schedule == due.schedule => {
                    if task.run_after.is_none_or(|run_after| run_after >= due.run_at) {
                        Some(RanTask::Already)
                    } else if due.run_at > now {
                        Some(RanTask::Early)
                    } else if elsewhere.contains(&(due.key.clone(), due.run_at)) {
                        over.entry(due.run_at).or_default().push(due.key.clone());
                        Some(RanTask::Already)
                    } else {
                        match job_of(task, classes) {
                            Ok(job) => {
                                over.entry(due.run_at).or_default().push(due.key.clone());
                                jobs.push((position, job));
                                None
                            }
                            Err(fault) => Some(RanTask::Unreadable(fault)),
                        }
                    }
                }
                _ => Some(RanTask::Changed),
            };
            ran.push(outcome);
        }
        let run = |position: usize| (due[position].key.as_str(), due[position].run_at);
        let enqueued = self.enqueue_runs(&jobs, classes, run).await?;
        for (run_at, keys) in &over {
            self.pass(*run_at, keys).await?;
        }
        for ((position, _), enqueued) in jobs.into_iter().zip(enqueued) {
            ran[position] = Some(RanTask::Enqueued(enqueued));
        }
        Ok(ran.into_iter().map(|outcome| outcome.unwrap_or(RanTask::Changed)).collect())
    }

    /// The compare-and-set: runs up to this moment are over.
    async fn pass(&mut self, run_at: Timestamp, keys: &[String]) -> Result<(), Error> {
        let sql = "update gritstone_schedule set run_after = ?, last_run_at = ? where task_key in ? and run_after < ?";
        let passed = self.execute(sql, &[run_at.into(), run_at.into(), keys.into(), run_at.into()]).await?;
        match passed == keys.len() as u64 {
            true => Ok(()),
            false => Err(Error::Conflict("a recurring task's runs went on although its row is locked".into())),
        }
    }

    /// Which of these runs are recorded already: Rails' scheduler made them.
    async fn recorded(&mut self, due: &[DueTask], keys: &[String]) -> Result<HashSet<(String, Timestamp)>, Error> {
        let times = || due.iter().map(|due| due.run_at);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(HashSet::new()) };
        let sql = format!(
            "select task_key, run_at from solid_queue_recurring_executions where task_key in ? and run_at >= ? and run_at <= ?{}",
            self.latest()
        );
        let rows = self.query(&sql, &[keys.into(), first.into(), last.into()]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.time(1)?))).collect()
    }

    /// Enqueues the jobs of runs and records which run each is of.
    async fn enqueue_runs<'r>(
        &mut self,
        jobs: &[(usize, NewJob)],
        classes: &Classes,
        run: impl Fn(usize) -> (&'r str, Timestamp),
    ) -> Result<Vec<Enqueued>, Error> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let prepared = Prepared::all(jobs.iter().map(|(_, job)| job), classes)?;
        let enqueued = self.enqueue_script(&prepared).await?;
        let sql = format!(
            "insert into solid_queue_recurring_executions (job_id, task_key, run_at, created_at) values {}",
            vec!["(?, ?, ?, ?)"; jobs.len()].join(", ")
        );
        let mut values = Vec::with_capacity(jobs.len() * 4);
        for ((position, _), enqueued) in jobs.iter().zip(&enqueued) {
            let (key, run_at) = run(*position);
            values.extend([enqueued.job_id.into(), key.into(), run_at.into(), Value::NOW]);
        }
        match self.execute(&sql, &values).await {
            Ok(_) => Ok(enqueued),
            // Rails came in between; another look sees its run.
            Err(Error::Duplicate(text)) => Err(Error::Conflict(text)),
            Err(error) => Err(error),
        }
    }

    /// The same as [`Store::run_task_now`], on this connection; wakes nobody.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such task, or it is Rails'; those of the database.
    pub async fn run_task_now(&mut self, key: &str) -> Result<Enqueued, Error> {
        let classes = self.class_defaults().await?;
        transaction!(self, self.run_by_hand(key, &classes).await)
    }

    async fn run_by_hand(&mut self, key: &str, classes: &Classes) -> Result<Enqueued, Error> {
        self.lock_tasks(&[key.to_owned()]).await?;
        let task = match self.task(key).await? {
            None => return Err(no_such_task(key)),
            Some(task) if matches!(task.standing, TaskStanding::Rails | TaskStanding::Overwritten) => {
                return Err(of_rails(key));
            }
            Some(task) if task.standing == TaskStanding::Deleted => {
                return Err(Error::Refused(format!(
                    "the row of the recurring task {key} was deleted: its owner, {}, has to put it again",
                    task.owner
                )));
            }
            Some(task) => task,
        };
        let job = job_of(&task, classes)
            .map_err(|fault| Error::Refused(format!("the recurring task {key} can't run: {fault}")))?;
        let now = self.now().await?;
        let jobs = [(0, job)];
        let enqueued = self.enqueue_runs(&jobs, classes, |_| (key, now)).await?.pop();
        self.execute("update gritstone_schedule set last_run_at = ? where task_key = ?", &[now.into(), key.into()])
            .await?;
        enqueued.ok_or_else(|| Error::Other("a recurring task's job was not written".into()))
    }
}

/// The job of a run.
fn job_of(task: &TaskView, classes: &Classes) -> Result<NewJob, String> {
    let class = task.class.clone().ok_or("it has no class, and Ruby runs in Rails alone")?;
    let mut job = NewJob::new(class, arguments_of_a_run(task.arguments.as_deref())?);
    job.queue.clone_from(&task.queue);
    job.priority = task.priority;
    match Prepared::of(&job, classes, Timestamp::UNIX_EPOCH) {
        Ok(_) => Ok(job),
        Err(error) => Err(error.to_string()),
    }
}
