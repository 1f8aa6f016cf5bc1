//! Failed jobs, once more; and jobs that wait, at once.

use crate::envelope::Envelope;
use crate::error::Error;
use crate::job::Placed;
use crate::session::{Session, transaction};
use crate::sql::{Value, values};

/// What became of jobs that were to be retried or run at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Retried {
    /// They are ready.
    pub ready: Vec<i64>,
    /// They wait for a slot of their limit.
    pub blocked: Vec<i64>,
    /// Their limit dropped them.
    pub discarded: Vec<i64>,
    /// They were not in a state that allows it; nothing was changed.
    pub skipped: Vec<i64>,
}

impl Retried {
    fn note(&mut self, job_id: i64, placed: Placed) {
        match placed {
            Placed::Ready => self.ready.push(job_id),
            Placed::Blocked => self.blocked.push(job_id),
            Placed::Discarded => self.discarded.push(job_id),
            Placed::Scheduled | Placed::Duplicate => self.skipped.push(job_id),
        }
    }

    /// Adds another result.
    pub fn merge(&mut self, other: Retried) {
        self.ready.extend(other.ready);
        self.blocked.extend(other.blocked);
        self.discarded.extend(other.discarded);
        self.skipped.extend(other.skipped);
    }
}

impl Session<'_> {
    /// Retries failed jobs, in one transaction: their counters start anew, limits apply.
    ///
    /// Solid Queue resets the counters only when one job is retried, so that retrying many leaves a `retry_on` job no attempts;
    /// here one and many are the same.
    ///
    /// # Errors
    /// Those of the database; then nothing was changed.
    pub async fn retry_failed(&mut self, job_ids: &[i64]) -> Result<Retried, Error> {
        let retried = transaction!(self, self.retry_script(job_ids).await)?;
        match (job_ids, job_ids.len() - retried.skipped.len()) {
            (_, 0) => {}
            ([job_id], _) => tracing::info!(job_id, "retry"),
            (_, size) => tracing::info!(jobs_size = job_ids.len(), size, "retry_all"),
        }
        Ok(retried)
    }

    async fn retry_script(&mut self, wanted: &[i64]) -> Result<Retried, Error> {
        let lock = self.dialect.for_update(false);
        let sql =
            format!("select id, job_id from solid_queue_failed_executions where job_id in ? order by job_id{lock}");
        let rows = self.query(&sql, &values![wanted]).await?;
        let mut retried = Retried::default();
        let (mut executions, mut job_ids) = (Vec::new(), Vec::new());
        for row in &rows {
            executions.push(row.int(0)?);
            job_ids.push(row.int(1)?);
        }
        retried.skipped.extend(wanted.iter().filter(|id| !job_ids.contains(id)));
        if job_ids.is_empty() {
            return Ok(retried);
        }
        let rows = self.query("select id, arguments from solid_queue_jobs where id in ?", &values![&job_ids]).await?;
        for row in &rows {
            // A row that someone wrote by hand keeps what it says.
            if let Some(Ok(mut envelope)) = row.opt_text(1)?.map(|text| Envelope::parse(&text)) {
                envelope.reset_executions();
                let sql = "update solid_queue_jobs set arguments = ? where id = ?";
                self.execute(sql, &values![envelope.to_string(), row.int(0)?]).await?;
            }
        }
        let reset = "update gritstone_jobs set interruptions = 0, interrupted_at = null where job_id in ?";
        self.execute(reset, &values![&job_ids]).await?;
        self.execute("delete from solid_queue_failed_executions where id in ?", &values![&executions]).await?;
        let jobs = self.due_jobs(&job_ids).await?;
        for (job, placed) in jobs.iter().zip(self.place(&jobs).await?) {
            retried.note(job.job_id, placed);
        }
        Ok(retried)
    }

    /// Lets scheduled and blocked jobs run at once, in one transaction. Scheduled ones still obey their limit; blocked
    /// ones are let past it, since that is what was asked for.
    ///
    /// # Errors
    /// Those of the database; then nothing was changed.
    pub async fn run_now(&mut self, job_ids: &[i64]) -> Result<Retried, Error> {
        transaction!(self, self.run_now_script(job_ids).await)
    }

    async fn run_now_script(&mut self, wanted: &[i64]) -> Result<Retried, Error> {
        let mut retried = Retried::default();
        let scheduled = self.take_executions("solid_queue_scheduled_executions", wanted).await?;
        // Before the scheduled ones are placed: those of them that find no slot wait.
        let blocked = self.take_executions("solid_queue_blocked_executions", wanted).await?;
        if !scheduled.is_empty() {
            let sql = "update solid_queue_jobs set scheduled_at = ? where id in ?";
            self.execute(sql, &[Value::NOW, (&scheduled).into()]).await?;
        }
        let jobs = self.due_jobs(&scheduled).await?;
        for (job, placed) in jobs.iter().zip(self.place(&jobs).await?) {
            retried.note(job.job_id, placed);
        }
        for job in self.due_jobs(&blocked).await? {
            if let Some(key) = &job.concurrency_key {
                self.overrun(key, job.job_id).await?;
            }
        }
        self.insert_ready(&blocked).await?;
        retried.skipped.extend(wanted.iter().filter(|id| !scheduled.contains(id) && !blocked.contains(id)));
        retried.ready.extend(blocked);
        Ok(retried)
    }

    /// Locks and deletes the executions of those of `wanted` that are in `table`; these jobs' ids in order.
    async fn take_executions(&mut self, table: &str, wanted: &[i64]) -> Result<Vec<i64>, Error> {
        let lock = self.dialect.for_update(false);
        let sql = format!("select id, job_id from {table} where job_id in ? order by job_id{lock}");
        let rows = self.query(&sql, &values![wanted]).await?;
        let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        if !ids.is_empty() {
            self.execute(&format!("delete from {table} where id in ?"), &values![&ids]).await?;
        }
        rows.iter().map(|row| row.int(1)).collect()
    }
}
