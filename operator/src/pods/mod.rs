//! The pods of workers, as they are now: of each only what is asked for. `watch` watches them, for these and for [`crate::death`].

mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::Event;
use kube::{Client, Error, ResourceExt as _};

use crate::engine::{ENGINE, Role};
pub(crate) use watch::watch;

/// Which of several pods a ReplicaSet is to take away first: the one where it is lowest.
pub(crate) const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerPod {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The QueueWorker that it is of.
    pub(crate) worker: String,
    /// Whether a node was found for it.
    pub(crate) is_bound: bool,
    /// Whether its engine may be running: it has a node, and the kubelet has not said that the container isn't.
    pub(crate) may_run: bool,
    /// Whether some container of it has never been started.
    pub(crate) is_pending: bool,
    pub(crate) is_ready: bool,
    /// It has been told to go.
    pub(crate) is_ending: bool,
    /// Whether somebody said how early it should go.
    pub(crate) has_cost: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    known: Known,
    /// The list that is being read. What went while the watch was broken off isn't told of: it is what isn't in there.
    read: Known,
}

/// By namespace and QueueWorker, then by name.
#[derive(Debug, Default)]
struct Known(HashMap<(String, String), BTreeMap<String, WorkerPod>>);

impl Known {
    fn put(&mut self, pod: WorkerPod) {
        let key = (pod.namespace.clone(), pod.worker.clone());
        self.0.entry(key).or_default().insert(pod.name.clone(), pod);
    }

    fn remove(&mut self, pod: &Pod) {
        let (Some(namespace), Some(worker)) = (pod.namespace(), pod.labels().get(Role::Worker.label())) else { return };
        let key = (namespace, worker.clone());
        let Some(pods) = self.0.get_mut(&key) else { return };
        // One of the same name may have come since.
        if pods.get(&pod.name_any()).is_some_and(|known| Some(&known.uid) == pod.metadata.uid.as_ref()) {
            pods.remove(&pod.name_any());
        }
        if pods.is_empty() {
            self.0.remove(&key);
        }
    }
}

impl Pods {
    /// Takes in what the watch says.
    fn hear(&self, event: &Event<Pod>) {
        let mut list = self.list();
        match event {
            Event::Init => list.read = Known::default(),
            Event::InitApply(pod) => seen(pod).into_iter().for_each(|pod| list.read.put(pod)),
            Event::InitDone => list.known = std::mem::take(&mut list.read),
            Event::Apply(pod) => match seen(pod) {
                Some(pod) => list.known.put(pod),
                None => list.known.remove(pod),
            },
            Event::Delete(pod) => list.known.remove(pod),
        }
    }

    /// Those of one QueueWorker that have not ended, by name.
    pub(crate) fn of(&self, namespace: &str, worker: &str) -> Vec<WorkerPod> {
        let list = self.list();
        let pods = list.known.0.get(&(namespace.to_owned(), worker.to_owned()));
        pods.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of one QueueWorker, as the API server has them now: what is kept of the watch may be older.
///
/// # Errors
/// Those of the API server.
pub(crate) async fn read(client: &Client, namespace: &str, worker: &str) -> Result<Vec<WorkerPod>, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(&Role::Worker.selector(worker))).await?;
    Ok(pods.items.iter().filter_map(seen).collect())
}

