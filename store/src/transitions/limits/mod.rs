//! Concurrency limits: who holds a slot, who waits for one, and that nobody waits in vain.
//!
//! A limit that was declared in the database (`gritstone_limits`) is counted by its holders: each ready or claimed job under
//! the key has a row in `gritstone_slots`, and the semaphore that Rails reads is the limit less those rows, written anew under the
//! semaphore's lock each time. A key that nobody declared here is Rails' own: its semaphore is used as Rails uses it, never recomputed.
//!
//! Giving a slot back takes two transactions. The first, which ends the run, only notes the key in `gritstone_signals`; the
//! second locks the semaphore and *then*, in a statement of its own, looks for blocked jobs. In one
//! statement it couldn't see a blocked row that is being inserted beside it, and that job would wait for ever.

mod claimed;
mod declared;
mod release;

pub use claimed::Overclaimed;
pub use declared::{DeclaredBy, DeclaredLimit, UnsetLimit};
pub use release::SweptLimits;

use crate::error::Error;
use crate::job::Limit;
use crate::session::Session;
use crate::sql::{Value, values};
use crate::transitions::enqueue::CHUNK;
use std::time::Duration;

/// What [`Session::acquire`] got.
pub(super) struct Slots {
    pub(super) granted: usize,
    pub(super) limit: Limit,
}

/// A limit as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LimitState {
    /// The key.
    pub key: String,
    /// Its limit, when one is declared for the key or its group.
    pub to: Option<u32>,
    /// Free slots, as the semaphore says.
    pub free: i64,
    /// Jobs that hold a slot, as far as they are counted here.
    pub held: u64,
    /// Jobs that wait.
    pub blocked: u64,
}

