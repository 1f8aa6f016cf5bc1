//! What a Dispatcher's status says.

use gritstone_crds::kinds::{Condition, DispatcherStatus};
use jiff::Timestamp;

use crate::conditions::Saying;
use crate::database::{self, DatabaseFault, Standing};
use crate::engine::Rollout;

/// How a reconciliation went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// What is asked for makes no sense; nothing was changed.
    Invalid(String),
    /// The API server takes no object like this.
    Refused(String),
    /// The objects are as they should be.
    Applied {
        /// How the database stands; none when the manifest names none.
        database: Option<Standing>,
        /// How far its pods have come.
        rollout: Rollout,
    },
}

/// The status of a dispatcher that had the status `before`.
pub(super) fn status(
    generation: Option<i64>,
    outcome: &Outcome,
    before: &DispatcherStatus,
    now: Timestamp,
) -> DispatcherStatus {
    let (replicas, ready_replicas) = match outcome {
        Outcome::Applied { rollout, .. } => (rollout.replicas, rollout.ready),
        Outcome::Invalid(_) | Outcome::Refused(_) => (before.replicas, before.ready_replicas),
    };
    let reachable = match outcome {
        Outcome::Applied { database: Some(standing), .. } => {
            database::condition(standing, &before.conditions, generation, now)
        }
        _ => None,
    };
    let ready = ready(outcome).since(&before.conditions, generation, now);
    let conditions: Vec<Condition> = [Some(ready), reachable].into_iter().flatten().collect();
    DispatcherStatus { observed_generation: generation, replicas, ready_replicas, conditions }
}

fn ready(outcome: &Outcome) -> Saying {
    let not = |reason, message: String| Saying::new("Ready", false, reason, message);
    let (database, rollout) = match outcome {
        Outcome::Invalid(problems) => return not("InvalidSpec", problems.clone()),
        Outcome::Refused(said) => return not("Refused", said.clone()),
        Outcome::Applied { database, rollout } => (database, rollout),
    };
    // Without it no pod starts. Whether the database answers is another matter, and another condition.
    if let Some(Err(fault @ (DatabaseFault::NoSecret { .. } | DatabaseFault::NoKey { .. }))) =
        database.as_ref().map(|standing| &standing.reachable)
    {
        return not("DatabaseSecretMissing", fault.to_string());
    }
    rollout.ready("dispatchers", "DispatchersReady")
}
