//! Processes: who is there, who is dead, and what becomes of the jobs of the dead.

use super::claim::{CLAIMED, read};
use crate::error::Error;
use crate::job::{ClaimedJob, JobError};
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use jiff::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

/// Solid Queue's own alive threshold, for the rows of its processes: they say that they live once a minute.
const RAILS_ALIVE_THRESHOLD: Duration = Duration::from_secs(300);

/// A process about to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProcess {
    /// `Worker`, `Dispatcher`, `Scheduler`, `Supervisor(fork)` or `Supervisor(async)`.
    pub kind: String,
    /// The kind in lower case, `-`, 20 hexadecimal digits.
    pub name: String,
    /// The operating system's number.
    pub pid: u32,
    /// The machine or pod.
    pub hostname: String,
    /// The supervisor's row.
    pub supervisor_id: Option<i64>,
    /// What Rails' pages show, as JSON.
    pub metadata: serde_json::Value,
    /// Who it is beyond that.
    pub identity: Identity,
    /// How many deaths of a worker each job survives; 0 fails a dead worker's jobs at once.
    pub max_interruptions: u32,
}

/// What tells a process from every other one, its own predecessor in the same container included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Drawn anew at each start.
    pub incarnation: String,
    /// The Kubernetes cluster.
    pub cluster_id: Option<String>,
    /// The pod's namespace.
    pub namespace: Option<String>,
    /// The pod's name.
    pub pod: Option<String>,
    /// The pod's UID.
    pub pod_uid: Option<String>,
}

/// A registered process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// The row's id.
    pub process_id: i64,
}

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

/// A process as people see it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ProcessView {
    /// The row's id.
    pub id: i64,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The operating system's number.
    pub pid: i64,
    /// The machine or pod.
    pub hostname: Option<String>,
    /// The supervisor's row.
    pub supervisor_id: Option<i64>,
    /// When it last said that it lives.
    pub last_heartbeat_at: Timestamp,
    /// How long ago that is, in seconds, by the database's clock.
    pub heartbeat_age_seconds: i64,
    /// Jobs in its hands.
    pub claimed: u64,
    /// What it says of itself.
    pub metadata: Option<serde_json::Value>,
    /// What tells it from its predecessor; absent for Rails' processes.
    pub incarnation: Option<String>,
    /// Claims nothing at present.
    pub cordoned: bool,
}

/// What a worker has done, counted since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs done.
    pub done: u64,
    /// Jobs failed for good.
    pub failed: u64,
    /// Time spent in handlers, added up over all threads.
    pub busy: Duration,
}

