//! What a Deployment's controllers, the kubelet and the workers would do, played: pods come and go as the number says, in the order that
//! a ReplicaSet has, and each is on the list of processes of the queue while it is there.

use std::time::Duration;

use gritstone_store::{Counters, Identity, NewProcess, Store, WorkerLoad};
use gritstone_tests::jobs::{claim_any, done, new_process};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::ground::{Ground, ready_status, until};

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Plays for one worker's Deployment until it is dropped.
pub struct Player(#[expect(dead_code, reason = "plays until it is dropped")] AbortOnDropHandle<()>);

impl Player {
    pub fn start(ground: &Ground, store: &Store, worker: &str) -> Self {
        Self::start_with_room(ground, store, worker, usize::MAX)
    }

    /// In a cluster that has room for so many of its pods.
    pub fn start_with_room(ground: &Ground, store: &Store, worker: &str, room: usize) -> Self {
        let part = Part {
            room,
            deployments: ground.api(),
            pods: ground.api(),
            store: store.clone(),
            worker: worker.to_owned(),
            namespace: ground.namespace().to_owned(),
        };
        Player(AbortOnDropHandle::new(tokio::spawn(part.play())))
    }
}

struct Part {
    room: usize,
    deployments: Api<Deployment>,
    pods: Api<Pod>,
    store: Store,
    worker: String,
    namespace: String,
}

impl Part {
    async fn play(self) {
        let name = format!("{}-worker", self.worker);
        let mut made = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Some(deployment) = self.deployments.get_opt(&name).await.unwrap() else { continue };
            let wanted = deployment.spec.as_ref().unwrap().replicas.unwrap_or(1) as usize;
            let selected = ListParams::default().labels(&format!("gritstone.dev/queue-worker={}", self.worker));
            let mut pods = self.pods.list(&selected).await.unwrap().items;
            while pods.len() < wanted {
                made += 1;
                let has_room = pods.iter().filter(|pod| is_bound(pod)).count() < self.room;
                pods.push(self.add(&format!("{name}-abc-{made:05}"), &deployment, has_room).await);
            }
            let cost = |pod: &Pod| pod.annotations().get(COST).map_or(0, |cost| cost.parse::<i32>().unwrap());
            pods.sort_by_key(|pod| (is_bound(pod), cost(pod), std::cmp::Reverse(pod.name_any())));
            let surplus = pods.len() - wanted;
            for pod in pods.iter().take(surplus) {
                self.remove(pod, &deployment).await;
            }
            let ready = pods.iter().skip(surplus).filter(|pod| is_bound(pod)).count() as i32;
            let mut status = ready_status(deployment.metadata.generation, wanted as i32);
            status["status"]["readyReplicas"] = json!(ready);
            status["status"]["availableReplicas"] = json!(ready);
            let seen = serde_json::to_value(&deployment.status).unwrap();
            if status["status"].as_object().unwrap().iter().any(|(field, value)| seen[field] != *value) {
                let status = Patch::Merge(status);
                self.deployments.patch_status(&name, &PatchParams::default(), &status).await.unwrap();
            }
        }
    }

    async fn add(&self, name: &str, deployment: &Deployment, has_room: bool) -> Pod {
        let labels = deployment.spec.as_ref().unwrap().template.metadata.as_ref().unwrap().labels.as_ref();
        let pod = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "gritstone", "image": "none"}], "nodeName": has_room.then_some("node")},
        });
        let pod = self.pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        if !has_room {
            return pod;
        }
        let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        let pod = self.pods.patch_status(name, &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
        let process = new_process(3);
        let identity = Identity {
            cluster_id: Some(cluster_id(deployment)),
            namespace: Some(self.namespace.clone()),
            pod: Some(name.to_owned()),
            pod_uid: pod.metadata.uid.clone(),
            ..process.identity
        };
        let mut session = self.store.session().await.unwrap();
        session.register(&NewProcess { identity, ..process }).await.unwrap();
        pod
    }

    async fn remove(&self, pod: &Pod, deployment: &Deployment) {
        let mut session = self.store.session().await.unwrap();
        for worker in session.workers_of(&cluster_id(deployment)).await.unwrap() {
            if Some(&worker.pod_uid) == pod.metadata.uid.as_ref() {
                session.deregister(worker.process_id).await.unwrap();
            }
        }
        self.pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
    }
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

/// The cluster's id that a Deployment's pods are told.
pub fn cluster_id(deployment: &Deployment) -> String {
    let containers = &deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers;
    let mut env = containers.iter().flat_map(|container| container.env.iter().flatten());
    env.find(|variable| variable.name == "GRITSTONE_CLUSTER_ID").unwrap().value.clone().unwrap()
}

/// The workers that are on the list, once there are so many. Their cluster is `test`.
pub async fn workers(store: &Store, wanted: usize) -> Vec<WorkerLoad> {
    let mut session = store.session().await.unwrap();
    let mut found = Vec::new();
    until(&format!("{wanted} workers"), async || {
        found = session.workers_of("test").await.unwrap();
        found.len() == wanted
    })
    .await;
    found
}

/// Runs everything that is ready, as this worker would.
pub async fn run_all(store: &Store, worker: &WorkerLoad) {
    let mut session = store.session().await.unwrap();
    let claimed = claim_any(&mut session, worker.process_id, 1_000).await;
    let finishes: Vec<_> = claimed.iter().map(done).collect();
    session.finish(&finishes, true).await.unwrap();
    let counters = Counters { done: claimed.len() as u64, failed: 0, busy: Duration::from_millis(1) };
    session.write_counters(worker.process_id, counters).await.unwrap();
}