/// What is kept of a pod. Nothing of one that has ended: it holds no connection and runs nothing.
fn seen(pod: &Pod) -> Option<WorkerPod> {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return None;
    }
    let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_ref().is_some_and(|node| !node.is_empty()));
    let mut containers = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    let engine = containers.find(|container| container.name == ENGINE).and_then(|engine| engine.state.as_ref());
    let is_stopped =
        engine.is_some_and(|state| state.running.is_none() && (state.waiting.is_some() || state.terminated.is_some()));
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ready = |condition: &&k8s_openapi::api::core::v1::PodCondition| condition.type_ == "Ready";
    Some(WorkerPod {
        uid: pod.metadata.uid.clone()?,
        name: pod.name_any(),
        namespace: pod.namespace()?,
        worker: pod.labels().get(Role::Worker.label())?.clone(),
        is_bound,
        may_run: is_bound && !is_stopped,
        is_pending: phase.is_none_or(|phase| phase == "Pending"),
        is_ready: conditions.into_iter().flatten().find(ready).is_some_and(|condition| condition.status == "True"),
        is_ending: pod.metadata.deletion_timestamp.is_some(),
        has_cost: pod.annotations().contains_key(DELETION_COST),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(metadata: Value, status: Value) -> Option<WorkerPod> {
        let mut pod = json!({"metadata": {"name": "a", "namespace": "shop", "uid": "u"}, "status": status});
        for (name, value) in metadata.as_object().expect("fields") {
            pod["metadata"][name] = value.clone();
        }
        seen(&serde_json::from_value(pod).expect("a pod"))
    }

    #[test]
    fn what_went_while_the_watch_was_broken_off_is_not_known_any_more() {
        let pod = |name: &str| -> Pod {
            let labels = json!({"gritstone.dev/queue-worker": "mail"});
            let metadata = json!({"name": name, "namespace": "shop", "uid": name, "labels": labels});
            serde_json::from_value(json!({"metadata": metadata})).expect("a pod")
        };
        let pods = Pods::default();
        let names = || pods.of("shop", "mail").into_iter().map(|pod| pod.name).collect::<Vec<_>>();
        let read = |listed: &[&str]| {
            pods.hear(&Event::Init);
            listed.iter().for_each(|name| pods.hear(&Event::InitApply(pod(name))));
        };
        read(&["a", "b"]);
        assert!(names().is_empty(), "the list is not whole yet");
        pods.hear(&Event::InitDone);
        assert_eq!(names(), ["a", "b"]);
        pods.hear(&Event::Apply(pod("c")));
        pods.hear(&Event::Delete(pod("a")));
        read(&["c"]);
        assert_eq!(names(), ["b", "c"], "until the list is whole it is as it was");
        pods.hear(&Event::InitDone);
        assert_eq!(names(), ["c"]);
    }

    #[test]
    fn of_a_pod_that_has_ended_nothing_is_kept() {
        let labels = json!({"labels": {"gritstone.dev/queue-worker": "mail"}});
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let seen = pod(labels.clone(), ready).expect("a worker's pod");
        assert_eq!((seen.worker.as_str(), seen.is_ready, seen.is_ending), ("mail", true, false));
        assert_eq!(pod(labels.clone(), json!({"phase": "Failed"})), None);
        assert_eq!(pod(json!({}), json!({"phase": "Running"})), None);
        assert!(!pod(labels, json!({"phase": "Pending"})).expect("a worker's pod").is_ready);
    }

    #[test]
    fn an_engine_may_run_on_a_node_unless_the_kubelet_says_that_it_does_not() {
        let of = |node: Option<&str>, engine: Value| {
            let engine = json!([{"name": "gritstone", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": engine}]);
            let pod = json!({
                "metadata": {"name": "a", "namespace": "shop", "uid": "u", "labels": {"gritstone.dev/queue-worker": "mail"}},
                "spec": {"nodeName": node, "containers": []},
                "status": {"phase": "Pending", "containerStatuses": engine},
            });
            let seen = seen(&serde_json::from_value(pod).expect("a pod")).expect("a worker's pod");
            (seen.is_bound, seen.may_run)
        };
        assert_eq!(of(None, json!({})), (false, false));
        assert_eq!(of(Some("node"), json!({})), (true, true), "not known");
        assert_eq!(of(Some("node"), json!({"running": {}})), (true, true));
        assert_eq!(of(Some("node"), json!({"waiting": {"reason": "ImagePullBackOff"}})), (true, false));
        assert_eq!(of(Some("node"), json!({"terminated": {"exitCode": 1}})), (true, false));
    }
}
