//! What a Dispatcher's status says.

use gritstone_crds::kinds::DispatcherStatus;
use jiff::Timestamp;
use serde_json::Value;

use crate::conditions::Saying;
use crate::engine::Rollout;

/// How a reconciliation went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// What is asked for makes no sense; nothing was changed.
    Invalid(String),
    /// The API server takes no object like this.
    Refused(String),
    /// The objects are as they should be; the Deployment as it is.
    Applied(Value),
}

/// The status of a dispatcher that had the status `before`.
pub(super) fn status(
    generation: Option<i64>,
    outcome: &Outcome,
    before: &DispatcherStatus,
    now: Timestamp,
) -> DispatcherStatus {
    let (replicas, ready_replicas, ready) = match outcome {
        Outcome::Invalid(problems) => (before.replicas, before.ready_replicas, not_ready("InvalidSpec", problems)),
        Outcome::Refused(said) => (before.replicas, before.ready_replicas, not_ready("Refused", said)),
        Outcome::Applied(deployment) => {
            let rollout = Rollout::of(deployment);
            (rollout.replicas, rollout.ready, rollout.ready("dispatchers", "DispatchersReady"))
        }
    };
    DispatcherStatus {
        observed_generation: generation,
        replicas,
        ready_replicas,
        conditions: vec![ready.since(&before.conditions, generation, now)],
    }
}

fn not_ready(reason: &'static str, message: &str) -> Saying {
    Saying::new("Ready", false, reason, message)
}
