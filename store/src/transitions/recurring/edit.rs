//! Putting and removing tasks. Only an owner changes what is its own.

use super::look::{REVISION, TaskStanding, TaskView};
use super::task::{NewTask, TaskSchedule};
use super::{MissedRuns, RAILS};
use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::{Value, micros, values};
use crate::store::Store;
use std::collections::HashSet;

/// What putting a task did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutTask {
    /// There was none.
    Created,
    /// It was another one.
    Changed,
    /// It was there already, just so.
    Unchanged,
}

/// A key that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenKey {
    /// The key, as it was wanted.
    pub key: String,
    /// As it is in the database, which may take two keys for one that differ only in case.
    pub taken: String,
    /// Who has it; [`RAILS`] for Rails.
    pub owner: String,
}

impl std::fmt::Display for TakenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TakenKey { key, taken, owner } = self;
        write!(f, "the recurring task {key} belongs to {owner}")?;
        if key != taken {
            write!(f, ", as {taken}, which this database takes for the same key")?;
        }
        match owner.as_str() {
            RAILS => f.write_str(": give this one another key, or remove it from Rails' config/recurring.yml"),
            _ => f.write_str(": give this one another key, or have its owner remove it"),
        }
    }
}

/// What putting all tasks of an owner did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplacedTasks {
    /// Keys of tasks that are new.
    pub created: Vec<String>,
    /// Keys of tasks that are other ones now.
    pub changed: Vec<String>,
    /// Keys of the owner's tasks that are gone now.
    pub removed: Vec<String>,
    /// Tasks that were left out, since somebody else has their keys.
    pub taken: Vec<TakenKey>,
}

impl Store {
    /// Puts a task: makes it, or changes the one that the same owner put under this key before. Schedulers know it within seconds.
    ///
    /// # Errors
    /// [`Error::Refused`] when somebody else has a task under this key, or the task makes no sense; those of the database.
    pub async fn put_task(&self, owner: &str, task: &NewTask) -> Result<PutTask, Error> {
        self.session().await?.put_task(owner, task).await
    }

    /// Removes a task of this owner; false when there is none. Jobs that it has enqueued stay.
    ///
    /// # Errors
    /// [`Error::Refused`] when the task is somebody else's; those of the database.
    pub async fn remove_task(&self, owner: &str, key: &str) -> Result<bool, Error> {
        self.session().await?.remove_task(owner, key).await
    }
}

