//! Concurrency limits: who holds a slot, who waits for one, and that nobody waits in vain.
//!
//! A limit that was declared in the database (`gritstone_limits`) is counted by its holders: each ready or claimed job under
//! the key has a row in `gritstone_slots`, and the semaphore that Rails reads is the limit less those rows, written anew under the
//! semaphore's lock each time. A key that nobody declared here is Rails' own: its semaphore is used as Rails uses it, never recomputed.
//!
//! Giving a slot back takes two transactions. The first, which ends the run, only notes the key in `gritstone_signals`; the
//! second locks the semaphore and *then*, in a statement of its own, looks for blocked jobs. In one
//! statement it couldn't see a blocked row that is being inserted beside it, and that job would wait for ever.

use crate::error::Error;
use crate::job::{Limit, NewJob, OnConflict};
use crate::session::{Session, transaction};
use crate::sql::{Row, Value, values};
use std::collections::{BTreeMap, BTreeSet};
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

/// What a sweep mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweptLimits {
    /// Keys looked at.
    pub keys: usize,
    /// Slots whose holders were neither ready nor claimed.
    pub reclaimed: u64,
    /// Blocked jobs that became ready.
    pub released: u64,
    /// Their queues, to be woken.
    pub queues: BTreeSet<String>,
}

/// Keys in one transaction of a signal or sweep.
const BATCH: i64 = 200;

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
        for job_id in job_ids {
            let sql =
                format!("insert into gritstone_slots (job_id, concurrency_key, created_at) values (?, ?, ?){tail}");
            self.execute(&sql, &[(*job_id).into(), key.into(), Value::NOW]).await?;
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

    /// The limit declared for a key, or else for its group.
    async fn declared_limit(&mut self, key: &str) -> Result<Option<Limit>, Error> {
        let group = key.split('/').next().unwrap_or(key);
        let rows = self
            .query(
                "select name, capacity, duration_micros, on_conflict from gritstone_limits where name = ? or name = ?",
                &values![key, group],
            )
            .await?;
        let mut found = None;
        for row in &rows {
            let limit = read_limit(row)?;
            // The exact key comes before its group.
            if row.text(0)? == key {
                return Ok(Some(limit));
            }
            found = Some(limit);
        }
        Ok(found)
    }

    /// Writes down the limits that these jobs bring along, where they are new or changed.
    pub(super) async fn declare_limits<'j>(&mut self, jobs: impl IntoIterator<Item = &'j NewJob>) -> Result<(), Error> {
        let mut wanted: BTreeMap<&str, Limit> = BTreeMap::new();
        for limit in jobs.into_iter().filter_map(|job| job.limit.as_ref()) {
            if let Some(declared) = limit.declare {
                wanted.insert(&limit.key, declared);
            }
        }
        for (key, limit) in wanted {
            if self.declared_limit(key).await? != Some(limit) {
                self.write_limit(key, limit).await?;
            }
        }
        Ok(())
    }

    /// The limits that are declared, by name, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declared_limits(&mut self, most: u32) -> Result<Vec<(String, Limit)>, Error> {
        let sql = "select name, capacity, duration_micros, on_conflict from gritstone_limits order by name limit ?";
        let rows = self.query(sql, &values![i64::from(most)]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, read_limit(row)?))).collect()
    }

    /// Declares a limit for a key or a group. Takes effect with the next change under the key, or the next sweep.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declare_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        transaction!(self, self.write_limit(name, limit).await)
    }

    async fn write_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        let on_conflict = match limit.on_conflict {
            OnConflict::Block => "block",
            OnConflict::Discard => "discard",
        };
        let sql = format!(
            "insert into gritstone_limits (name, capacity, duration_micros, on_conflict, created_at, updated_at) values (?, ?, ?, ?, ?, ?){}",
            self.dialect.upsert("name", &["capacity", "duration_micros", "on_conflict", "updated_at"])
        );
        let values = [
            name.into(),
            i64::from(limit.to).into(),
            crate::sql::micros(limit.duration).into(),
            on_conflict.into(),
            Value::NOW,
            Value::NOW,
        ];
        self.execute(&sql, &values).await?;
        Ok(())
    }

    /// Gives back the slots of jobs that stop holding one, within the transaction that stops them. True when there are
    /// any: then [`signal`](Self::signal) hands them on after the commit.
    pub(super) async fn note_signals(&mut self, job_ids: &[i64]) -> Result<bool, Error> {
        if job_ids.is_empty() {
            return Ok(false);
        }
        let noted = self
            .execute(
                "insert into gritstone_signals (concurrency_key, created_at) select concurrency_key, ? from solid_queue_jobs \
                 where id in ? and concurrency_key is not null order by id",
                &[Value::NOW, job_ids.into()],
            )
            .await?;
        if noted > 0 {
            self.execute("delete from gritstone_slots where job_id in ?", &values![job_ids]).await?;
        }
        Ok(noted > 0)
    }

    /// Hands on the slots that were given back: the first blocked jobs of each key become ready. Returns their queues.
    ///
    /// # Errors
    /// Those of the database. The notes stay, for the next signal or sweep.
    pub async fn signal(&mut self) -> Result<BTreeSet<String>, Error> {
        let mut queues = BTreeSet::new();
        loop {
            let (taken, woken) = transaction!(self, self.signal_script().await)?;
            queues.extend(woken);
            if taken < BATCH as usize {
                return Ok(queues);
            }
        }
    }

    async fn signal_script(&mut self) -> Result<(usize, BTreeSet<String>), Error> {
        let sql = format!(
            "select id, concurrency_key from gritstone_signals order by concurrency_key, id limit ?{}",
            self.dialect.for_update(true)
        );
        let rows = self.query(&sql, &values![BATCH]).await?;
        let mut ids = Vec::with_capacity(rows.len());
        let mut by_key: BTreeMap<String, i64> = BTreeMap::new();
        for row in &rows {
            ids.push(row.int(0)?);
            *by_key.entry(row.text(1)?).or_default() += 1;
        }
        let mut queues = BTreeSet::new();
        if !ids.is_empty() {
            self.execute("delete from gritstone_signals where id in ?", &values![&ids]).await?;
        }
        for (key, given_back) in by_key {
            queues.extend(self.settle(&key, given_back).await?.1);
        }
        Ok((rows.len(), queues))
    }

    /// Brings a key in order under its semaphore's lock: counts, releases as many blocked jobs as there are slots. How many became
    /// ready, and their queues.
    async fn settle(&mut self, key: &str, given_back: i64) -> Result<(u64, BTreeSet<String>), Error> {
        let declared = self.declared_limit(key).await?;
        let limit = declared.unwrap_or_default();
        let free = match declared {
            Some(limit) => self.free(key, limit).await?,
            None => match self.find_semaphore(key).await? {
                Some(value) => value + given_back,
                // It expired and was deleted: as in Solid Queue, the sweep takes over.
                None => return Ok((0, BTreeSet::new())),
            },
        };
        let sql = format!(
            "select id, job_id, queue_name from solid_queue_blocked_executions where concurrency_key = ? \
             order by priority, job_id limit ?{}",
            self.dialect.for_update(true)
        );
        let rows = match free {
            1.. => self.query(&sql, &values![key, free]).await?,
            _ => Vec::new(),
        };
        let (mut executions, mut job_ids, mut queues) = (Vec::new(), Vec::new(), BTreeSet::new());
        for row in &rows {
            executions.push(row.int(0)?);
            job_ids.push(row.int(1)?);
            queues.insert(row.text(2)?);
        }
        if !job_ids.is_empty() {
            if declared.is_some() {
                self.hold_slots(key, &job_ids).await?;
            }
            self.execute("delete from solid_queue_blocked_executions where id in ?", &values![&executions]).await?;
            self.insert_ready(&job_ids).await?;
        }
        let left = free - job_ids.len() as i64;
        match declared {
            Some(_) => self.write_semaphore(key, left.max(0), limit.duration).await?,
            None if given_back != 0 || !job_ids.is_empty() => self.write_semaphore(key, left, limit.duration).await?,
            None => {}
        }
        Ok((job_ids.len() as u64, queues))
    }

    /// Mends limits: slots whose holders are neither ready nor claimed (Rails finished or deleted them) are taken
    /// back, held ones renewed, blocked jobs of free keys released, forgotten signals handed on.
    ///
    /// # Errors
    /// Those of the database. Keys already mended stay so.
    pub async fn sweep_limits(&mut self) -> Result<SweptLimits, Error> {
        let mut swept = SweptLimits { queues: self.signal().await?, ..SweptLimits::default() };
        for key in self.keys_to_sweep().await? {
            let (reclaimed, released, queues) = transaction!(self, self.sweep_key(&key).await)?;
            swept.keys += 1;
            swept.reclaimed += reclaimed;
            swept.released += released;
            swept.queues.extend(queues);
        }
        Ok(swept)
    }

    async fn keys_to_sweep(&mut self) -> Result<BTreeSet<String>, Error> {
        let mut keys = BTreeSet::new();
        for row in self.query("select distinct concurrency_key from gritstone_slots", &[]).await? {
            keys.insert(row.text(0)?);
        }
        // Our tables' texts are never compared with Rails' in SQL: on MySQL the two may have different collations.
        let column = self.dialect.key_column();
        let blocked = format!(
            "select distinct b.concurrency_key, case when s.value > 0 or \
             ((s.value is null or s.expires_at <= ?) and b.expires_at <= ?) then 1 else 0 end \
             from solid_queue_blocked_executions b left join solid_queue_semaphores s on s.{column} = b.concurrency_key"
        );
        let mut others = BTreeSet::new();
        for row in self.query(&blocked, &[Value::NOW, Value::NOW]).await? {
            // Rails' own keys wait for their expiry, as in Rails: their holders can't be counted here.
            let among = if row.int(1)? == 1 { &mut keys } else { &mut others };
            among.insert(row.text(0)?);
        }
        for key in others.difference(&keys.clone()) {
            if self.declared_limit(key).await?.is_some() {
                keys.insert(key.clone());
            }
        }
        Ok(keys)
    }

    async fn sweep_key(&mut self, key: &str) -> Result<(u64, u64, BTreeSet<String>), Error> {
        let Some(limit) = self.declared_limit(key).await? else {
            let (released, queues) = self.sweep_foreign_key(key).await?;
            return Ok((0, released, queues));
        };
        // First the lock: a slot can't change hands while we look at who holds it.
        self.lock_semaphore(key, limit).await?;
        let orphans = self
            .query(
                "select s.job_id from gritstone_slots s where s.concurrency_key = ? \
                 and not exists (select 1 from solid_queue_ready_executions r where r.job_id = s.job_id) \
                 and not exists (select 1 from solid_queue_claimed_executions c where c.job_id = s.job_id)",
                &values![key],
            )
            .await?;
        let orphans = orphans.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        if !orphans.is_empty() {
            self.execute("delete from gritstone_slots where job_id in ?", &values![&orphans]).await?;
        }
        let (released, queues) = self.settle(key, 0).await?;
        Ok((orphans.len() as u64, released, queues))
    }

    /// What Solid Queue's own maintenance does, for keys whose limit only Rails knows: a semaphore that has expired
    /// starts anew, at one.
    async fn sweep_foreign_key(&mut self, key: &str) -> Result<(u64, BTreeSet<String>), Error> {
        // The limit may have been withdrawn: nobody counts these any more.
        self.execute("delete from gritstone_slots where concurrency_key = ?", &values![key]).await?;
        let column = self.dialect.key_column();
        let expired =
            format!("delete from solid_queue_semaphores where {column} = ? and value <= 0 and expires_at <= ?");
        self.execute(&expired, &[key.into(), Value::NOW]).await?;
        self.lock_semaphore(key, Limit::default()).await?;
        self.settle(key, 0).await
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

fn read_limit(row: &Row) -> Result<Limit, Error> {
    Ok(Limit {
        to: row.int(1)?.clamp(0, i64::from(u32::MAX)) as u32,
        duration: Duration::from_micros(row.int(2)?.max(0) as u64),
        on_conflict: if row.text(3)? == "discard" { OnConflict::Discard } else { OnConflict::Block },
    })
}
