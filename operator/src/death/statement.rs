//! What the kubelet says of a pod.

use gritstone_store::{Incarnation, Pod as PodId};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, ObjectReference, Pod};
use kube::Resource;

/// What the engine's container is told, and no other: how it is known among the pod's containers.
const TOLD: &str = "GRITSTONE_POD_UID";
/// What the kubelet says of a container that it doesn't find: nobody has seen it end.
const MADE_UP: &str = "ContainerStatusUnknown";

/// The engine's container has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    /// Where it ran.
    pub(super) pod: PodId,
    /// When, by the node's clock, in whole seconds: it ended then or less than a second later.
    pub(super) finished_at: Timestamp,
    /// How, in the kubelet's word: `OOMKilled`, `Error`, `Completed`.
    pub(super) reason: String,
    /// Its exit code.
    pub(super) exit_code: i32,
    /// The pod, for Events.
    pub(super) reference: ObjectReference,
}

/// The kubelet's word that the engine's container of a pod has ended, the last of those that there were. The next one may run already.
pub(super) fn ended(pod: &Pod, cluster_id: &str) -> Option<Ended> {
    let metadata = &pod.metadata;
    let status = engine(pod)?;
    let state = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| state.as_ref()?.terminated.clone();
    let terminated = state(&status.state).or_else(|| state(&status.last_state))?;
    let ContainerStateTerminated { finished_at, reason, exit_code, .. } = terminated;
    let reason = reason.unwrap_or_default();
    let finished_at = finished_at?.0;
    if reason == MADE_UP || finished_at <= Timestamp::UNIX_EPOCH {
        return None;
    }
    let pod_id = PodId {
        cluster_id: cluster_id.to_owned(),
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
    };
    Some(Ended { pod: pod_id, finished_at, reason, exit_code, reference: pod.object_ref(&()) })
}

/// What is said of the one container that is told who its pod is. A pod in which several are is none that we made.
fn engine(pod: &Pod) -> Option<&ContainerStatus> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut told =
        containers.iter().filter(|container| container.env.iter().flatten().any(|variable| variable.name == TOLD));
    let (Some(engine), None) = (told.next(), told.next()) else { return None };
    pod.status.as_ref()?.container_statuses.iter().flatten().find(|status| status.name == engine.name)
}

impl Ended {
    /// Whether a process of that pod ran in the container that ended, rather than in the one after it.
    ///
    /// Both times are of the node's clock. The next container starts after this one's end, which was at the second that is given or later;
    /// so who started before that second is dead. Who doesn't say when it started may be the next one.
    pub(super) fn is_end_of(&self, incarnation: &str) -> bool {
        let incarnation = incarnation.parse::<Incarnation>();
        incarnation.is_ok_and(|incarnation| incarnation.at.is_some_and(|at| at < self.finished_at))
    }

    /// For people.
    pub(super) fn how(&self) -> String {
        format!("its container ended ({}, exit code {})", self.reason, self.exit_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const END: &str = "2026-11-25T12:00:30Z";

    fn pod(status: &Value) -> Pod {
        let pod = json!({
            "metadata": {"namespace": "shop", "name": "mail-1", "uid": "u-1"},
            "spec": {"containers": [
                {"name": "handler", "env": [{"name": "X"}]},
                {"name": "gritstone", "env": [{"name": "GRITSTONE_POD_UID"}]},
            ]},
            "status": status,
        });
        serde_json::from_value(pod).expect("a pod")
    }

    fn engine_says(status: &Value) -> Option<Ended> {
        let mut status = status.clone();
        status["name"] = json!("gritstone");
        ended(&pod(&json!({"containerStatuses": [status]})), "here")
    }

    #[test]
    fn a_container_that_ended_is_told_whether_or_not_the_next_one_runs() {
        let terminated = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": END}});
        let ended = engine_says(&json!({"state": terminated})).expect("an end");
        assert_eq!((ended.pod.uid.as_str(), ended.pod.cluster_id.as_str()), ("u-1", "here"));
        assert_eq!(ended.how(), "its container ended (OOMKilled, exit code 137)");
        let restarted = json!({"state": {"running": {"startedAt": END}}, "lastState": terminated});
        assert_eq!(engine_says(&restarted), Some(ended.clone()));
        let waiting = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": terminated});
        assert_eq!(engine_says(&waiting), Some(ended));
    }

    #[test]
    fn what_is_not_the_kubelets_word_of_the_engines_end_is_none() {
        let running = json!({"name": "gritstone", "state": {"running": {}}});
        let says = |status: &Value| ended(&pod(status), "here");
        // What the pod garbage collector writes about pods of a node that is gone.
        let lost = json!({"phase": "Failed", "reason": "NodeLost", "containerStatuses": [running],
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]});
        assert_eq!(says(&lost), None);
        assert_eq!(says(&json!({"phase": "Failed"})), None);
        let terminated = json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": END}});
        assert_eq!(says(&json!({"containerStatuses": [running, {"name": "handler", "state": terminated}]})), None);
        let unknown = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": END}});
        assert_eq!(engine_says(&json!({"state": unknown})), None);
        for finished_at in [Value::Null, json!("1970-01-01T00:00:00Z")] {
            let made_up = json!({"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": finished_at}});
            assert_eq!(engine_says(&json!({"state": made_up})), None);
        }
    }

    #[test]
    fn a_pod_with_two_that_know_it_says_nothing() {
        let terminated = json!({"terminated": {"exitCode": 0, "finishedAt": END}});
        let mut pod = pod(&json!({"containerStatuses": [{"name": "gritstone", "state": terminated}]}));
        let containers = &mut pod.spec.as_mut().unwrap().containers;
        containers[0].env = containers[1].env.clone();
        assert_eq!(ended(&pod, "here"), None);
    }

    #[test]
    fn only_who_started_before_the_end_is_dead() {
        let terminated = json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": END}});
        let ended = engine_says(&json!({"state": terminated})).expect("an end");
        let end: Timestamp = END.parse().expect("a time");
        let started = |milliseconds: i64| {
            let at = Timestamp::from_millisecond(end.as_millisecond() + milliseconds).ok();
            Incarnation { host: "b:pid:[1]".to_owned(), pid: 1, start: 1, at }.to_string()
        };
        assert!(ended.is_end_of(&started(-1)));
        assert!(!ended.is_end_of(&started(0)) && !ended.is_end_of(&started(700)));
        assert!(!ended.is_end_of("host:b:pid:[1]:1:1") && !ended.is_end_of("random:x"));
    }
}
