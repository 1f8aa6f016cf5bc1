//! How far a Deployment's pods have come.

use serde_json::Value;

use super::obstacle::Obstacle;
use crate::conditions::Saying;

/// What a Deployment's status says, as far as we ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// How many pods there are to be.
    pub(crate) wanted: i32,
    /// How many there are, starting and stopping ones included.
    pub(crate) replicas: i32,
    /// How many of them are ready.
    pub(crate) ready: i32,
    /// Whether every one there is, and no other, is as it should be.
    pub(crate) is_done: bool,
    /// Whether those that are there are all of the newest template, ready or not: one ReplicaSet has all of them.
    pub(crate) is_of_one: bool,
    /// What is in the way, as the Deployment's controller said last.
    pub(crate) obstacle: Option<Box<Obstacle>>,
}

impl Rollout {
    /// Of a Deployment of this generation, as the API server has it.
    pub(crate) fn of(generation: Option<i64>, deployment: &Value) -> Self {
        let count = |field: &Value| field.as_i64().and_then(|count| count.try_into().ok()).unwrap_or_default();
        let status = &deployment["status"];
        let (wanted, replicas) = (count(&deployment["spec"]["replicas"]), count(&status["replicas"]));
        let (ready, updated) = (count(&status["readyReplicas"]), count(&status["updatedReplicas"]));
        let seen = status["observedGeneration"].as_i64() >= generation;
        let is_done = seen && ready >= wanted && updated >= wanted && replicas <= wanted;
        Self {
            wanted,
            replicas,
            ready,
            is_done,
            is_of_one: seen && updated == replicas,
            obstacle: Obstacle::of(deployment),
        }
    }

    /// The condition `Ready` of an object whose pods are called `what` (`workers`), which has `reason` once they are all there.
    pub(crate) fn ready(&self, what: &str, reason: &'static str) -> Saying {
        let Self { wanted, ready, is_done, obstacle, .. } = self;
        if !is_done {
            let (reason, more) = obstacle.as_ref().map_or(("Progressing", ""), |it| (it.reason, it.message.as_str()));
            return Saying::new("Ready", false, reason, format!("{ready} of {wanted} {what} are ready{more}"));
        }
        let message =
            if *wanted == 0 { format!("no {what} are asked for") } else { format!("{ready} {what} are ready") };
        Saying::new("Ready", true, reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_crds::kinds::ConditionStatus;
    use serde_json::json;

    #[test]
    fn ready_is_when_as_many_as_asked_for_are() {
        let said = |status: Value| {
            let deployment = json!({"spec": {"replicas": 2}, "status": status});
            Rollout::of(Some(4), &deployment).ready("workers", "WorkersReady")
        };
        let counts =
            |ready| json!({"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready});
        assert_eq!(said(counts(1)).message, "1 of 2 workers are ready");
        assert_eq!(said(counts(2)).status, ConditionStatus::True);
        let old = json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2});
        assert_eq!(said(old).reason, "Progressing");
        let surplus = json!({"observedGeneration": 4, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2});
        assert_eq!(said(surplus).reason, "Progressing");
        assert_eq!(said(json!({})).reason, "Progressing");
    }

    #[test]
    fn what_is_in_the_way_is_said_until_all_are_ready() {
        let said = |ready: i32| {
            let refused = json!({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"});
            let status =
                json!({"replicas": ready, "updatedReplicas": ready, "readyReplicas": ready, "conditions": [refused]});
            Rollout::of(None, &json!({"spec": {"replicas": 2}, "status": status})).ready("workers", "WorkersReady")
        };
        let refused = said(1);
        assert_eq!((refused.status, refused.reason), (ConditionStatus::False, "ReplicaFailure"));
        let words = ("1 of 2 workers are ready; ", ": exceeded quota: pods");
        assert!(refused.message.starts_with(words.0) && refused.message.ends_with(words.1), "{}", refused.message);
        assert_eq!(said(2).reason, "WorkersReady");
    }
}
