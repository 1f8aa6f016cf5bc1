//! What a QueueWorker's status says.

use gritstone_crds::kinds::{Condition, QueueWorkerSpec, QueueWorkerStatus};
use jiff::Timestamp;
use serde_json::Value;

use super::observe::Observed;
use crate::conditions::Saying;
use crate::database::{self, DatabaseFault};
use crate::engine::{Role, Rollout};

/// How a reconciliation went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// What is asked for makes no sense; nothing was changed.
    Invalid(String),
    /// The API server takes no object like this.
    Refused(String),
    /// The objects are as they should be.
    Applied {
        observed: Observed,
        /// The Deployment as it is.
        deployment: Value,
    },
}

/// The status of the worker called `name`, which had the status `before`.
pub(super) fn status(
    name: &str,
    generation: Option<i64>,
    spec: &QueueWorkerSpec,
    outcome: &Outcome,
    before: &QueueWorkerStatus,
    now: Timestamp,
) -> QueueWorkerStatus {
    let (replicas, ready_replicas) = match outcome {
        Outcome::Applied { deployment, .. } => {
            let rollout = Rollout::of(deployment);
            (rollout.replicas, rollout.ready)
        }
        Outcome::Invalid(_) | Outcome::Refused(_) => (before.replicas, before.ready_replicas),
    };
    let sayings = [Some(ready(outcome)), autoscaling(spec)].into_iter().flatten();
    let said = sayings.map(|saying| saying.since(&before.conditions, generation, now));
    let standing = match outcome {
        Outcome::Applied { observed, .. } => observed.database.as_ref(),
        Outcome::Invalid(_) | Outcome::Refused(_) => None,
    };
    let reachable = standing.and_then(|standing| database::condition(standing, &before.conditions, generation, now));
    let conditions: Vec<Condition> = said.chain(reachable).collect();
    QueueWorkerStatus {
        observed_generation: generation,
        replicas,
        ready_replicas,
        selector: Some(Role::Worker.selector(name)),
        last_scaling: before.last_scaling.clone(),
        conditions,
    }
}

fn ready(outcome: &Outcome) -> Saying {
    let not = |reason, message: String| Saying::new("Ready", false, reason, message);
    let (observed, deployment) = match outcome {
        Outcome::Invalid(problems) => return not("InvalidSpec", problems.clone()),
        Outcome::Refused(said) => return not("Refused", said.clone()),
        Outcome::Applied { observed, deployment } => (observed, deployment),
    };
    // Without it no pod starts. Whether the database answers is another matter, and another condition.
    if let Some(Err(fault @ (DatabaseFault::NoSecret { .. } | DatabaseFault::NoKey { .. }))) =
        observed.database.as_ref().map(|standing| &standing.reachable)
    {
        return not("DatabaseSecretMissing", fault.to_string());
    }
    Rollout::of(deployment).ready("workers", "WorkersReady")
}

/// Said only of workers that ask for it.
fn autoscaling(spec: &QueueWorkerSpec) -> Option<Saying> {
    spec.autoscaling.map(|_| {
        let message = format!(
            "this version does not scale by itself: replicas, {}, holds; to change it by load, leave out autoscaling and use a HorizontalPodAutoscaler on the QueueWorker",
            spec.replicas
        );
        Saying::new("Autoscaling", false, "NotSupported", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Standing;
    use gritstone_crds::kinds::ConditionStatus;
    use serde_json::json;

    fn said(spec: Value, outcome: &Outcome) -> Vec<(String, ConditionStatus, String)> {
        let spec = serde_json::from_value(spec).expect("a spec");
        let status = status("mail", Some(2), &spec, outcome, &QueueWorkerStatus::default(), Timestamp::UNIX_EPOCH);
        status.conditions.into_iter().map(|condition| (condition.reason, condition.status, condition.message)).collect()
    }

    fn applied(fault: Option<DatabaseFault>, status: Value) -> Outcome {
        let deployment = json!({"metadata": {"generation": 4}, "status": status});
        let reachable = fault.map_or_else(|| Ok("postgres://db/app".to_owned()), Err);
        let database = Some(Standing { reachable, digest: None });
        Outcome::Applied { observed: Observed { database }, deployment }
    }

    #[test]
    fn what_is_in_the_way_says_what_to_do() {
        let (name, key) = ("app-db".to_owned(), "uri".to_owned());
        let missing = DatabaseFault::NoSecret { name: name.clone(), key: key.clone() };
        let missing = applied(Some(missing), json!({}));
        assert!(said(json!({}), &missing)[0].2.starts_with("there is no Secret app-db: create it"));
        let empty = applied(Some(DatabaseFault::NoKey { name, key }), json!({}));
        assert!(said(json!({}), &empty)[0].2.contains("nothing under the key uri"));
        assert_eq!(said(json!({}), &Outcome::Invalid("spec.threads: 0".to_owned()))[0].0, "InvalidSpec");
        let scaled = said(json!({"autoscaling": {"maxReplicas": 5}}), &applied(None, json!({})));
        assert_eq!((scaled[1].0.as_str(), scaled[1].1), ("NotSupported", ConditionStatus::False));
    }
}
