//! Scheduled jobs whose time has come.

use super::dispatch::DueJob;
use crate::error::Error;
use crate::job::Placed;
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use std::collections::{BTreeSet, HashMap};

/// What one round of dispatching did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// Jobs taken from the schedule, dropped ones included: another round is worth it when this reached the batch size.
    pub taken: usize,
    /// Of these, how many went to ready or blocked.
    pub placed: usize,
    /// Queues that got ready jobs, to be woken.
    pub queues: BTreeSet<String>,
}

impl Session<'_> {
    /// Moves at most `batch_size` scheduled jobs that are due to where they may go.
    ///
    /// # Errors
    /// Those of the database; nothing was moved then.
    pub async fn dispatch_due(&mut self, batch_size: u32, skip_locked: bool) -> Result<Dispatched, Error> {
        // Without this look an idle dispatcher would take SQLite's write lock every second.
        let due = "select 1 from solid_queue_scheduled_executions where scheduled_at <= ? limit 1";
        if self.query_one(due, &[Value::NOW]).await?.is_none() {
            return Ok(Dispatched::default());
        }
        transaction!(self, self.dispatch_due_script(batch_size, skip_locked).await)
    }

    async fn dispatch_due_script(&mut self, batch_size: u32, skip_locked: bool) -> Result<Dispatched, Error> {
        let rows = self
            .query(
                &format!(
                    "select id, job_id, queue_name from solid_queue_scheduled_executions where scheduled_at <= ? \
                     order by scheduled_at, priority, job_id limit ?{}",
                    self.dialect.for_update(skip_locked)
                ),
                &[Value::NOW, i64::from(batch_size).into()],
            )
            .await?;
        if rows.is_empty() {
            return Ok(Dispatched::default());
        }
        let mut execution_ids = Vec::with_capacity(rows.len());
        let mut job_ids = Vec::with_capacity(rows.len());
        let mut queue_of = HashMap::with_capacity(rows.len());
        for row in &rows {
            execution_ids.push(row.int(0)?);
            job_ids.push(row.int(1)?);
            queue_of.insert(row.int(1)?, row.text(2)?);
        }
        let jobs = self.due_jobs(&job_ids).await?;
        // By primary key: by job_id two dispatchers could meet in opposite orders on the other index.
        self.execute("delete from solid_queue_scheduled_executions where id in ?", &values![&execution_ids]).await?;
        let placed = self.place(&jobs).await?;
        let mut dispatched = Dispatched { taken: rows.len(), ..Dispatched::default() };
        for (job, placed) in jobs.iter().zip(placed) {
            match placed {
                Placed::Ready => {
                    dispatched.placed += 1;
                    dispatched.queues.extend(queue_of.remove(&job.job_id));
                }
                Placed::Blocked => dispatched.placed += 1,
                Placed::Scheduled | Placed::Discarded | Placed::Duplicate => {}
            }
        }
        Ok(dispatched)
    }

    /// Reads the keys of jobs that are about to be placed; the order of `job_ids` is kept.
    pub(super) async fn due_jobs(&mut self, job_ids: &[i64]) -> Result<Vec<DueJob>, Error> {
        let rows = self
            .query(
                "select id, concurrency_key from solid_queue_jobs where id in ? and concurrency_key is not null",
                &values![job_ids],
            )
            .await?;
        let mut keys = HashMap::with_capacity(rows.len());
        for row in &rows {
            keys.insert(row.int(0)?, row.opt_text(1)?);
        }
        Ok(job_ids
            .iter()
            .map(|id| DueJob { job_id: *id, concurrency_key: keys.remove(id).flatten().filter(|key| !key.is_empty()) })
            .collect())
    }
}
