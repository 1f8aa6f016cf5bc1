//! The list of processes, for people and for those that look after them.

use crate::error::Error;
use crate::session::Session;
use crate::sql::Value;
use crate::transitions::processes::Pod;
use jiff::Timestamp;

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
    /// Where it runs on Kubernetes.
    pub pod: Option<Pod>,
    /// Claims nothing at present.
    pub cordoned: bool,
}

impl Session<'_> {
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
                 case when g.cordoned_until > ? then 1 else 0 end, g.cluster_id, g.namespace, g.pod, g.pod_uid \
                 from solid_queue_processes p left join gritstone_processes g on g.process_id = p.id order by p.id",
                &[Value::NOW],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let last_heartbeat_at = row.time(6)?;
                let pod = (row.opt_text(11)?, row.opt_text(12)?, row.opt_text(13)?, row.opt_text(14)?);
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
                    pod: match pod {
                        (Some(cluster_id), Some(namespace), Some(name), Some(uid)) => {
                            Some(Pod { cluster_id, namespace, name, uid })
                        }
                        _ => None,
                    },
                })
            })
            .collect()
    }
}
