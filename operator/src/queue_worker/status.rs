//! What a QueueWorker's status says.

use gritstone_crds::kinds::{Condition, ConnectionBudget, QueueWorkerSpec, QueueWorkerStatus};
use jiff::Timestamp;

use super::observe::Observed;
use crate::conditions::Saying;
use crate::database::{self, DatabaseFault};
use crate::engine::{Role, Rollout};
use crate::scaler::{CONNECTIONS, Said, State};

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
        /// How far its pods have come.
        rollout: Rollout,
        /// What has come of scaling by load; none where that isn't asked for.
        scaling: Option<Box<Said>>,
    },
}

const AUTOSCALING: &str = "Autoscaling";

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
        Outcome::Applied { rollout, .. } => (rollout.replicas, rollout.ready),
        Outcome::Invalid(_) | Outcome::Refused(_) => (before.replicas, before.ready_replicas),
    };
    let mut conditions = vec![ready(outcome).since(&before.conditions, generation, now)];
    let mut last_scaling = before.last_scaling.clone();
    if let Outcome::Applied { observed, scaling, .. } = outcome {
        if let Some(said) = scaling {
            conditions.extend(autoscaling(spec, said, &before.conditions, generation, now));
            last_scaling = said.last.clone().or(last_scaling);
        }
        let standing = observed.database.as_ref();
        conditions.extend(standing.and_then(|it| database::condition(it, &before.conditions, generation, now)));
    }
    QueueWorkerStatus {
        observed_generation: generation,
        replicas,
        ready_replicas,
        selector: Some(Role::Worker.selector(name)),
        last_scaling,
        connection_budget: budget(spec),
        conditions,
    }
}

fn ready(outcome: &Outcome) -> Saying {
    let not = |reason, message: String| Saying::new("Ready", false, reason, message);
    let (observed, rollout) = match outcome {
        Outcome::Invalid(problems) => return not("InvalidSpec", problems.clone()),
        Outcome::Refused(said) => return not("Refused", said.clone()),
        Outcome::Applied { observed, rollout, .. } => (observed, rollout),
    };
    // Without it no pod starts. Whether the database answers is another matter, and another condition.
    if let Some(Err(fault @ (DatabaseFault::NoSecret { .. } | DatabaseFault::NoKey { .. }))) =
        observed.database.as_ref().map(|standing| &standing.reachable)
    {
        return not("DatabaseSecretMissing", fault.to_string());
    }
    rollout.ready("workers", "WorkersReady")
}

/// Said only of workers that ask for it. Before anything was decided it is what it was.
fn autoscaling(
    spec: &QueueWorkerSpec,
    said: &Said,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Condition> {
    let to = spec.autoscaling?;
    let (holds, reason, message) = match said.state {
        State::Starting => return before.iter().find(|condition| condition.r#type == AUTOSCALING).cloned(),
        State::Active => (true, "Active", "the load decides how many workers there are".to_owned()),
        State::MaxReplicas => (
            true,
            "MaxReplicas",
            format!("the load takes more workers than maxReplicas, {}, lets there be", to.max_replicas),
        ),
        State::ConnectionBudget => {
            let connections = to.max_database_connections.unwrap_or_default();
            let message = format!(
                "the load takes more workers than maxDatabaseConnections, {connections}, has room for, at {CONNECTIONS} a worker"
            );
            (true, "ConnectionBudget", message)
        }
        State::Busy => {
            let message = "fewer workers would do, and each is at a job: none is taken away before it has ended";
            (true, "WorkersBusy", message.to_owned())
        }
        State::Unsettled => {
            let message = "fewer workers would do: none is taken away while pods are rolled, come or go, nor while one \
                           that may run isn't on the list of processes";
            (true, "PodsNotReady", message.to_owned())
        }
        State::NoData => {
            let message = "the queue can't be looked at (DatabaseReachable says why): the number of workers stays";
            (false, "NoData", message.to_owned())
        }
    };
    let bounds = format!("between {} and {}; replicas is ignored", to.min_replicas, to.max_replicas);
    Some(Saying::new(AUTOSCALING, holds, reason, format!("{message} ({bounds})")).since(before, generation, now))
}

fn budget(spec: &QueueWorkerSpec) -> Option<ConnectionBudget> {
    let connections = spec.autoscaling?.max_database_connections?;
    let per_worker = i32::try_from(CONNECTIONS).unwrap_or(i32::MAX);
    Some(ConnectionBudget { connections, per_worker, workers: connections / per_worker })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Standing;
    use gritstone_crds::kinds::ConditionStatus;
    use serde_json::{Value, json};

    fn said(spec: Value, outcome: &Outcome) -> Vec<(String, ConditionStatus, String)> {
        let spec = serde_json::from_value(spec).expect("a spec");
        let status = status("mail", Some(2), &spec, outcome, &QueueWorkerStatus::default(), Timestamp::UNIX_EPOCH);
        status.conditions.into_iter().map(|condition| (condition.reason, condition.status, condition.message)).collect()
    }

    fn applied(fault: Option<DatabaseFault>, status: Value) -> Outcome {
        let rollout = Rollout::of(Some(4), &json!({"status": status}));
        let reachable = fault.map_or_else(|| Ok("postgres://db/app".to_owned()), Err);
        let database = Some(Standing { reachable, digest: None });
        Outcome::Applied { observed: Observed { database, live: None }, rollout, scaling: None }
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
    }

    #[test]
    fn how_scaling_stands_is_said_of_those_that_ask_for_it() {
        let spec = json!({"replicas": 3, "autoscaling": {"maxReplicas": 5, "maxDatabaseConnections": 30}});
        let scaled = |state| match applied(None, json!({})) {
            Outcome::Applied { observed, rollout, .. } => {
                Outcome::Applied { observed, rollout, scaling: Some(Box::new(Said { last: None, state })) }
            }
            other => other,
        };
        let (reason, status, message) = said(spec.clone(), &scaled(State::Active)).remove(1);
        assert_eq!((reason.as_str(), status), ("Active", ConditionStatus::True));
        assert!(message.ends_with("(between 1 and 5; replicas is ignored)"), "{message}");
        assert_eq!(said(spec.clone(), &scaled(State::NoData))[1].1, ConditionStatus::False);
        assert_eq!(said(spec.clone(), &scaled(State::Starting)).len(), 2, "Ready and DatabaseReachable");
        assert_eq!(said(json!({}), &applied(None, json!({}))).len(), 2);
        let budget = budget(&serde_json::from_value(spec).expect("a spec")).expect("a budget");
        assert_eq!((budget.connections, budget.per_worker, budget.workers), (30, 8, 3));
    }
}
