//! Reading tasks: for schedulers, which need all of them and then only news, and for people.

use super::RAILS;
use super::task::{MissedRuns, TaskSchedule};
use crate::error::Error;
use crate::session::Session;
use crate::sql::{Row, Value, values};
use crate::transitions::JobState;
use jiff::Timestamp;
use std::time::Duration;

/// A recurring task as it is in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// Its name.
    pub key: String,
    /// Whose it is; [`RAILS`] for Rails' own.
    pub owner: String,
    /// Whether that is still so, and whether it runs here.
    pub standing: TaskStanding,
    /// When it runs.
    pub schedule: TaskSchedule,
    /// The time zone in which that is meant when it names none: UTC, when absent. Tasks of Rails' `recurring.yml` have one.
    pub time_zone: Option<String>,
    /// The class of its jobs. None for a line of Ruby, which only Rails can run.
    pub class: Option<String>,
    /// That line.
    pub command: Option<String>,
    /// The arguments as Active Job keeps them, a JSON array; none, when absent.
    pub arguments: Option<String>,
    /// Their queue; `default` when absent.
    pub queue: Option<String>,
    /// Their priority; 0 when absent.
    pub priority: Option<i32>,
    /// For people.
    pub description: Option<String>,
    /// What to do about runs that nobody came to in time.
    pub missed_runs: MissedRuns,
    /// Whether its owner lets it rest.
    pub suspended: bool,
    /// Whether somebody lets it rest by hand.
    pub suspended_by_hand: bool,
    /// Runs up to this moment are over. None where no runs are made here.
    pub run_after: Option<Timestamp>,
    /// The last run that was made here, by the clock or by hand.
    pub last_run_at: Option<Timestamp>,
}

/// How a task stands between us and Rails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStanding {
    /// Ours, and run here.
    Ours,
    /// Rails' own: left alone.
    Rails,
    /// Rails' own dynamic one, run here since that was asked for.
    Followed,
    /// Rails has put a task of its own under the same key since: left alone.
    Overwritten,
    /// Somebody has deleted its row: not run until it is put again.
    Deleted,
}

impl TaskView {
    /// True when schedulers run it.
    pub fn runs(&self) -> bool {
        let here = matches!(self.standing, TaskStanding::Ours | TaskStanding::Followed);
        here && self.class.is_some() && !self.suspended && !self.suspended_by_hand
    }
}

/// The last run of a task whose job is still there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TaskRun {
    /// The task.
    pub key: String,
    /// For which moment.
    pub run_at: Timestamp,
    /// The job's row.
    pub job_id: i64,
    /// Where the job is now.
    pub state: JobState,
}

/// What tells that a task has been added, changed or removed: two marks that are equal but for `now` are of the same tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleMark {
    /// Counts our own edits.
    revision: i64,
    /// Rails' table: how many rows, and when one was last written.
    rows: i64,
    written: Option<Timestamp>,
    /// The database's present time.
    pub now: Timestamp,
}

impl ScheduleMark {
    /// True when nothing has changed from one to the other.
    pub fn same_tasks(&self, other: &ScheduleMark) -> bool {
        (self.revision, self.rows, self.written) == (other.revision, other.rows, other.written)
    }
}

/// The setting that counts edits.
pub(super) const REVISION: &str = "schedule_revision";

/// What is read of a companion row, in this order, and behind it what [`ROW`] names of the row in Rails' table.
const COMPANION: &str = "s.task_key, s.owner, s.recurring_task_id, s.every_micros, s.offset_micros, s.class_name, s.arguments, \
    s.queue_name, s.priority, s.description, s.missed_runs, s.missed_limit, s.suspended, s.suspended_by_hand, s.run_after, \
    s.last_run_at, s.time_zone";

/// What is read of a row in Rails' table.
const ROW: &str =
    "t.id, t.schedule, t.command, t.class_name, t.arguments, t.queue_name, t.priority, t.static, t.description";

