//! Limits of jobs that somebody else made ready: looked at once they are claimed.
//!
//! Rails' dispatcher skips the limit of a class that it doesn't know, and its pages let blocked jobs run now. Such a job has no
//! slot here, while everything that we make ready under a declared key has one before it can be claimed.

use crate::error::Error;
use crate::job::{ClaimedJob, Limit, OnConflict};
use crate::session::{Session, transaction};
use crate::sql::values;
use std::collections::{BTreeMap, HashSet};

/// What became of claimed jobs that were one too many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overclaimed {
    /// Claims that are no more: their jobs wait for a slot, or are gone where the limit drops them.
    pub claims: HashSet<i64>,
    /// Batches that lost a member: [`Session::complete_batches`] sees whether they are finished.
    pub batch_ids: Vec<i64>,
}

impl Session<'_> {
    /// Takes a slot for each of these claimed jobs that is limited by a key declared here and holds none; those for which there is
    /// none wait again, or are dropped, as the limit says. To be called before any of them starts.
    ///
    /// Without limited jobs it asks the database nothing, and nothing more than one question when all hold a slot.
    ///
    /// # Errors
    /// Those of the database; then nothing was changed.
    pub async fn check_claimed(&mut self, claimed: &[ClaimedJob]) -> Result<Overclaimed, Error> {
        let limited: Vec<&ClaimedJob> = claimed.iter().filter(|job| job.concurrency_key.is_some()).collect();
        if limited.is_empty() || self.without_slot(&limited).await?.is_empty() {
            return Ok(Overclaimed::default());
        }
        transaction!(self, self.check_claimed_script(&limited).await)
    }

    async fn check_claimed_script(&mut self, limited: &[&ClaimedJob]) -> Result<Overclaimed, Error> {
        // In the order of locks: claims first, then semaphores by key.
        let mut claims: Vec<i64> = limited.iter().map(|job| job.claim_id).collect();
        claims.sort_unstable();
        let lock = self.dialect.for_update(false);
        let sql = format!("select id from solid_queue_claimed_executions where id in ? order by id{lock}");
        let rows = self.query(&sql, &values![&claims]).await?;
        let held = rows.iter().map(|row| row.int(0)).collect::<Result<HashSet<_>, _>>()?;
        let mut by_key: BTreeMap<&str, Vec<&ClaimedJob>> = BTreeMap::new();
        for job in limited.iter().filter(|job| held.contains(&job.claim_id)) {
            by_key.entry(job.concurrency_key.as_deref().unwrap_or_default()).or_default().push(job);
        }
        let mut over = Overclaimed::default();
        for (key, jobs) in by_key {
            if let Some(limit) = self.declared_limit(key).await? {
                self.check_key(key, limit, &jobs, &mut over).await?;
            }
        }
        Ok(over)
    }

    async fn check_key(
        &mut self,
        key: &str,
        limit: Limit,
        jobs: &[&ClaimedJob],
        over: &mut Overclaimed,
    ) -> Result<(), Error> {
        self.lock_semaphore(key, limit).await?;
        // Under the lock: another claim may have counted them in the meantime.
        let without = self.without_slot(jobs).await?;
        let free = i64::from(limit.to) - self.held(key).await?;
        let granted = (free.max(0) as usize).min(without.len());
        let (holders, refused) = without.split_at(granted);
        let job_ids = |jobs: &[&ClaimedJob]| jobs.iter().map(|job| job.job_id).collect::<Vec<i64>>();
        self.hold_slots(key, &job_ids(holders)).await?;
        self.write_semaphore(key, (free - granted as i64).max(0), limit.duration).await?;
        if refused.is_empty() {
            return Ok(());
        }
        let refused_ids = job_ids(refused);
        let claims: Vec<i64> = refused.iter().map(|job| job.claim_id).collect();
        self.execute("delete from solid_queue_claimed_executions where id in ?", &values![&claims]).await?;
        match limit.on_conflict {
            OnConflict::Block => self.insert_blocked(&refused_ids, limit.duration).await?,
            OnConflict::Discard => over.batch_ids.extend(self.drop_jobs(&refused_ids).await?),
        }
        over.claims.extend(claims);
        Ok(())
    }

    /// Those that hold no slot, in their order.
    async fn without_slot<'j>(&mut self, jobs: &[&'j ClaimedJob]) -> Result<Vec<&'j ClaimedJob>, Error> {
        let job_ids: Vec<i64> = jobs.iter().map(|job| job.job_id).collect();
        let rows = self.query("select job_id from gritstone_slots where job_id in ?", &values![&job_ids]).await?;
        let holders = rows.iter().map(|row| row.int(0)).collect::<Result<HashSet<_>, _>>()?;
        Ok(jobs.iter().filter(|job| !holders.contains(&job.job_id)).copied().collect())
    }
}
