//! The dead: their jobs go to others, or fail.

use crate::error::Error;
use crate::job::{ClaimedJob, JobError};
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use jiff::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

/// Solid Queue's own alive threshold, for the rows of its processes: they say that they live once a minute.
const RAILS_ALIVE_THRESHOLD: Duration = Duration::from_secs(300);

/// How a process died, as the error of its jobs says if they fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// Its heartbeat is too old.
    Pruned {
        /// When it last said that it lives.
        last_heartbeat_at: Timestamp,
    },
    /// Its supervisor, or its own next start, saw that it is gone.
    Exited {
        /// What is known: an exit code, a signal.
        how: String,
    },
    /// The claim has no process at all.
    Missing,
}

impl Death {
    /// The error of a job that fails by this death, under the class names that Solid Queue uses.
    fn error(&self) -> JobError {
        match self {
            Death::Pruned { last_heartbeat_at } => JobError::new(
                "SolidQueue::Processes::ProcessPrunedError",
                format!(
                    "Process was found dead and pruned (last heartbeat at: {})",
                    last_heartbeat_at.strftime("%Y-%m-%d %H:%M:%S UTC")
                ),
            ),
            Death::Exited { how } => {
                JobError::new("SolidQueue::Processes::ProcessExitError", format!("Process exited unexpectedly: {how}"))
            }
            Death::Missing => JobError::new(
                "SolidQueue::Processes::ProcessMissingError",
                "The process that was running this job no longer exists",
            ),
        }
    }
}

/// What became of a dead process's jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buried {
    /// The process.
    pub process_id: Option<i64>,
    /// Its name.
    pub name: String,
    /// Jobs that had not started: ready again, nothing counted.
    pub released: Vec<i64>,
    /// Jobs that were running: ready again, one interruption counted.
    pub interrupted: Vec<i64>,
    /// Jobs that have run out of interruptions: failed.
    pub failed: Vec<i64>,
    /// Slots were given back.
    pub signals: bool,
    /// Batches that lost a member.
    pub batch_ids: Vec<i64>,
}