impl Session<'_> {
    /// Writes a process down.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn register(&mut self, process: &NewProcess) -> Result<Registered, Error> {
        transaction!(self, self.register_script(process).await)
    }

    async fn register_script(&mut self, process: &NewProcess) -> Result<Registered, Error> {
        self.execute(
            "insert into solid_queue_processes (kind, last_heartbeat_at, supervisor_id, pid, hostname, metadata, created_at, name) \
             values (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                (&process.kind).into(),
                Value::NOW,
                process.supervisor_id.into(),
                i64::from(process.pid).into(),
                (&process.hostname).into(),
                process.metadata.to_string().into(),
                Value::NOW,
                (&process.name).into(),
            ],
        )
        .await?;
        let row =
            self.query_one("select max(id) from solid_queue_processes where name = ?", &values![&process.name]).await?;
        let process_id = row.map_or(Ok(0), |row| row.int(0))?;
        let identity = &process.identity;
        self.execute(
            "insert into gritstone_processes (process_id, incarnation, cluster_id, namespace, pod, pod_uid, max_interruptions) \
             values (?, ?, ?, ?, ?, ?, ?)",
            &values![
                process_id,
                &identity.incarnation,
                &identity.cluster_id,
                &identity.namespace,
                &identity.pod,
                &identity.pod_uid,
                i64::from(process.max_interruptions)
            ],
        )
        .await?;
        Ok(Registered { process_id })
    }

    /// Says that a process lives. False when its row is gone: it was pruned, and must stop.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn heartbeat(&mut self, process_id: i64) -> Result<bool, Error> {
        let sql = "update solid_queue_processes set last_heartbeat_at = ? where id = ?";
        Ok(self.write(sql, &[Value::NOW, process_id.into()]).await? > 0)
    }

    /// Writes what a worker has done so far.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write_counters(&mut self, process_id: i64, counters: Counters) -> Result<(), Error> {
        self.write(
            "update gritstone_processes set done = ?, failed = ?, busy_micros = ? where process_id = ?",
            &values![counters.done as i64, counters.failed as i64, counters.busy.as_micros() as i64, process_id],
        )
        .await?;
        Ok(())
    }

    /// Changes what Rails' pages show of a process.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write_metadata(&mut self, process_id: i64, metadata: &serde_json::Value) -> Result<(), Error> {
        let sql = "update solid_queue_processes set metadata = ? where id = ?";
        self.write(sql, &values![metadata.to_string(), process_id]).await?;
        Ok(())
    }

    /// Keeps a process from claiming for a while; zero lets it claim again at once.
    ///
    /// Waits for a claim of that process that is under way, so that whoever looks next sees all its claims.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn cordon(&mut self, process_id: i64, duration: Duration) -> Result<bool, Error> {
        let sql = "update gritstone_processes set cordoned_until = ? where process_id = ?";
        Ok(self.write(sql, &[Value::now_plus(duration), process_id.into()]).await? > 0)
    }

    /// Claims that were fetched ahead and will not have started until the list says otherwise.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write_unstarted(&mut self, process_id: i64, claim_ids: &[i64]) -> Result<(), Error> {
        let list = serde_json::Value::from(claim_ids).to_string();
        self.write("update gritstone_processes set unstarted = ? where process_id = ?", &values![list, process_id])
            .await?;
        Ok(())
    }

    /// Takes a process that stops cleanly off the list: what it still holds is ready again. How many jobs that were.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn deregister(&mut self, process_id: i64) -> Result<usize, Error> {
        transaction!(self, self.deregister_script(process_id).await)
    }

    async fn deregister_script(&mut self, process_id: i64) -> Result<usize, Error> {
        self.close_gate(process_id).await?;
        let claims = self.lock_claims(process_id).await?;
        let job_ids: Vec<i64> = claims.iter().map(|job| job.job_id).collect();
        self.insert_ready(&job_ids).await?;
        self.drop_claims(&claims).await?;
        self.execute("delete from solid_queue_processes where id = ?", &values![process_id]).await?;
        Ok(job_ids.len())
    }

    /// Locks the row that claims lock first; false when it is gone. Rails' processes have none.
    async fn close_gate(&mut self, process_id: i64) -> Result<Option<(u32, HashSet<i64>)>, Error> {
        let sql = format!(
            "select max_interruptions, unstarted from gritstone_processes where process_id = ?{}",
            self.dialect.for_update(false)
        );
        let Some(row) = self.query_one(&sql, &values![process_id]).await? else { return Ok(None) };
        let unstarted: Vec<i64> =
            row.opt_text(1)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Ok(Some((row.int(0)?.max(0) as u32, unstarted.into_iter().collect())))
    }

    async fn lock_claims(&mut self, process_id: i64) -> Result<Vec<ClaimedJob>, Error> {
        let sql = format!(
            "select id from solid_queue_claimed_executions where process_id = ? order by id{}",
            self.dialect.for_update(false)
        );
        let rows = self.query(&sql, &values![process_id]).await?;
        let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        self.claimed_by_id(&ids).await
    }

    async fn claimed_by_id(&mut self, claim_ids: &[i64]) -> Result<Vec<ClaimedJob>, Error> {
        if claim_ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("{CLAIMED} where c.id in ? order by j.id");
        self.query(&sql, &values![claim_ids]).await?.iter().map(read).collect()
    }

    async fn drop_claims(&mut self, claims: &[ClaimedJob]) -> Result<(), Error> {
        let ids: Vec<i64> = claims.iter().map(|job| job.claim_id).collect();
        if !ids.is_empty() {
            self.execute("delete from solid_queue_claimed_executions where id in ?", &values![&ids]).await?;
        }
        Ok(())
    }

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

    async fn count_interruption(&mut self, job_id: i64) -> Result<(), Error> {
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
    /// that long.
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

    /// The processes, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn processes(&mut self) -> Result<Vec<ProcessView>, Error> {
        let now = self.now().await?;
        let rows = self
            .query(
                "select p.id, p.kind, p.name, p.pid, p.hostname, p.supervisor_id, p.last_heartbeat_at, p.metadata, \
                 (select count(*) from solid_queue_claimed_executions c where c.process_id = p.id), g.incarnation, \
                 case when g.cordoned_until > ? then 1 else 0 end \
                 from solid_queue_processes p left join gritstone_processes g on g.process_id = p.id order by p.id",
                &[Value::NOW],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let last_heartbeat_at = row.time(6)?;
                Ok(ProcessView {
                    id: row.int(0)?,
                    kind: row.text(1)?,
                    name: row.text(2)?,
                    pid: row.int(3)?,
                    hostname: row.opt_text(4)?,
                    supervisor_id: row.opt_int(5)?,
                    last_heartbeat_at,
                    heartbeat_age_seconds: now.duration_since(last_heartbeat_at).as_secs(),
                    metadata: row.opt_text(7)?.and_then(|text| serde_json::from_str(&text).ok()),
                    claimed: row.int(8)? as u64,
                    incarnation: row.opt_text(9)?,
                    cordoned: row.int(10)? == 1,
                })
            })
            .collect()
    }
}
