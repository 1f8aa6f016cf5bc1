//! Manifests of each kind, edits of them, and somebody who meddles with what they became. Their database isn't there.

use gritstone_crds::kinds::{CronSchedule, Dispatcher, QueueWorker, RecurringTask};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::story::{Story, Undisturbed, objects, of_kind, says};
use crate::support::Rig;

pub struct Objects;

impl Story for Objects {
    const NAME: &'static str = "objects";
    const CALLS: &'static [&'static str] = &[
        "GET secrets/app-db",
        "PATCH deployments/mail-worker",
        "PATCH deployments/main-dispatcher",
        "PATCH poddisruptionbudgets/mail-worker",
        "PATCH recurringtasks/report",
        "PATCH cronschedules/report",
        "PATCH queueworkers/mail/status",
        "PATCH dispatchers/main/status",
        "PATCH recurringtasks/report/status",
        "PATCH cronschedules/report/status",
        "POST events",
    ];

    async fn begin(_rig: &Rig) -> Self {
        Self
    }

    async fn act(&self, rig: &Rig) {
        let database = json!({"secretRef": {"name": "app-db"}});
        let handler = json!({"http": {"url": "http://127.0.0.1:8080/jobs"}});
        rig.create::<QueueWorker>("mail", json!({"database": database, "handler": handler})).await;
        rig.create::<QueueWorker>("gone", json!({"database": database, "handler": handler})).await;
        rig.create::<Dispatcher>("main", json!({"database": database})).await;
        let task = json!({"database": database, "schedule": "every day at 9am", "job": {"class": "Report"}});
        rig.create::<RecurringTask>("report", task).await;
        rig.patch::<QueueWorker>("mail", json!({"spec": {"threads": 7, "replicas": 2}})).await;
        rig.patch::<Dispatcher>("main", json!({"spec": {"batchSize": 50}})).await;
        rig.patch::<RecurringTask>("report", json!({"spec": {"schedule": "every day at 10am"}})).await;
        rig.api::<QueueWorker>().delete("gone", &DeleteParams::default()).await.unwrap();
        self.meddle(rig).await;
    }

    async fn look(&self, rig: &Rig) -> Vec<Value> {
        let mut all = objects::<QueueWorker>(rig).await;
        all.extend(objects::<Dispatcher>(rig).await);
        all.extend(objects::<RecurringTask>(rig).await);
        all.extend(objects::<CronSchedule>(rig).await);
        all.extend(objects::<Deployment>(rig).await);
        all.extend(objects::<PodDisruptionBudget>(rig).await);
        // Their owner is gone, and whether they were made before is chance.
        all.retain(|object| object["metadata"]["name"] != "gone-worker");
        all
    }

    fn is_there(objects: &[Value]) -> bool {
        let mut deployments = of_kind(objects, "Deployment");
        let mut schedules = of_kind(objects, "CronSchedule");
        ["QueueWorker", "Dispatcher", "RecurringTask"].iter().all(|kind| says(objects, kind, "Unreachable"))
            && schedules.any(|it| it["spec"]["cron"] == "0 10 * * *" && it["status"]["observedGeneration"] == true)
            && deployments.any(|it| it["metadata"]["name"] == "mail-worker" && it["spec"]["replicas"] == 2)
            && of_kind(objects, "PodDisruptionBudget").count() == 2
            && of_kind(objects, "Deployment").count() == 2
    }

    /// There is no garbage collector here.
    async fn meddle(&self, rig: &Rig) {
        let _ = rig.api::<Deployment>().delete("mail-worker", &DeleteParams::default()).await;
    }

    fn memory() -> &'static OnceCell<Undisturbed> {
        static MEMORY: OnceCell<Undisturbed> = OnceCell::const_new();
        &MEMORY
    }
}
