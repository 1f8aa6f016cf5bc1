//! Whether anything about the tasks is otherwise than before, for those who show how they stand.

use super::look::ScheduleMark;
use crate::error::Error;
use crate::session::Session;
use jiff::Timestamp;

/// What tells that a task was edited or has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleNews {
    /// What tells of edits, and the database's present time.
    pub mark: ScheduleMark,
    /// The latest note of a run, which goes when its job is cleared.
    noted: Option<i64>,
    /// The latest moment that a run was for.
    run_at: Option<Timestamp>,
}

impl ScheduleNews {
    /// True when no task was edited from one to the other, and none has run, as far as these tell: a run whose job was gone at once, for
    /// an earlier moment than another task's, leaves no trace here.
    pub fn none_since(&self, other: &ScheduleNews) -> bool {
        self.mark.same_tasks(&other.mark) && (self.noted, self.run_at) == (other.noted, other.run_at)
    }
}

impl Session<'_> {
    /// What tells that a task was edited or has run: two small queries.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn schedule_news(&mut self) -> Result<ScheduleNews, Error> {
        let mark = self.schedule_mark().await?;
        let sql = "select (select max(id) from solid_queue_recurring_executions), (select max(last_run_at) from gritstone_schedule)";
        let Some(row) = self.query_one(sql, &[]).await? else {
            return Err(Error::Other("asked for the latest run of a task, the database gave no row".into()));
        };
        Ok(ScheduleNews { mark, noted: row.opt_int(0)?, run_at: row.opt_time(1)? })
    }
}
