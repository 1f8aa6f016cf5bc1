//! Taking the dead off a database's list.

use std::time::Duration;

use gritstone_store::{Buried, Death, Error, Session, Store};
use tokio::time::timeout;

use super::statement::Ended;

/// How long one database may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Buries the processes of a container that ended, as far as they are in this database: their jobs go to others. Each is one transaction, so
/// that who is interrupted in the middle, or does it twice, leaves nothing half done.
///
/// # Errors
/// Those of the database. What was buried before is buried.
pub(super) async fn prune(store: &Store, ended: &Ended) -> Result<Vec<Buried>, Error> {
    let pruning = async {
        let mut session = store.session().await?;
        let mut all = Vec::new();
        for process in session.processes_in(&ended.pod).await? {
            if !ended.is_end_of(&process.incarnation) {
                continue;
            }
            let death = Death::Exited { how: ended.how() };
            if let Some(buried) = session.bury(process.process_id, &death).await? {
                hand_on(store, &mut session, &buried).await?;
                all.push(buried);
            }
        }
        Ok(all)
    };
    // A session that is given up halfway is closed with its transaction.
    let late = || Error::Unavailable(format!("the database did not answer within {PATIENCE:?}"));
    timeout(PATIENCE, pruning).await.unwrap_or_else(|_| Err(late()))
}

/// What the dead one held goes on: slots of limits, batches. If it doesn't get that far, the dispatchers' sweeps do it.
async fn hand_on(store: &Store, session: &mut Session<'_>, buried: &Buried) -> Result<(), Error> {
    let mut queues = session.complete_batches(&buried.batch_ids).await?;
    if buried.signals {
        queues.extend(session.signal().await?);
    }
    store.wake(queues);
    Ok(())
}
