//! Due jobs go where they may: ready, blocked, or away.

use super::limits::Slots;
use crate::error::Error;
use crate::job::{OnConflict, Placed};
use crate::session::Session;
use crate::sql::{Value, values};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A due job, and its limit's key if it has one.
pub(super) struct DueJob {
    pub(super) job_id: i64,
    pub(super) concurrency_key: Option<String>,
}

impl Session<'_> {
    /// Places due jobs, in order, within the open transaction. What is returned stands in the same order.
    pub(super) async fn place(&mut self, jobs: &[DueJob]) -> Result<Vec<Placed>, Error> {
        // Sorted, so that two transactions lock the same semaphores in the same order.
        let mut wanted: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for job in jobs {
            if let Some(key) = job.concurrency_key.as_deref() {
                wanted.entry(key).or_default().push(job.job_id);
            }
        }
        let mut slots: HashMap<&str, Slots> = HashMap::new();
        for (key, job_ids) in wanted {
            slots.insert(key, self.acquire(key, &job_ids).await?);
        }
        let mut placed = Vec::with_capacity(jobs.len());
        for job in jobs {
            placed.push(match job.concurrency_key.as_deref().and_then(|key| slots.get_mut(key)) {
                None => Placed::Ready,
                Some(slots) if slots.granted > 0 => {
                    slots.granted -= 1;
                    Placed::Ready
                }
                Some(slots) => match slots.limit.on_conflict {
                    OnConflict::Block => Placed::Blocked,
                    OnConflict::Discard => Placed::Discarded,
                },
            });
        }
        let ids = |wanted: Placed| -> Vec<i64> {
            jobs.iter().zip(&placed).filter(|(_, placed)| **placed == wanted).map(|(job, _)| job.job_id).collect()
        };
        self.insert_ready(&ids(Placed::Ready)).await?;
        let mut blocked: BTreeMap<Duration, Vec<i64>> = BTreeMap::new();
        for (job, _) in jobs.iter().zip(&placed).filter(|(_, placed)| **placed == Placed::Blocked) {
            let slots = job.concurrency_key.as_deref().and_then(|key| slots.get(key));
            blocked.entry(slots.map(|slots| slots.limit.duration).unwrap_or_default()).or_default().push(job.job_id);
        }
        for (duration, job_ids) in blocked {
            self.insert_blocked(&job_ids, duration).await?;
        }
        self.drop_jobs(&ids(Placed::Discarded)).await?;
        Ok(placed)
    }

    /// Makes jobs ready as they are: limits are the caller's business.
    pub(super) async fn insert_ready(&mut self, job_ids: &[i64]) -> Result<(), Error> {
        if job_ids.is_empty() {
            return Ok(());
        }
        self.execute(
            "insert into solid_queue_ready_executions (job_id, queue_name, priority, created_at) \
             select id, queue_name, priority, ? from solid_queue_jobs where id in ? order by id",
            &[Value::NOW, job_ids.into()],
        )
        .await?;
        Ok(())
    }

    /// Makes limited jobs wait for a slot, and be looked at again after `duration` if nobody signals.
    pub(super) async fn insert_blocked(&mut self, job_ids: &[i64], duration: Duration) -> Result<(), Error> {
        self.execute(
            "insert into solid_queue_blocked_executions (job_id, queue_name, priority, concurrency_key, expires_at, created_at) \
             select id, queue_name, priority, concurrency_key, ?, ? from solid_queue_jobs where id in ? order by id",
            &[Value::now_plus(duration), Value::NOW, job_ids.into()],
        )
        .await?;
        Ok(())
    }

    /// Deletes jobs that their limit drops; the batches that lost a member.
    pub(super) async fn drop_jobs(&mut self, job_ids: &[i64]) -> Result<Vec<i64>, Error> {
        if job_ids.is_empty() {
            return Ok(Vec::new());
        }
        let batch_ids = self.leave_batches(job_ids, true).await?;
        self.execute("delete from solid_queue_jobs where id in ?", &values![job_ids]).await?;
        Ok(batch_ids)
    }

    /// Makes jobs wait for the time in their own rows.
    pub(super) async fn insert_scheduled(&mut self, job_ids: &[i64]) -> Result<(), Error> {
        if job_ids.is_empty() {
            return Ok(());
        }
        self.execute(
            "insert into solid_queue_scheduled_executions (job_id, queue_name, priority, scheduled_at, created_at) \
             select id, queue_name, priority, scheduled_at, ? from solid_queue_jobs where id in ? order by id",
            &[Value::NOW, job_ids.into()],
        )
        .await?;
        Ok(())
    }
}
