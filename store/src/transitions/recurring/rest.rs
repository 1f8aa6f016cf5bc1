//! Tasks that rest, by hand, whatever their owners put.

use super::RAILS;
use super::look::TaskStanding;
use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::Value;

impl Session<'_> {
    /// Lets a task rest until it is resumed, whatever its owner puts meanwhile. True when it wasn't resting by hand before.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such task, or it is Rails'; those of the database.
    pub async fn suspend_task(&mut self, key: &str) -> Result<bool, Error> {
        self.rest(key, true).await
    }

    /// Lets a task run again that was suspended by hand. Runs that fell into the time between are over, and no missed runs. True
    /// when it was resting.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such task, or it is Rails'; those of the database.
    pub async fn resume_task(&mut self, key: &str) -> Result<bool, Error> {
        self.rest(key, false).await
    }

    async fn rest(&mut self, key: &str, suspend: bool) -> Result<bool, Error> {
        transaction!(self, self.rest_script(key, suspend).await)
    }

    async fn rest_script(&mut self, key: &str, suspend: bool) -> Result<bool, Error> {
        let revision = self.lock_revision().await?;
        self.lock_tasks(&[key.to_owned()]).await?;
        let task = match self.task(key).await? {
            None => return Err(no_such_task(key)),
            Some(task) if task.standing == TaskStanding::Rails => return Err(of_rails(key)),
            Some(task) => task,
        };
        if task.suspended_by_hand == suspend {
            return Ok(false);
        }
        let run_after = match suspend {
            true => task.run_after.into(),
            false => self.later_of_now_and(task.run_after).await?,
        };
        let sql =
            "update gritstone_schedule set suspended_by_hand = ?, run_after = ?, updated_at = ? where task_key = ?";
        self.execute(sql, &[suspend.into(), run_after, Value::NOW, key.into()]).await?;
        self.count_edit(revision).await?;
        Ok(true)
    }
}

pub(super) fn no_such_task(key: &str) -> Error {
    Error::Refused(format!("there is no recurring task {key}"))
}

pub(super) fn of_rails(key: &str) -> Error {
    Error::Refused(format!("the recurring task {key} belongs to {RAILS}, which alone runs and changes it"))
}
