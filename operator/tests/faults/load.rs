//! A worker that scales by load: up; down while one of them is at a job; the number given back to its manifest, and taken over again. The
//! queue is real; pods and workers are played.

use gritstone_crds::kinds::QueueWorker;
use gritstone_store::NewJob;
use gritstone_tests::jobs::{claim_any, done, job};
use gritstone_tests::servers::Server;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::story::{Story, Undisturbed, objects, of_kind, says};
use crate::support::player::{Player, run_all, workers};
use crate::support::{Queue, Rig, managers};

pub struct Load {
    queue: Queue,
    _player: Player,
}

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

impl Load {
    /// Waits until the number of workers is this field manager's alone.
    async fn number_is_of(&self, rig: &Rig, manager: &str) {
        rig.get::<Deployment>("mail-worker", |deployment| managers(deployment) == [manager]).await;
    }
}

impl Story for Load {
    const NAME: &'static str = "load";
    const CALLS: &'static [&'static str] = &[
        "GET deployments/mail-worker",
        "PATCH deployments/mail-worker",
        "PATCH deployments/mail-worker, by the scaler",
        "PATCH pods/*, by the scaler",
        "PATCH queueworkers/mail/status",
        "POST events",
    ];

    async fn begin(rig: &Rig) -> Self {
        let queue = Queue::new(rig, "queue", Server::Postgres).await;
        queue.store.enqueue(&vec![job(); 250]).await.unwrap();
        let _player = Player::start(rig, &queue.store, "mail");
        Self { queue, _player }
    }

    async fn act(&self, rig: &Rig) {
        let by_load = |delay| json!({"minReplicas": 0, "maxReplicas": 5, "scaleDownDelay": delay});
        let spec = json!({
            "database": {"secretRef": {"name": "queue"}},
            "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
            "autoscaling": by_load("1s"),
        });
        rig.create::<QueueWorker>("mail", spec).await;
        let three = workers(&self.queue.store, 3).await;
        // The newest is what a ReplicaSet takes first, if it isn't told otherwise.
        let (idle, busy) = (&three[0], three.last().unwrap());
        let mut session = self.queue.session().await;
        self.queue.store.enqueue(&[NewJob::new("Long", vec![]).priority(-1)]).await.unwrap();
        let long = claim_any(&mut session, busy.process_id, 1).await;
        run_all(&self.queue.store, idle).await;

        let left = workers(&self.queue.store, 1).await;
        assert_eq!((left[0].process_id, left[0].claimed), (busy.process_id, 1), "one that was at a job went");
        session.finish(&[done(&long[0])], true).await.unwrap();

        rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": null, "replicas": 2}})).await;
        self.number_is_of(rig, "gritstone-operator").await;
        workers(&self.queue.store, 2).await;
        // It is as many as there are, and fewer will do in ten minutes at the earliest.
        rig.patch::<QueueWorker>("mail", json!({"spec": {"autoscaling": by_load("10m")}})).await;
        self.number_is_of(rig, "gritstone-scaler").await;
    }

    async fn look(&self, rig: &Rig) -> Vec<Value> {
        let mut all = objects::<QueueWorker>(rig).await;
        all.extend(objects::<Deployment>(rig).await);
        all.extend(objects::<PodDisruptionBudget>(rig).await);
        let name = self.queue.name();
        let text = serde_json::to_string(&all).unwrap().replace(name, "queue");
        let mut all: Vec<Value> = serde_json::from_str(&text).unwrap();
        let everything = ListParams::default();
        for deployment in rig.api::<Deployment>().list(&everything).await.unwrap().items {
            all.push(json!({"kind": "Number", "of": managers(&deployment)}));
        }
        for pod in rig.api::<Pod>().list(&everything).await.unwrap().items {
            all.push(json!({"kind": "Pod", "cost": pod.annotations().get(COST)}));
        }
        for worker in self.queue.session().await.workers_of("test").await.unwrap() {
            all.push(json!({"kind": "Worker", "cordoned": worker.cordoned, "claimed": worker.claimed}));
        }
        all
    }

    fn is_there(objects: &[Value]) -> bool {
        let number = json!({"kind": "Number", "of": ["gritstone-scaler"]});
        says(objects, "QueueWorker", "Active")
            && says(objects, "QueueWorker", "Reachable")
            && says(objects, "QueueWorker", "WorkersReady")
            && of_kind(objects, "Deployment").all(|it| it["spec"]["replicas"] == 2)
            && of_kind(objects, "PodDisruptionBudget").count() == 1
            && objects.contains(&number)
            && of_kind(objects, "Pod").filter(|pod| pod["cost"].is_null()).count() == 2
            && of_kind(objects, "Worker").filter(|it| it["cordoned"] == false && it["claimed"] == 0).count() == 2
    }

    async fn meddle(&self, rig: &Rig) {
        let _ = rig.api::<PodDisruptionBudget>().delete("mail-worker", &DeleteParams::default()).await;
    }

    fn memory() -> &'static OnceCell<Undisturbed> {
        static MEMORY: OnceCell<Undisturbed> = OnceCell::const_new();
        &MEMORY
    }
}