impl Session<'_> {
    /// The same as [`Store::put_task`], on this connection.
    ///
    /// # Errors
    /// [`Error::Refused`] when somebody else has a task under this key, or the task makes no sense; those of the database.
    pub async fn put_task(&mut self, owner: &str, task: &NewTask) -> Result<PutTask, Error> {
        check_owner(owner)?;
        task.check()?;
        if self.task(&task.key).await?.is_some_and(|found| found.owner == owner && is_so(&found, task)) {
            return Ok(PutTask::Unchanged);
        }
        transaction!(
            self,
            async {
                let revision = self.lock_revision().await?;
                let put = match self.put_script(owner, task).await? {
                    Ok(put) => put,
                    Err(taken) => return Err(Error::Refused(taken.to_string())),
                };
                self.count_edit(revision).await?;
                Ok(put)
            }
            .await
        )
    }

    /// Makes the tasks of an owner be these and no others. Tasks whose keys somebody else has are left out.
    ///
    /// # Errors
    /// [`Error::Refused`] when a task makes no sense or two have one key; those of the database. Nothing is changed then.
    pub async fn replace_tasks(&mut self, owner: &str, tasks: &[NewTask]) -> Result<ReplacedTasks, Error> {
        check_owner(owner)?;
        let mut wanted = HashSet::new();
        for task in tasks {
            task.check()?;
            if !wanted.insert(task.key.as_str()) {
                return Err(Error::Refused(format!("two recurring tasks have the key {}: rename one", task.key)));
            }
        }
        let mut before = self.tasks().await?;
        before.retain(|found| found.owner == owner);
        let as_they_are = before.len() == tasks.len()
            && tasks.iter().all(|task| before.iter().any(|found| found.key == task.key && is_so(found, task)));
        if as_they_are {
            return Ok(ReplacedTasks::default());
        }
        transaction!(self, self.replace_script(owner, tasks, &wanted).await)
    }

    async fn replace_script(
        &mut self,
        owner: &str,
        tasks: &[NewTask],
        wanted: &HashSet<&str>,
    ) -> Result<ReplacedTasks, Error> {
        let revision = self.lock_revision().await?;
        let mut done = ReplacedTasks::default();
        for found in self.tasks().await?.into_iter().filter(|found| found.owner == owner) {
            if !wanted.contains(found.key.as_str()) {
                self.remove_script(&found.key).await?;
                done.removed.push(found.key);
            }
        }
        for task in tasks {
            match self.put_script(owner, task).await? {
                Ok(PutTask::Created) => done.created.push(task.key.clone()),
                Ok(PutTask::Changed) => done.changed.push(task.key.clone()),
                Ok(PutTask::Unchanged) => {}
                Err(taken) => done.taken.push(taken),
            }
        }
        if !(done.created.is_empty() && done.changed.is_empty() && done.removed.is_empty()) {
            self.count_edit(revision).await?;
        }
        Ok(done)
    }

    /// The same as [`Store::remove_task`], on this connection.
    ///
    /// # Errors
    /// [`Error::Refused`] when the task is somebody else's; those of the database.
    pub async fn remove_task(&mut self, owner: &str, key: &str) -> Result<bool, Error> {
        check_owner(owner)?;
        transaction!(
            self,
            async {
                let revision = self.lock_revision().await?;
                match self.task(key).await? {
                    None => return Ok(false),
                    Some(found) if found.owner != owner => {
                        return Err(Error::Refused(format!(
                            "the recurring task {key} belongs to {}, which alone removes it",
                            found.owner
                        )));
                    }
                    Some(_) => self.remove_script(key).await?,
                }
                self.count_edit(revision).await?;
                Ok(true)
            }
            .await
        )
    }

    /// Locks the number that counts edits, so that one edit comes after the other; its value.
    pub(super) async fn lock_revision(&mut self) -> Result<i64, Error> {
        let sql = format!(
            "insert into gritstone_settings (name, value, updated_at) values (?, '0', ?){}",
            self.dialect.unless_there("name")
        );
        self.execute(&sql, &[REVISION.into(), Value::NOW]).await?;
        let lock = self.dialect.for_update(false);
        let sql = format!("select value from gritstone_settings where name = ?{lock}");
        let row = self.query_one(&sql, &values![REVISION]).await?;
        Ok(row.map(|row| row.text(0)).transpose()?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Counts an edit, so that schedulers notice it.
    pub(super) async fn count_edit(&mut self, revision: i64) -> Result<(), Error> {
        let sql = "update gritstone_settings set value = ?, updated_at = ? where name = ?";
        let next = revision.wrapping_add(1).to_string();
        self.execute(sql, &[next.into(), Value::NOW, REVISION.into()]).await?;
        Ok(())
    }

    pub(super) async fn put_script(&mut self, owner: &str, task: &NewTask) -> Result<Result<PutTask, TakenKey>, Error> {
        let key = &task.key;
        // By the database's own idea of equal keys.
        let found = self.lock_tasks(std::slice::from_ref(key)).await?.pop();
        if let Some(found) = &found
            && (found.owner != owner || found.key != *key)
        {
            return Ok(Err(taken(key, &found.key, &found.owner)));
        }
        let row = self.row_of_key(key).await?;
        let mut own_row = self.row_of_companion(key).await?;
        let there = row.is_some();
        if let Some((id, stored, is_static)) = row {
            let is_ours =
                own_row == Some(id) && (!is_static || found.as_ref().is_some_and(|found| found.time_zone.is_some()));
            // Rails' scheduler has written it, from the file that the task is of.
            let is_the_same_task = is_static && task.static_zone.is_some() && stored == *key;
            if !is_ours && !is_the_same_task {
                return Ok(Err(taken(key, &stored, RAILS)));
            }
            own_row = Some(id);
        }
        let Some(found) = found else {
            self.create(owner, task, own_row).await?;
            return Ok(Ok(PutTask::Created));
        };
        if is_so(&found, task) {
            return Ok(Ok(PutTask::Unchanged));
        }
        let row_id = match (&task.schedule, own_row.filter(|_| there)) {
            (TaskSchedule::Cron(cron), Some(id)) => {
                self.update_row(id, task, cron).await?;
                Some(id)
            }
            (TaskSchedule::Cron(cron), None) => Some(self.insert_row(task, cron).await?),
            (TaskSchedule::Every { .. }, Some(id)) => {
                self.delete_row(id).await?;
                None
            }
            (TaskSchedule::Every { .. }, None) => None,
        };
        // What the old schedule missed, and what the new one would have run before it was made, is no missed run.
        let starts_anew = (&found.schedule, &found.time_zone) != (&task.schedule, &task.static_zone)
            || found.standing != TaskStanding::Ours
            || found.suspended && !task.suspended;
        let mut sets = String::from(
            "recurring_task_id = ?, every_micros = ?, offset_micros = ?, class_name = ?, arguments = ?, queue_name = ?, \
             priority = ?, description = ?, missed_runs = ?, missed_limit = ?, suspended = ?, time_zone = ?, updated_at = ?",
        );
        let mut values = columns(task, row_id);
        values.push(Value::NOW);
        if starts_anew {
            sets.push_str(", run_after = ?");
            values.push(self.later_of_now_and(found.run_after).await?);
        }
        values.push(key.into());
        self.execute(&format!("update gritstone_schedule set {sets} where task_key = ?"), &values).await?;
        Ok(Ok(PutTask::Changed))
    }

    /// `row` is one of Rails' table that is this task already.
    async fn create(&mut self, owner: &str, task: &NewTask, row: Option<i64>) -> Result<(), Error> {
        let row_id = match (&task.schedule, row) {
            (TaskSchedule::Cron(cron), None) => Some(self.insert_row(task, cron).await?),
            (TaskSchedule::Cron(cron), Some(id)) => {
                self.update_row(id, task, cron).await?;
                Some(id)
            }
            (TaskSchedule::Every { .. }, _) => None,
        };
        let sql = "insert into gritstone_schedule (task_key, owner, recurring_task_id, every_micros, offset_micros, class_name, arguments, \
                   queue_name, priority, description, missed_runs, missed_limit, suspended, time_zone, run_after, created_at, updated_at) \
                   values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut values: Vec<Value<'_>> = values![&task.key, owner].into();
        values.extend(columns(task, row_id));
        values.extend([Value::NOW, Value::NOW, Value::NOW]);
        self.execute(sql, &values).await?;
        Ok(())
    }

    /// A row of Rails' table under a key that the database takes for this one: its id, its key, whether it is Rails' static one.
    async fn row_of_key(&mut self, key: &str) -> Result<Option<(i64, String, bool)>, Error> {
        let column = self.dialect.key_column();
        let lock = self.dialect.for_update(false);
        let sql = format!("select id, {column}, static from solid_queue_recurring_tasks where {column} = ?{lock}");
        let row = self.query_one(&sql, &values![key]).await?;
        row.map(|row| Ok((row.int(0)?, row.text(1)?, row.int(2)? != 0))).transpose()
    }

    async fn row_of_companion(&mut self, key: &str) -> Result<Option<i64>, Error> {
        let sql = "select recurring_task_id from gritstone_schedule where task_key = ?";
        self.query_one(sql, &values![key]).await?.map_or(Ok(None), |row| row.opt_int(0))
    }

    /// Rails deletes static rows that its own configuration lacks, so ours are dynamic ones, but for those of that configuration.
    async fn insert_row(&mut self, task: &NewTask, cron: &str) -> Result<i64, Error> {
        let column = self.dialect.key_column();
        let sql = format!(
            "insert into solid_queue_recurring_tasks ({column}, schedule, class_name, arguments, queue_name, priority, static, \
             description, created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let mut values: Vec<Value<'_>> = values![&task.key, cron].into();
        values.extend(job_columns(task));
        values.extend([task.static_zone.is_some().into(), (&task.description).into(), Value::NOW, Value::NOW]);
        match self.execute(&sql, &values).await {
            Ok(_) => {}
            // Rails came in between; another look sees that the key is taken.
            Err(Error::Duplicate(text)) => return Err(Error::Conflict(text)),
            Err(error) => return Err(error),
        }
        match self.row_of_key(&task.key).await? {
            Some((id, ..)) => Ok(id),
            None => Err(Error::Other("a recurring task that was just written can't be read back".into())),
        }
    }

    async fn update_row(&mut self, id: i64, task: &NewTask, cron: &str) -> Result<(), Error> {
        let sql = "update solid_queue_recurring_tasks set schedule = ?, class_name = ?, arguments = ?, queue_name = ?, priority = ?, \
                   description = ?, static = ?, command = null, updated_at = ? where id = ?";
        let mut values: Vec<Value<'_>> = values![cron].into();
        values.extend(job_columns(task));
        values.extend([(&task.description).into(), task.static_zone.is_some().into(), Value::NOW, id.into()]);
        self.execute(sql, &values).await?;
        Ok(())
    }

    async fn delete_row(&mut self, id: i64) -> Result<(), Error> {
        // One that Rails has overwritten is Rails'.
        let sql = "delete from solid_queue_recurring_tasks where id = ? and (static = ? or exists \
                   (select 1 from gritstone_schedule s where s.recurring_task_id = ? and s.time_zone is not null))";
        self.execute(sql, &values![id, false, id]).await?;
        Ok(())
    }

    pub(super) async fn remove_script(&mut self, key: &str) -> Result<(), Error> {
        let keys = [key.to_owned()];
        self.lock_tasks(&keys).await?;
        if let Some(id) = self.row_of_companion(key).await? {
            self.delete_row(id).await?;
        }
        self.execute("delete from gritstone_schedule where task_key = ?", &values![key]).await?;
        Ok(())
    }

    /// The present, or a moment beyond it that runs have come to already.
    pub(super) async fn later_of_now_and(
        &mut self,
        run_after: Option<jiff::Timestamp>,
    ) -> Result<Value<'static>, Error> {
        let now = self.now().await?;
        Ok(run_after.map_or(now, |run_after| run_after.max(now)).into())
    }
}

fn taken(key: &str, taken: &str, owner: &str) -> TakenKey {
    TakenKey { key: key.into(), taken: taken.into(), owner: owner.into() }
}

pub(super) fn check_owner(owner: &str) -> Result<(), Error> {
    match owner {
        RAILS => Err(Error::Refused("Rails' recurring tasks are Rails' own: act under another owner".into())),
        _ if owner.trim().is_empty() => {
            Err(Error::Refused("recurring tasks need an owner: the given one is empty".into()))
        }
        _ if owner.contains('\0') => {
            Err(Error::Refused("the owner of recurring tasks contains a NUL character".into()))
        }
        _ => Ok(()),
    }
}

/// True when the task is there just as it is wanted.
pub(super) fn is_so(found: &TaskView, task: &NewTask) -> bool {
    let TaskView {
        standing,
        schedule,
        time_zone,
        class,
        arguments,
        queue,
        priority,
        description,
        missed_runs,
        suspended,
        ..
    } = found;
    *standing == TaskStanding::Ours
        && *schedule == task.schedule
        && found.command.is_none()
        && class.as_ref() == Some(&task.class)
        && *arguments == task.encoded_arguments()
        && *queue == task.queue
        && *priority == task.priority
        && *description == task.description
        && MissedRuns::to_columns(*missed_runs) == task.missed_runs.to_columns()
        && *suspended == task.suspended
        && *time_zone == task.static_zone
}

/// What the job is made of: class, arguments, queue, priority.
fn job_columns(task: &NewTask) -> [Value<'_>; 4] {
    [
        (&task.class).into(),
        Value::Text(task.encoded_arguments().map(Into::into)),
        (&task.queue).into(),
        task.priority.map(i64::from).into(),
    ]
}

/// The companion row's columns that an owner says, from `recurring_task_id` to `suspended`, and `time_zone`.
fn columns(task: &NewTask, row_id: Option<i64>) -> Vec<Value<'_>> {
    let mut values: Vec<Value<'_>> = vec![row_id.into()];
    match &task.schedule {
        TaskSchedule::Cron(_) => values.extend(values![
            None::<i64>,
            None::<i64>,
            None::<&str>,
            None::<&str>,
            None::<&str>,
            None::<i64>,
            None::<&str>
        ]),
        TaskSchedule::Every { every, offset } => {
            values.extend(values![micros(*every), micros(*offset)]);
            values.extend(job_columns(task));
            values.push((&task.description).into());
        }
    }
    let (policy, limit) = task.missed_runs.to_columns();
    values.extend(values![policy, limit, task.suspended]);
    values.push((&task.static_zone).into());
    values
}
