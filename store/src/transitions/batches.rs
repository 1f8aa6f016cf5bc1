//! Batches: jobs that belong together, and what runs when all of them are through.
//!
//! A member has a row in `solid_queue_batch_executions` until it is done, failed or discarded; that same transaction counts it. A second
//! transaction sees whether rows remain, and its one winner sets `finished_at` and enqueues the callbacks.

use super::prepare::Prepared;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::job::NewJob;
use crate::session::{Session, transaction};
use crate::sql::{Row, Value, values};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A batch that members can be enqueued into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRef {
    /// The row's id.
    pub id: i64,
    /// The batch's own id, a UUID.
    pub active_job_batch_id: String,
}

/// Jobs to enqueue when a batch is through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchCallbacks {
    /// Whatever came of it, after one of the others.
    pub on_finish: Option<NewJob>,
    /// When every member is done.
    pub on_success: Option<NewJob>,
    /// When a member failed.
    pub on_failure: Option<NewJob>,
}

/// A batch to create.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewBatch {
    /// For people.
    pub description: Option<String>,
    /// For whoever enqueued it.
    pub metadata: Option<serde_json::Value>,
    /// What runs at its end.
    pub callbacks: BatchCallbacks,
}

/// A batch as people see it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct BatchState {
    /// The row's id.
    pub id: i64,
    /// The batch's own id.
    pub batch_id: String,
    /// For people.
    pub description: Option<String>,
    /// For whoever enqueued it.
    pub metadata: Option<serde_json::Value>,
    /// Members, ever.
    pub total_jobs: u64,
    /// Members done or discarded.
    pub completed_jobs: u64,
    /// Members failed.
    pub failed_jobs: u64,
    /// Members still under way.
    pub pending_jobs: u64,
    /// When all members had been enqueued.
    pub enqueued_at: Option<Timestamp>,
    /// When the last one was through.
    pub finished_at: Option<Timestamp>,
    /// The same, if a member failed.
    pub failed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A batch whose enqueuer died before it said that all members are in is started after this long.
const STUCK: Duration = Duration::from_secs(300);

