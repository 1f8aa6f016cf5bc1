//! Finished jobs that have been kept long enough.

use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use std::time::Duration;

/// Which finished jobs to delete.
#[derive(Debug, Clone, Default)]
pub struct ClearOptions {
    /// Those that finished at least so long ago.
    pub finished_before: Option<Duration>,
    /// Those beyond so many, the oldest first.
    pub keep_at_most: Option<u64>,
    /// Only jobs of this class.
    pub class: Option<String>,
    /// How many to delete in one transaction.
    pub batch_size: u32,
}

impl Session<'_> {
    /// Deletes one batch of finished jobs; how many it deleted. Call it until that is none. Jobs of failed batches stay.
    ///
    /// # Errors
    /// Those of the database; then nothing was deleted.
    pub async fn clear_finished(&mut self, options: &ClearOptions) -> Result<u64, Error> {
        let job_ids = self.finished_to_clear(options).await?;
        if job_ids.is_empty() {
            return Ok(0);
        }
        transaction!(
            self,
            self.execute("delete from solid_queue_jobs where id in ? and finished_at is not null", &values![&job_ids])
                .await
        )
    }

    async fn finished_to_clear(&mut self, options: &ClearOptions) -> Result<Vec<i64>, Error> {
        let batch = i64::from(options.batch_size.max(1));
        let mut most = batch;
        let mut sql = String::from("select j.id from solid_queue_jobs j where j.finished_at is not null");
        let mut values = Vec::new();
        if let Some(age) = options.finished_before {
            sql.push_str(" and j.finished_at <= ?");
            values.push(Value::now_minus(age));
        }
        if let Some(class) = &options.class {
            sql.push_str(" and j.class_name = ?");
            values.push(class.into());
        }
        if let Some(keep) = options.keep_at_most {
            let count = "select count(*) from solid_queue_jobs where finished_at is not null";
            let count = self.query_one(count, &[]).await?.map_or(Ok(0), |row| row.int(0))?;
            most = batch.min(count - i64::try_from(keep).unwrap_or(i64::MAX));
            if most <= 0 {
                return Ok(Vec::new());
            }
        }
        if self.features.batches {
            sql.push_str(
                " and not exists (select 1 from solid_queue_batches b where b.id = j.batch_id and b.failed_at is not null)",
            );
        }
        sql.push_str(" order by j.finished_at limit ?");
        values.push(most.into());
        self.query(&sql, &values).await?.iter().map(|row| row.int(0)).collect()
    }

    /// Forgets chosen ids whose jobs are gone, a minute after they were taken. How many.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sweep_unique_keys(&mut self) -> Result<u64, Error> {
        let rows = self
            .query(
                "select u.name from gritstone_unique_keys u where u.created_at <= ? \
                 and not exists (select 1 from solid_queue_jobs j where j.id = u.job_id) limit 500",
                &[Value::now_minus(Duration::from_secs(60))],
            )
            .await?;
        let names = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            return Ok(0);
        }
        // Asked again under the deletion itself: an enqueuer may just have taken one of them over.
        self.write(
            "delete from gritstone_unique_keys where name in ? and created_at <= ? \
             and job_id not in (select id from solid_queue_jobs)",
            &[(&names).into(), Value::now_minus(Duration::from_secs(60))],
        )
        .await
    }
}
