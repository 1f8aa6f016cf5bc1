//! The processes of a pod, for those who hear of its end.

use crate::error::Error;
use crate::session::Session;
use crate::sql::values;

/// A pod of a cluster: not its name alone, which the next one may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Pod {
    /// The cluster, as the operator tells it from others.
    pub cluster_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it shares with no other pod that ever was.
    pub uid: String,
}

/// A process in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodProcess {
    /// The row's id.
    pub process_id: i64,
    /// Its name.
    pub name: String,
    /// Which start of the pod's program it is.
    pub incarnation: String,
}

impl Session<'_> {
    /// The processes that say they run in this very pod, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn processes_in(&mut self, pod: &Pod) -> Result<Vec<PodProcess>, Error> {
        let rows = self
            .query(
                "select p.id, p.name, g.incarnation from gritstone_processes g \
                 join solid_queue_processes p on p.id = g.process_id \
                 where g.pod_uid = ? and g.cluster_id = ? and g.namespace = ? and g.pod = ? order by p.id",
                &values![&pod.uid, &pod.cluster_id, &pod.namespace, &pod.name],
            )
            .await?;
        let read = |row: &crate::sql::Row| {
            Ok(PodProcess { process_id: row.int(0)?, name: row.text(1)?, incarnation: row.text(2)? })
        };
        rows.iter().map(read).collect()
    }
}
