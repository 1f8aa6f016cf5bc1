//! Being on the list of processes: joining it, saying that one lives, leaving it.

use crate::error::Error;
use crate::job::ClaimedJob;
use crate::session::{Session, transaction};
use crate::sql::{Value, values};
use crate::transitions::claim::{CLAIMED, read};
use std::collections::HashSet;
use std::time::Duration;

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

const UNSTARTED: &str = "update gritstone_processes set unstarted = ? where process_id = ?";

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

    /// Whether a process is kept from claiming: what it claimed ahead is then for others.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_cordoned(&mut self, process_id: i64) -> Result<bool, Error> {
        let sql = "select 1 from gritstone_processes where process_id = ? and cordoned_until > ?";
        Ok(self.query_one(sql, &[process_id.into(), Value::NOW]).await?.is_some())
    }

    /// Claims that were fetched ahead and will not have started until the list says otherwise.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write_unstarted(&mut self, process_id: i64, claim_ids: &[i64]) -> Result<(), Error> {
        let list = serde_json::Value::from(claim_ids).to_string();
        self.write(UNSTARTED, &values![list, process_id]).await?;
        Ok(())
    }

    pub(in crate::transitions) async fn set_unstarted(
        &mut self,
        process_id: i64,
        claim_ids: &[i64],
    ) -> Result<(), Error> {
        let list = serde_json::Value::from(claim_ids).to_string();
        self.execute(UNSTARTED, &values![list, process_id]).await?;
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
    pub(super) async fn close_gate(&mut self, process_id: i64) -> Result<Option<(u32, HashSet<i64>)>, Error> {
        let sql = format!(
            "select max_interruptions, unstarted from gritstone_processes where process_id = ?{}",
            self.dialect.for_update(false)
        );
        let Some(row) = self.query_one(&sql, &values![process_id]).await? else { return Ok(None) };
        let unstarted: Vec<i64> =
            row.opt_text(1)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Ok(Some((row.int(0)?.max(0) as u32, unstarted.into_iter().collect())))
    }

    pub(super) async fn lock_claims(&mut self, process_id: i64) -> Result<Vec<ClaimedJob>, Error> {
        let sql = format!(
            "select id from solid_queue_claimed_executions where process_id = ? order by id{}",
            self.dialect.for_update(false)
        );
        let rows = self.query(&sql, &values![process_id]).await?;
        let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        self.claimed_by_id(&ids).await
    }

    pub(super) async fn claimed_by_id(&mut self, claim_ids: &[i64]) -> Result<Vec<ClaimedJob>, Error> {
        if claim_ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("{CLAIMED} where c.id in ? order by j.id");
        self.query(&sql, &values![claim_ids]).await?.iter().map(read).collect()
    }

    pub(super) async fn drop_claims(&mut self, claims: &[ClaimedJob]) -> Result<(), Error> {
        let ids: Vec<i64> = claims.iter().map(|job| job.claim_id).collect();
        if !ids.is_empty() {
            self.execute("delete from solid_queue_claimed_executions where id in ?", &values![&ids]).await?;
        }
        Ok(())
    }
}