impl Session<'_> {
    /// Takes slots for these jobs, as many as are free, for the first of them. Leaves the semaphore locked.
    pub(super) async fn acquire(&mut self, key: &str, job_ids: &[i64]) -> Result<Slots, Error> {
        let Some(limit) = self.declared_limit(key).await? else {
            let limit = Limit::default();
            let value = self.lock_semaphore(key, limit).await?;
            let granted = (value.max(0) as usize).min(job_ids.len());
            // One that gave nothing stays as it is: to renew it would keep an expired one alive.
            if granted > 0 {
                self.write_semaphore(key, value - granted as i64, limit.duration).await?;
            }
            return Ok(Slots { granted, limit });
        };
        let free = self.free(key, limit).await?;
        let granted = (free.max(0) as usize).min(job_ids.len());
        self.hold_slots(key, &job_ids[..granted]).await?;
        self.write_semaphore(key, (free - granted as i64).max(0), limit.duration).await?;
        Ok(Slots { granted, limit })
    }

    /// Locks a declared key's semaphore; how many slots are free, negative when more are held than the limit allows now.
    async fn free(&mut self, key: &str, limit: Limit) -> Result<i64, Error> {
        let value = self.lock_semaphore(key, limit).await?;
        let free = i64::from(limit.to) - self.held(key).await?;
        // Lower than we left it: Rails has put jobs under this key, or the limit was declared after they had started.
        if value < free.max(0) && self.adopt_holders(key).await? {
            return Ok(i64::from(limit.to) - self.held(key).await?);
        }
        Ok(free)
    }

    /// Counts jobs that are ready or claimed under a key and have no slot of ours. True when there were any.
    async fn adopt_holders(&mut self, key: &str) -> Result<bool, Error> {
        let mut found = Vec::new();
        for table in ["ready", "claimed"] {
            let sql = format!(
                "select e.job_id from solid_queue_{table}_executions e join solid_queue_jobs j on j.id = e.job_id \
                 where j.concurrency_key = ? and not exists (select 1 from gritstone_slots s where s.job_id = e.job_id)"
            );
            for row in self.query(&sql, &values![key]).await? {
                found.push(row.int(0)?);
            }
        }
        self.hold_slots(key, &found).await?;
        Ok(!found.is_empty())
    }

    /// Locks a semaphore; its value, if there is one.
    async fn find_semaphore(&mut self, key: &str) -> Result<Option<i64>, Error> {
        let column = self.dialect.key_column();
        let sql =
            format!("select value from solid_queue_semaphores where {column} = ?{}", self.dialect.for_update(false));
        self.query_one(&sql, &values![key]).await?.map(|row| row.int(0)).transpose()
    }

    /// Locks a semaphore, making it if need be; its value.
    async fn lock_semaphore(&mut self, key: &str, limit: Limit) -> Result<i64, Error> {
        if let Some(value) = self.find_semaphore(key).await? {
            return Ok(value);
        }
        let column = self.dialect.key_column();
        let sql = format!(
            "insert into solid_queue_semaphores ({column}, value, expires_at, created_at, updated_at) values (?, ?, ?, ?, ?){}",
            self.dialect.unless_there("value")
        );
        let expires = Value::now_plus(limit.duration);
        self.execute(&sql, &[key.into(), i64::from(limit.to).into(), expires, Value::NOW, Value::NOW]).await?;
        match self.find_semaphore(key).await? {
            Some(value) => Ok(value),
            // Rails' maintenance deleted it in between.
            None => Err(Error::Conflict(format!("the semaphore of {key:?} was deleted while it was being locked"))),
        }
    }

    async fn write_semaphore(&mut self, key: &str, value: i64, duration: Duration) -> Result<(), Error> {
        let sql = format!(
            "update solid_queue_semaphores set value = ?, expires_at = ?, updated_at = ? where {} = ?",
            self.dialect.key_column()
        );
        self.execute(&sql, &[value.into(), Value::now_plus(duration), Value::NOW, key.into()]).await?;
        Ok(())
    }

    async fn held(&mut self, key: &str) -> Result<i64, Error> {
        let sql = format!("select count(*) from gritstone_slots where concurrency_key = ?{}", self.latest());
        self.query_one(&sql, &values![key]).await?.map_or(Ok(0), |row| row.int(0))
    }

    async fn hold_slots(&mut self, key: &str, job_ids: &[i64]) -> Result<(), Error> {
        let tail = self.dialect.unless_there("job_id");
        for chunk in job_ids.chunks(CHUNK) {
            let rows = vec!["(?, ?, ?)"; chunk.len()].join(", ");
            let sql = format!("insert into gritstone_slots (job_id, concurrency_key, created_at) values {rows}{tail}");
            let values: Vec<Value<'_>> =
                chunk.iter().flat_map(|job_id| [(*job_id).into(), key.into(), Value::NOW]).collect();
            self.execute(&sql, &values).await?;
        }
        Ok(())
    }

    /// Notes that a job runs under a key although no slot was free.
    pub(super) async fn overrun(&mut self, key: &str, job_id: i64) -> Result<(), Error> {
        match self.declared_limit(key).await? {
            Some(limit) => {
                let free = self.free(key, limit).await?;
                self.hold_slots(key, &[job_id]).await?;
                self.write_semaphore(key, (free - 1).max(0), limit.duration).await
            }
            // Below zero if need be: the end of the run adds one again.
            None => {
                let limit = Limit::default();
                let value = self.lock_semaphore(key, limit).await?;
                self.write_semaphore(key, value - 1, limit.duration).await
            }
        }
    }

    /// Every key that has a semaphore or a blocked job, by key, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn limits(&mut self, most: u32) -> Result<Vec<LimitState>, Error> {
        let column = self.dialect.key_column();
        let sql = format!(
            "select s.{column}, s.value, \
             (select count(*) from solid_queue_blocked_executions b where b.concurrency_key = s.{column}) \
             from solid_queue_semaphores s order by s.{column} limit ?"
        );
        let mut limits = Vec::new();
        for row in self.query(&sql, &values![i64::from(most)]).await? {
            let key = row.text(0)?;
            let to = self.declared_limit(&key).await?.map(|limit| limit.to);
            let held = self.held(&key).await?.max(0) as u64;
            limits.push(LimitState { key, to, free: row.int(1)?, held, blocked: row.int(2)?.max(0) as u64 });
        }
        Ok(limits)
    }
}