impl Session<'_> {
    /// Buries a process that is known to be dead: its jobs go to others, or fail. None when it is gone already.
    ///
    /// # Errors
    /// Those of the database; then nothing was changed.
    pub async fn bury(&mut self, process_id: i64, death: &Death) -> Result<Option<Buried>, Error> {
        transaction!(self, self.bury_script(process_id, death).await)
    }

    async fn bury_script(&mut self, process_id: i64, death: &Death) -> Result<Option<Buried>, Error> {
        let gate = self.close_gate(process_id).await?;
        // Solid Queue fails the jobs of its own dead workers; so do we for a row without a companion of ours.
        let (max_interruptions, unstarted) = gate.unwrap_or_default();
        let lock = self.dialect.for_update(false);
        let sql = format!("select name from solid_queue_processes where id = ?{lock}");
        let Some(row) = self.query_one(&sql, &values![process_id]).await? else { return Ok(None) };
        let name = row.text(0)?;
        let claims = self.lock_claims(process_id).await?;
        let mut buried = self.take_away(&claims, &unstarted, max_interruptions, death).await?;
        self.execute("delete from solid_queue_processes where id = ?", &values![process_id]).await?;
        buried.process_id = Some(process_id);
        buried.name = name;
        Ok(Some(buried))
    }

    /// Takes locked claims from a dead process.
    async fn take_away(
        &mut self,
        claims: &[ClaimedJob],
        unstarted: &HashSet<i64>,
        max_interruptions: u32,
        death: &Death,
    ) -> Result<Buried, Error> {
        let mut buried = Buried::default();
        for job in claims {
            if unstarted.contains(&job.claim_id) {
                buried.released.push(job.job_id);
                continue;
            }
            if max_interruptions > 0 {
                self.count_interruption(job.job_id).await?;
            }
            if job.interruptions < max_interruptions {
                buried.interrupted.push(job.job_id);
            } else {
                self.write_failure(job.job_id, &death.error(), None).await?;
                buried.failed.push(job.job_id);
            }
        }
        let back: Vec<i64> = buried.released.iter().chain(&buried.interrupted).copied().collect();
        self.insert_ready(&back).await?;
        buried.batch_ids = self.leave_batches(&buried.failed, false).await?;
        buried.signals = self.note_signals(&buried.failed).await?;
        self.drop_claims(claims).await?;
        Ok(buried)
    }

    /// Counts a run of a job as cut short.
    pub(in crate::transitions) async fn count_interruption(&mut self, job_id: i64) -> Result<(), Error> {
        let updated = self
            .execute(
                "update gritstone_jobs set interruptions = interruptions + 1, interrupted_at = ? where job_id = ?",
                &[Value::NOW, job_id.into()],
            )
            .await?;
        if updated == 0 {
            self.execute(
                "insert into gritstone_jobs (job_id, interruptions, interrupted_at) values (?, 1, ?)",
                &[job_id.into(), Value::NOW],
            )
            .await?;
        }
        Ok(())
    }

    /// Buries the processes whose heartbeat is older than `threshold` (Rails' own: five minutes), but `except`.
    ///
    /// One that registered before the threshold was last changed may go by the old one, which was five minutes at most: it gets
    /// that long. Even if it has been heard of since: its heartbeat may have arrived, and the answer that tells of the change not.
    ///
    /// # Errors
    /// Those of the database. What was buried before stays so.
    pub async fn prune(&mut self, threshold: Duration, except: Option<i64>) -> Result<Vec<Buried>, Error> {
        let rows = self
            .query(
                "select p.id, p.last_heartbeat_at from solid_queue_processes p \
                 left join gritstone_processes g on g.process_id = p.id \
                 where p.last_heartbeat_at <= ? and p.id <> ? and (p.last_heartbeat_at <= ? or (g.process_id is not null \
                 and not exists (select 1 from gritstone_settings s where s.name = 'alive_threshold_ms' and s.updated_at > p.created_at))) \
                 order by p.id limit 50",
                &[
                    Value::now_minus(threshold),
                    except.unwrap_or(0).into(),
                    Value::now_minus(RAILS_ALIVE_THRESHOLD.max(threshold)),
                ],
            )
            .await?;
        let mut buried = Vec::new();
        for row in &rows {
            let (process_id, last_heartbeat_at) = (row.int(0)?, row.time(1)?);
            buried.extend(transaction!(self, self.prune_script(process_id, last_heartbeat_at).await)?);
        }
        Ok(buried)
    }

    async fn prune_script(&mut self, process_id: i64, last_heartbeat_at: Timestamp) -> Result<Option<Buried>, Error> {
        self.close_gate(process_id).await?;
        // It may have come back between the look and the lock.
        let sql = format!(
            "select 1 from solid_queue_processes where id = ? and last_heartbeat_at <= ?{}",
            self.dialect.for_update(false)
        );
        if self.query_one(&sql, &values![process_id, last_heartbeat_at]).await?.is_none() {
            return Ok(None);
        }
        self.bury_script(process_id, &Death::Pruned { last_heartbeat_at }).await
    }

    /// Takes over claims that belong to no process: its row was deleted behind its back. `max_interruptions` as for a dead worker's.
    ///
    /// # Errors
    /// Those of the database; then nothing was changed.
    pub async fn recover_orphans(&mut self, max_interruptions: u32) -> Result<Buried, Error> {
        let look = "select c.id from solid_queue_claimed_executions c \
                    where not exists (select 1 from solid_queue_processes p where p.id = c.process_id) order by c.id limit 500";
        if self.query_one(look, &[]).await?.is_none() {
            return Ok(Buried::default());
        }
        transaction!(self, self.recover_orphans_script(look, max_interruptions).await)
    }

    async fn recover_orphans_script(&mut self, look: &str, max_interruptions: u32) -> Result<Buried, Error> {
        let rows = self.query(look, &[]).await?;
        let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        let lock = self.dialect.for_update(true);
        let sql = format!("select id from solid_queue_claimed_executions where id in ? order by id{lock}");
        let rows = self.query(&sql, &values![&ids]).await?;
        let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        let claims = self.claimed_by_id(&ids).await?;
        self.take_away(&claims, &HashSet::new(), max_interruptions, &Death::Missing).await
    }
}