/// Where [`ROW`] begins behind [`COMPANION`].
const ROW_AT: usize = 17;

impl Session<'_> {
    /// What tells that a task has changed, and the database's time: one small query.
    ///
    /// Behind Rails' and anyone's own SQL it sees additions, removals and changes that write `updated_at`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn schedule_mark(&mut self) -> Result<ScheduleMark, Error> {
        let now = if self.dialect.is_mysql() { "cast(? as datetime(6))" } else { "?" };
        let sql = format!(
            "select (select value from gritstone_settings where name = ?), (select count(*) from solid_queue_recurring_tasks), \
             (select max(updated_at) from solid_queue_recurring_tasks), {now}"
        );
        let Some(row) = self.query_one(&sql, &[REVISION.into(), Value::NOW]).await? else {
            return Err(Error::Other("asked for the schedule's mark, the database gave none".into()));
        };
        let revision = row.opt_text(0)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(ScheduleMark { revision, rows: row.int(1)?, written: row.opt_time(2)?, now: row.time(3)? })
    }

    /// The tasks that somebody here has put, or that are followed, by key. Not those that Rails alone runs.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tasks(&mut self) -> Result<Vec<TaskView>, Error> {
        self.companions("", &[]).await
    }

    /// All tasks by key, those that Rails alone runs too, and the database's time.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn all_tasks(&mut self) -> Result<(Vec<TaskView>, Timestamp), Error> {
        let mut mark = self.schedule_mark().await?;
        loop {
            let mut tasks = self.tasks().await?;
            tasks.extend(self.rails_tasks().await?);
            let now = self.schedule_mark().await?;
            // One that somebody here took over from Rails between the two would be in neither.
            if now.same_tasks(&mark) {
                tasks.sort_by(|a, b| a.key.cmp(&b.key));
                return Ok((tasks, now.now));
            }
            mark = now;
        }
    }

    /// The tasks that Rails alone runs.
    async fn rails_tasks(&mut self) -> Result<Vec<TaskView>, Error> {
        let key = self.dialect.key_column();
        let sql = format!(
            "select t.{key}, {ROW} from solid_queue_recurring_tasks t \
             where not exists (select 1 from gritstone_schedule s where s.recurring_task_id = t.id)"
        );
        self.query(&sql, &[]).await?.iter().map(of_rails).collect()
    }

    /// One task, whoever's it is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn task(&mut self, key: &str) -> Result<Option<TaskView>, Error> {
        let found = self.companions("where s.task_key = ?", &values![key]).await?;
        if let Some(task) = found.into_iter().find(|task| task.key == key) {
            return Ok(Some(task));
        }
        let column = self.dialect.key_column();
        let sql = format!("select t.{column}, {ROW} from solid_queue_recurring_tasks t where t.{column} = ?");
        let task = self.query_one(&sql, &values![key]).await?.as_ref().map(of_rails).transpose()?;
        Ok(task.filter(|task| task.key == key))
    }

    /// The last runs of these tasks whose jobs are still there. A job that was cleared takes its run with it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_task_runs(&mut self, keys: &[String]) -> Result<Vec<TaskRun>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "select e.task_key, e.run_at, e.job_id from solid_queue_recurring_executions e where e.task_key in ? and e.run_at = \
                   (select max(l.run_at) from solid_queue_recurring_executions l where l.task_key = e.task_key) order by e.task_key";
        let rows = self.query(sql, &values![keys]).await?;
        let ids = rows.iter().map(|row| row.int(2)).collect::<Result<Vec<_>, _>>()?;
        let states = self.job_states(&ids).await?;
        let run = |row: &Row| -> Result<Option<TaskRun>, Error> {
            let job_id = row.int(2)?;
            let Some(state) = states.get(&job_id).copied() else { return Ok(None) };
            Ok(Some(TaskRun { key: row.text(0)?, run_at: row.time(1)?, job_id, state }))
        };
        rows.iter().filter_map(|row| run(row).transpose()).collect()
    }

    /// Tasks with a companion row, by key.
    pub(super) async fn companions(&mut self, filter: &str, values: &[Value<'_>]) -> Result<Vec<TaskView>, Error> {
        let sql = format!(
            "select {COMPANION}, {ROW} from gritstone_schedule s \
             left join solid_queue_recurring_tasks t on t.id = s.recurring_task_id {filter} order by s.task_key"
        );
        self.query(&sql, values).await?.iter().map(companion).collect()
    }

    /// Locks these tasks' companion rows and reads them, in the order of their keys.
    ///
    /// The rows in Rails' table are read behind the locks, in a statement of their own: no database locks one side of an outer join
    /// the way all others do.
    pub(super) async fn lock_tasks(&mut self, keys: &[String]) -> Result<Vec<TaskView>, Error> {
        let lock = self.dialect.for_update(false);
        let sql = format!("select task_key from gritstone_schedule where task_key in ? order by task_key{lock}");
        self.query(&sql, &values![keys]).await?;
        self.companions("where s.task_key in ?", &values![keys]).await
    }
}

