//! The pods of workers, as they are now: one watch, and of each pod only what is asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use crate::engine::Role;

/// Which of several pods a ReplicaSet is to take away first: the one where it is lowest.
pub(crate) const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerPod {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The QueueWorker that it is of.
    pub(crate) worker: String,
    pub(crate) is_ready: bool,
    /// It has been told to go.
    pub(crate) is_ending: bool,
    /// Whether somebody said how early it should go.
    pub(crate) has_cost: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By namespace and QueueWorker, then by name.
    of: HashMap<(String, String), BTreeMap<String, WorkerPod>>,
}

impl Known {
    fn put(&mut self, pod: WorkerPod) {
        let key = (pod.namespace.clone(), pod.worker.clone());
        self.of.entry(key).or_default().insert(pod.name.clone(), pod);
    }

    fn remove(&mut self, pod: &Pod) {
        let (Some(namespace), Some(worker)) = (pod.namespace(), pod.labels().get(Role::Worker.label())) else { return };
        let key = (namespace, worker.clone());
        let Some(pods) = self.of.get_mut(&key) else { return };
        // One of the same name may have come since.
        if pods.get(&pod.name_any()).is_some_and(|known| Some(&known.uid) == pod.metadata.uid.as_ref()) {
            pods.remove(&pod.name_any());
        }
        if pods.is_empty() {
            self.of.remove(&key);
        }
    }
}

impl Pods {
    /// Watches until `stop` is cancelled.
    pub(crate) async fn run(&self, api: Api<Pod>, stop: CancellationToken) {
        let stream = watcher(api, watcher::Config::default().labels(Role::Worker.label())).default_backoff();
        pin_mut!(stream);
        // What was there before the watch began anew, and isn't any more, is not told of: it is what doesn't come again.
        let mut afresh = Known::default();
        while let Some(Some(event)) = stop.run_until_cancelled(stream.next()).await {
            match event {
                Ok(watcher::Event::Init) => afresh = Known::default(),
                Ok(watcher::Event::InitApply(pod)) => seen(&pod).into_iter().for_each(|pod| afresh.put(pod)),
                Ok(watcher::Event::InitDone) => *self.known() = std::mem::take(&mut afresh),
                Ok(watcher::Event::Apply(pod)) => match seen(&pod) {
                    Some(pod) => self.known().put(pod),
                    None => self.known().remove(&pod),
                },
                Ok(watcher::Event::Delete(pod)) => self.known().remove(&pod),
                Err(error) => tracing::debug!(%error, "watching the workers' pods failed; trying again"),
            }
        }
    }

    /// Those of one QueueWorker that have not ended, by name.
    pub(crate) fn of(&self, namespace: &str, worker: &str) -> Vec<WorkerPod> {
        let known = self.known();
        let pods = known.of.get(&(namespace.to_owned(), worker.to_owned()));
        pods.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a pod. Nothing of one that has ended: it holds no connection and runs nothing.
fn seen(pod: &Pod) -> Option<WorkerPod> {
    let status = pod.status.as_ref();
    if matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")) {
        return None;
    }
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ready = |condition: &&k8s_openapi::api::core::v1::PodCondition| condition.type_ == "Ready";
    Some(WorkerPod {
        uid: pod.metadata.uid.clone()?,
        name: pod.name_any(),
        namespace: pod.namespace()?,
        worker: pod.labels().get(Role::Worker.label())?.clone(),
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
    fn of_a_pod_that_has_ended_nothing_is_kept() {
        let labels = json!({"labels": {"gritstone.dev/queue-worker": "mail"}});
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let seen = pod(labels.clone(), ready).expect("a worker's pod");
        assert_eq!((seen.worker.as_str(), seen.is_ready, seen.is_ending), ("mail", true, false));
        assert_eq!(pod(labels.clone(), json!({"phase": "Failed"})), None);
        assert_eq!(pod(json!({}), json!({"phase": "Running"})), None);
        assert!(!pod(labels, json!({"phase": "Pending"})).expect("a worker's pod").is_ready);
    }
}
