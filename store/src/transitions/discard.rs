//! Jobs that are to disappear.

use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::values;
use std::collections::HashSet;

/// What became of jobs that were to be discarded.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Discarded {
    /// They are gone.
    pub discarded: Vec<i64>,
    /// A worker has them, or they were not there; nothing was changed.
    pub skipped: Vec<i64>,
    /// Slots were given back: [`Session::signal`] hands them on.
    #[serde(skip)]
    pub signals: bool,
    /// Batches that lost a member.
    #[serde(skip)]
    pub batch_ids: Vec<i64>,
}

impl Session<'_> {
    /// Deletes jobs in any state but claimed, in one transaction. A ready one gives its slot back; in its batch it counts as
    /// completed.
    ///
    /// # Errors
    /// Those of the database; then nothing was deleted.
    pub async fn discard(&mut self, job_ids: &[i64]) -> Result<Discarded, Error> {
        let result = transaction!(self, self.discard_script(job_ids).await)?;
        match (job_ids, result.discarded.len()) {
            (_, 0) => {}
            ([job_id], _) => tracing::info!(job_id, "discard"),
            (_, size) => tracing::info!(jobs_size = job_ids.len(), size, "discard_all"),
        }
        Ok(result)
    }

    async fn discard_script(&mut self, wanted: &[i64]) -> Result<Discarded, Error> {
        let lock = self.dialect.for_update(false);
        // The executions first, in the order in which jobs pass through them: a worker that is just claiming one of these
        // jobs either has it, or finds it gone.
        for table in ["failed", "scheduled", "blocked", "ready"] {
            let sql =
                format!("select job_id from solid_queue_{table}_executions where job_id in ? order by job_id{lock}");
            self.query(&sql, &values![wanted]).await?;
        }
        // Then the jobs: from here on none of them enters another state, since that takes a lock on the job's row.
        let sql = format!("select id from solid_queue_jobs where id in ? order by id{lock}");
        let mut free = Vec::new();
        for row in self.query(&sql, &values![wanted]).await? {
            free.push(row.int(0)?);
        }
        let claimed = self.jobs_in("claimed", &free).await?;
        free.retain(|id| !claimed.contains(id));
        let ready: Vec<i64> = self.jobs_in("ready", &free).await?.into_iter().collect();
        let kept: HashSet<i64> = free.iter().copied().collect();
        let mut result = Discarded {
            skipped: wanted.iter().copied().filter(|id| !kept.contains(id)).collect(),
            ..Discarded::default()
        };
        result.batch_ids = self.leave_batches(&free, true).await?;
        result.signals = self.note_signals(&ready).await?;
        if !free.is_empty() {
            self.execute("delete from solid_queue_jobs where id in ?", &values![&free]).await?;
        }
        result.discarded = free;
        Ok(result)
    }

    /// Which of these jobs are in a state.
    async fn jobs_in(&mut self, state: &str, job_ids: &[i64]) -> Result<HashSet<i64>, Error> {
        let sql = format!("select job_id from solid_queue_{state}_executions where job_id in ?{}", self.latest());
        self.query(&sql, &values![job_ids]).await?.iter().map(|row| row.int(0)).collect()
    }
}