fn companion(row: &Row) -> Result<TaskView, Error> {
    let owner = row.text(1)?;
    let has_row = row.opt_int(2)?.is_some();
    let time_zone = row.opt_text(16)?;
    let standing = match (has_row, row.opt_int(ROW_AT)?, row.opt_int(ROW_AT + 7)?) {
        (true, None, _) => TaskStanding::Deleted,
        // What Rails' scheduler writes there is the same task, from the same file.
        (true, Some(_), Some(is_static)) if is_static != 0 && time_zone.is_none() => TaskStanding::Overwritten,
        _ if owner == RAILS => TaskStanding::Followed,
        _ => TaskStanding::Ours,
    };
    // An interval is described in the companion row, everything else in Rails' table.
    let (schedule, at, description) = match (row.opt_int(3)?, has_row) {
        (Some(every), false) => (every_micros(every, row.opt_int(4)?), 5, 9),
        _ => (TaskSchedule::Cron(row.opt_text(ROW_AT + 1)?.unwrap_or_default()), ROW_AT + 3, ROW_AT + 8),
    };
    Ok(TaskView {
        key: row.text(0)?,
        owner,
        standing,
        schedule,
        time_zone,
        command: row.opt_text(ROW_AT + 2)?,
        class: row.opt_text(at)?,
        arguments: row.opt_text(at + 1)?,
        queue: row.opt_text(at + 2)?,
        priority: row.opt_int(at + 3)?.map(|n| n as i32),
        description: row.opt_text(description)?,
        missed_runs: MissedRuns::from_columns(&row.text(10)?, row.int(11)?),
        suspended: row.int(12)? != 0,
        suspended_by_hand: row.int(13)? != 0,
        run_after: Some(row.time(14)?),
        last_run_at: row.opt_time(15)?,
    })
}

/// A key and [`ROW`].
fn of_rails(row: &Row) -> Result<TaskView, Error> {
    Ok(TaskView {
        key: row.text(0)?,
        owner: RAILS.into(),
        standing: TaskStanding::Rails,
        schedule: TaskSchedule::Cron(row.text(2)?),
        time_zone: None,
        command: row.opt_text(3)?,
        class: row.opt_text(4)?,
        arguments: row.opt_text(5)?,
        queue: row.opt_text(6)?,
        priority: row.opt_int(7)?.map(|n| n as i32),
        description: row.opt_text(9)?,
        missed_runs: MissedRuns::Skip,
        suspended: false,
        suspended_by_hand: false,
        run_after: None,
        last_run_at: None,
    })
}

fn every_micros(every: i64, offset: Option<i64>) -> TaskSchedule {
    let duration = |micros: i64| Duration::from_micros(micros.max(0) as u64);
    TaskSchedule::Every { every: duration(every), offset: duration(offset.unwrap_or(0)) }
}
