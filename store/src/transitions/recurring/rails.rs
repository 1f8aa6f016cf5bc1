//! Following Rails' dynamic tasks, where that is asked for.

use super::look::REVISION;
use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::{Value, values};

/// Whose Rails' own tasks are. Nobody else can act under this name.
pub const RAILS: &str = "rails";

impl Session<'_> {
    /// Gives Rails' dynamic tasks companion rows, so that they run here from now on, and forgets those that Rails has removed. Its static
    /// tasks, and lines of Ruby, stay Rails' business. True when anything has changed.
    ///
    /// Rails' own scheduler may run them too: one run of both is one job, as long as that job is kept.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn follow_rails_tasks(&mut self) -> Result<bool, Error> {
        const NEW: &str = "t.static = ? and t.class_name is not null and not exists \
                           (select 1 from gritstone_schedule s where s.recurring_task_id = t.id)";
        const GONE: &str = "owner = ? and recurring_task_id not in (select id from solid_queue_recurring_tasks)";
        let look = format!(
            "select 1 from solid_queue_recurring_tasks t where {NEW} union all select 1 from gritstone_schedule where {GONE}"
        );
        if self.query(&look, &values![false, RAILS]).await?.is_empty() {
            return Ok(false);
        }
        transaction!(
            self,
            async {
                let revision = self.lock_revision().await?;
                self.execute(&format!("delete from gritstone_schedule where {GONE}"), &values![RAILS]).await?;
                // A task of ours, an interval, may have the key already: that one stays.
                let sql = format!(
                    "insert into gritstone_schedule (task_key, owner, recurring_task_id, missed_runs, missed_limit, run_after, created_at, \
                     updated_at) select t.{}, ?, t.id, 'skip', 0, ?, ?, ? from solid_queue_recurring_tasks t where {NEW}{}",
                    self.dialect.key_column(),
                    self.dialect.unless_there("owner")
                );
                let followed = [RAILS.into(), Value::NOW, Value::NOW, Value::NOW, false.into()];
                self.execute(&sql, &followed).await?;
                self.count_edit(revision).await?;
                tracing::debug!(setting = REVISION, revision, "following Rails' dynamic tasks");
                Ok(true)
            }
            .await
        )
    }
}