impl Session<'_> {
    /// Makes a batch. Enqueue members with [`NewJob::batch`], then call [`start_batch`](Self::start_batch).
    ///
    /// # Errors
    /// [`Error::Schema`] when the database has no batch tables; those of the database.
    pub async fn create_batch(&mut self, new: &NewBatch) -> Result<BatchRef, Error> {
        if !self.features.batches {
            return Err(Error::Schema(
                "Rails made this database without batch tables, and they are added only when asked for with --alter-solid-queue".into(),
            ));
        }
        let uuid = Uuid::new_v4().to_string();
        let classes = self.class_defaults().await?;
        // Found out now: a callback that can't be enqueued would keep the batch from ever finishing.
        let callback = |job: &Option<NewJob>| match job {
            None => Ok(None),
            Some(job) => match Prepared::of(job, &classes, Timestamp::now()) {
                Ok(prepared) => Ok(Some(prepared.envelope)),
                Err(error) => Err(Error::Refused(format!("a callback of the batch: {error}"))),
            },
        };
        let callbacks = &new.callbacks;
        let metadata = new.metadata.as_ref().map(ToString::to_string);
        self.write(
            "insert into solid_queue_batches (active_job_batch_id, description, on_finish, on_success, on_failure, metadata, \
             created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                (&uuid).into(),
                (&new.description).into(),
                (&callback(&callbacks.on_finish)?).into(),
                (&callback(&callbacks.on_success)?).into(),
                (&callback(&callbacks.on_failure)?).into(),
                (&metadata).into(),
                Value::NOW,
                Value::NOW,
            ],
        )
        .await?;
        let sql = "select id from solid_queue_batches where active_job_batch_id = ?";
        let row = self.query_one(sql, &values![&uuid]).await?;
        Ok(BatchRef { id: row.map_or(Ok(0), |row| row.int(0))?, active_job_batch_id: uuid })
    }

    /// Says that all members are enqueued. A batch without any is finished at once.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn start_batch(&mut self, batch_id: i64) -> Result<(), Error> {
        self.write(
            "update solid_queue_batches set enqueued_at = ?, updated_at = ? where id = ? and enqueued_at is null",
            &[Value::NOW, Value::NOW, batch_id.into()],
        )
        .await?;
        self.complete_batches(&[batch_id]).await.map(|_| ())
    }

    /// Notes new members, within the transaction that enqueues them.
    pub(super) async fn join_batches(&mut self, members: &[(i64, i64)]) -> Result<(), Error> {
        let mut by_batch: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (batch_id, job_id) in members {
            by_batch.entry(*batch_id).or_default().push(*job_id);
        }
        for (batch_id, job_ids) in by_batch {
            let counted = self
                .execute(
                    "update solid_queue_batches set total_jobs = total_jobs + ?, updated_at = ? where id = ? and finished_at is null",
                    &[(job_ids.len() as i64).into(), Value::NOW, batch_id.into()],
                )
                .await?;
            if counted == 0 {
                return Err(Error::Refused(format!(
                    "batch {batch_id} is finished (or was never made): it takes no more jobs"
                )));
            }
            self.execute(
                "insert into solid_queue_batch_executions (job_id, batch_id, created_at) \
                 select id, ?, ? from solid_queue_jobs where id in ? order by id",
                &[batch_id.into(), Value::NOW, (&job_ids).into()],
            )
            .await?;
        }
        Ok(())
    }

    /// Ends the membership of jobs that are through, within the transaction that ends them. Returns their batches, for
    /// [`complete_batches`](Self::complete_batches) after the commit.
    pub(super) async fn leave_batches(&mut self, job_ids: &[i64], completed: bool) -> Result<Vec<i64>, Error> {
        if !self.features.batches || job_ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select id, batch_id from solid_queue_batch_executions where job_id in ? order by id{}",
            self.dialect.for_update(false)
        );
        let rows = self.query(&sql, &values![job_ids]).await?;
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            ids.push(row.int(0)?);
            *counts.entry(row.int(1)?).or_default() += 1;
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.execute("delete from solid_queue_batch_executions where id in ?", &values![&ids]).await?;
        let column = if completed { "completed_jobs" } else { "failed_jobs" };
        let sql = format!("update solid_queue_batches set {column} = {column} + ?, updated_at = ? where id = ?");
        for (batch_id, count) in &counts {
            self.execute(&sql, &[(*count).into(), Value::NOW, (*batch_id).into()]).await?;
        }
        Ok(counts.into_keys().collect())
    }

    /// Finishes those of these batches that have no members left, and enqueues their callbacks in the same transaction.
    /// The queues of the callbacks, to be woken.
    ///
    /// # Errors
    /// Those of the database. Batches finished before stay so; the sweep finishes the rest.
    pub async fn complete_batches(&mut self, batch_ids: &[i64]) -> Result<Vec<String>, Error> {
        let mut queues = Vec::new();
        for batch_id in batch_ids {
            queues.extend(transaction!(self, self.complete_batch(*batch_id).await)?);
        }
        Ok(queues)
    }

    async fn complete_batch(&mut self, batch_id: i64) -> Result<Vec<String>, Error> {
        let sql = format!(
            "select failed_jobs, on_finish, on_success, on_failure, active_job_batch_id from solid_queue_batches \
             where id = ? and enqueued_at is not null and finished_at is null{}",
            self.dialect.for_update(false)
        );
        let Some(row) = self.query_one(&sql, &values![batch_id]).await? else { return Ok(Vec::new()) };
        // In a statement of its own, after the lock: members that left meanwhile have committed.
        let remaining = "select 1 from solid_queue_batch_executions where batch_id = ? limit 1";
        if self.query_one(remaining, &values![batch_id]).await?.is_some() {
            return Ok(Vec::new());
        }
        let failed = row.int(0)? > 0;
        let failed_at = if failed { "failed_at = ?, " } else { "" };
        let mut values = vec![Value::NOW, Value::NOW];
        values.extend(failed.then_some(Value::NOW));
        values.push(batch_id.into());
        let sql = format!("update solid_queue_batches set {failed_at}finished_at = ?, updated_at = ? where id = ?");
        self.execute(&sql, &values).await?;
        let uuid = row.opt_text(4)?.unwrap_or_default();
        tracing::info!(batch_id, active_job_batch_id = uuid, failed, "finish_batch");
        let mut queues = Vec::new();
        for column in [if failed { 3 } else { 2 }, 1] {
            if let Some(text) = row.opt_text(column)? {
                queues.extend(self.enqueue_callback(&text, &uuid).await?);
            }
        }
        Ok(queues)
    }

    /// Enqueues a callback from the job that the batch keeps serialized. One that can't be read is logged, not fatal: the batch is
    /// finished all the same.
    async fn enqueue_callback(&mut self, serialized: &str, batch_id: &str) -> Result<Option<String>, Error> {
        let mut envelope = match Envelope::parse(serialized) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::error!(batch_id, %error, "a batch's callback can't be read and will not run");
                return Ok(None);
            }
        };
        envelope.set("callback_batch_id", &batch_id);
        let text = |key: &str| envelope.read::<String>(key);
        let job = NewJob::new(text("job_class").unwrap_or_default(), Vec::new());
        let queue = text("queue_name").unwrap_or_else(|| crate::job::DEFAULT_QUEUE.into());
        let prepared = Prepared {
            job: &job,
            id: text("job_id").unwrap_or_else(|| Uuid::new_v4().to_string()),
            envelope: envelope.to_string(),
            queue: queue.as_str().into(),
            priority: envelope.read("priority").unwrap_or(0),
            attempts: None,
            limit: None,
        };
        self.enqueue_script(&[prepared]).await?;
        Ok(Some(queue))
    }

    /// Mends batches: ends the membership of jobs that were finished, failed or deleted behind our back, finishes batches without members,
    /// starts those whose enqueuer died. The queues of callbacks.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sweep_batches(&mut self) -> Result<Vec<String>, Error> {
        if !self.features.batches {
            return Ok(Vec::new());
        }
        let open = "select 1 from solid_queue_batches where finished_at is null limit 1";
        if self.query_one(open, &[]).await?.is_none() {
            return Ok(Vec::new());
        }
        for (done, condition) in [
            (true, "j.finished_at is not null"),
            (false, "exists (select 1 from solid_queue_failed_executions f where f.job_id = j.id)"),
        ] {
            let sql = format!(
                "select e.job_id from solid_queue_batch_executions e join solid_queue_jobs j on j.id = e.job_id where {condition} limit 500"
            );
            let rows = self.query(&sql, &[]).await?;
            let leaked = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
            transaction!(self, self.leave_batches(&leaked, done).await)?;
        }
        let started = "update solid_queue_batches set enqueued_at = ?, updated_at = ? where enqueued_at is null and created_at <= ?";
        self.write(started, &[Value::NOW, Value::NOW, Value::now_minus(STUCK)]).await?;
        let rows = self
            .query(
                "select b.id from solid_queue_batches b where b.finished_at is null and b.enqueued_at is not null \
                 and not exists (select 1 from solid_queue_batch_executions e where e.batch_id = b.id) limit 500",
                &[],
            )
            .await?;
        let empty = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        self.complete_batches(&empty).await
    }

    /// The newest batches, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn batches(&mut self, most: u32) -> Result<Vec<BatchState>, Error> {
        if !self.features.batches {
            return Ok(Vec::new());
        }
        let sql = format!("{STATE} order by b.id desc limit ?");
        self.query(&sql, &values![i64::from(most)]).await?.iter().map(state).collect()
    }

    /// One batch, by its own id or its row's id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn batch(&mut self, id: &str) -> Result<Option<BatchState>, Error> {
        if !self.features.batches {
            return Ok(None);
        }
        let sql = format!("{STATE} where b.active_job_batch_id = ?");
        if let Some(row) = self.query_one(&sql, &values![id]).await? {
            return state(&row).map(Some);
        }
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        let row = self.query_one(&format!("{STATE} where b.id = ?"), &values![id]).await?;
        row.as_ref().map(state).transpose()
    }
}

const STATE: &str = "select b.id, b.active_job_batch_id, b.description, b.metadata, b.total_jobs, b.completed_jobs, b.failed_jobs, \
    (select count(*) from solid_queue_batch_executions e where e.batch_id = b.id), b.enqueued_at, b.finished_at, \
    b.failed_at, b.created_at from solid_queue_batches b";

fn state(row: &Row) -> Result<BatchState, Error> {
    Ok(BatchState {
        id: row.int(0)?,
        batch_id: row.opt_text(1)?.unwrap_or_default(),
        description: row.opt_text(2)?,
        metadata: row.opt_text(3)?.and_then(|text| serde_json::from_str(&text).ok()),
        total_jobs: row.int(4)? as u64,
        completed_jobs: row.int(5)? as u64,
        failed_jobs: row.int(6)? as u64,
        pending_jobs: row.int(7)? as u64,
        enqueued_at: row.opt_time(8)?,
        finished_at: row.opt_time(9)?,
        failed_at: row.opt_time(10)?,
        created_at: row.time(11)?,
    })
}
