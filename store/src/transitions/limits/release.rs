//! Slots that were given back, handed on; and slots that were lost, found again.

use crate::error::Error;
use crate::job::Limit;
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Gives back the slots of jobs that stop holding one, within the transaction that stops them. True when there are
    /// any: then [`signal`](Self::signal) hands them on after the commit.
    pub(in crate::transitions) async fn note_signals(&mut self, job_ids: &[i64]) -> Result<bool, Error> {
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
            tracing::debug!(concurrency_key = key, job_ids = ?job_ids, size = job_ids.len(), "release_blocked");
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
}
