//! What is in the way of a Deployment's pods, in the words of its controller.
//!
//! The API server takes a Deployment whose pods it won't take: those are made later, by controllers, and refused to them by whoever judges
//! pods (a policy of pod security, a quota, an admission webhook). Nobody but the Deployment's status tells.

use serde_json::Value;

/// Why pods don't come, or don't come to be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// As a condition says it.
    pub(crate) reason: &'static str,
    /// What happened, in words that go on after how many are ready.
    pub(crate) message: String,
}

impl Obstacle {
    /// Of a Deployment as the API server has it. What keeps pods from being made goes before that they have taken too long: it says why.
    pub(super) fn of(deployment: &Value) -> Option<Box<Self>> {
        let conditions = deployment["status"]["conditions"].as_array()?;
        let find = |kind: &str, status: &str| {
            let mut found = conditions.iter().filter(|condition| condition["type"] == kind);
            found.find(|condition| condition["status"] == status)
        };
        let stuck = find("Progressing", "False");
        let is_late = |condition: &&Value| condition["reason"] == "ProgressDeadlineExceeded";
        let words = |condition: &Value| condition["message"].as_str().unwrap_or("it doesn't say why").to_owned();
        // A ReplicaSet that can't be made is the other reason not to progress.
        if let Some(failure) = find("ReplicaFailure", "True").or(stuck.filter(|stuck| !is_late(stuck))) {
            let message = format!("; Kubernetes could not make or remove pods, and tries again: {}", words(failure));
            return Some(Box::new(Self { reason: "ReplicaFailure", message }));
        }
        stuck.map(|stuck| {
            let longer = ", and that for longer than a rollout should take (look at the pods that aren't)";
            let message = format!("{longer}: {}", words(stuck));
            Box::new(Self { reason: "ProgressDeadlineExceeded", message })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(conditions: Value) -> Option<Box<Obstacle>> {
        Obstacle::of(&json!({"status": {"conditions": conditions}}))
    }

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": message})
    }

    #[test]
    fn a_deployment_that_goes_on_has_none() {
        assert_eq!(Obstacle::of(&json!({})), None);
        let goes_on = condition("Progressing", "True", "ReplicaSetUpdated", "1 of 2");
        let not_enough = condition("Available", "False", "MinimumReplicasUnavailable", "");
        let mended = condition("ReplicaFailure", "False", "FailedCreate", "over");
        assert_eq!(of(json!([goes_on, not_enough, mended])), None);
    }

    #[test]
    fn what_refuses_pods_goes_before_how_long_it_has_taken() {
        let late = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing.");
        let refused = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: none");
        let found = of(json!([late, refused])).expect("an obstacle");
        assert_eq!(found.reason, "ReplicaFailure");
        assert!(found.message.ends_with(": exceeded quota: none"), "{}", found.message);
        let found = of(json!([late])).expect("an obstacle");
        assert_eq!(found.reason, "ProgressDeadlineExceeded");
        assert!(found.message.ends_with(": has timed out progressing."), "{}", found.message);
    }

    #[test]
    fn a_replica_set_that_cannot_be_made_means_no_pods() {
        let refused = condition("Progressing", "False", "ReplicaSetCreateError", "Failed to create new replica set");
        let found = of(json!([refused])).expect("an obstacle");
        assert_eq!(found.reason, "ReplicaFailure");
        assert!(found.message.ends_with(": Failed to create new replica set"), "{}", found.message);
    }
}
