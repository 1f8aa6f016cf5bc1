//! What the operator writes into a database and takes out of it: the rows of tasks that are made, edited, given another key and deleted,
//! and the process of a worker whose container ended. The database is real; the kubelet's words are written here.

use gritstone_crds::kinds::{CronSchedule, RecurringTask};
use gritstone_store::Incarnation;
use gritstone_tests::jobs::{claim_any, job, new_process};
use gritstone_tests::servers::Server;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::story::{Story, Undisturbed, objects, of_kind, says};
use crate::support::{Queue, Rig};

pub struct Rows {
    queue: Queue,
    /// The worker that is to die, with a job in its hands.
    worker: i64,
}

impl Rows {
    async fn keys(&self) -> Vec<String> {
        self.queue.session().await.tasks().await.unwrap().into_iter().map(|task| task.key).collect()
    }

    /// Waits until these are the keys of all rows.
    async fn has_keys(&self, rig: &Rig, wanted: &[&str]) {
        rig.until(&format!("rows {wanted:?}"), async || self.keys().await == wanted).await;
    }
}

impl Story for Rows {
    const NAME: &'static str = "rows";
    const CALLS: &'static [&'static str] = &[
        "GET secrets/queue",
        "PATCH recurringtasks/report",
        "PATCH recurringtasks/gone",
        "PATCH cronschedules/report",
        "DELETE cronschedules/gone",
        "PATCH recurringtasks/report/status",
        "PATCH cronschedules/report/status",
        "POST events",
    ];

    async fn begin(rig: &Rig) -> Self {
        let queue = Queue::new(rig, "queue", Server::Postgres).await;
        let env = json!([{"name": "GRITSTONE_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]);
        let pod = json!({
            "metadata": {"name": "mail-1", "labels": {"app.kubernetes.io/managed-by": "gritstone-operator"}},
            "spec": {"containers": [{"name": "gritstone", "image": "gritstone:test", "env": env}]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        let pod = rig.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap();
        let mut new = new_process(3);
        new.identity.cluster_id = Some("test".to_owned());
        new.identity.namespace = Some(rig.namespace().to_owned());
        new.identity.pod = Some(pod.name_any());
        new.identity.pod_uid = pod.uid();
        let began = Some(Timestamp::now() - SignedDuration::from_mins(1));
        new.identity.incarnation =
            Incarnation { host: "b:pid:[7]".to_owned(), pid: 1, start: 1, at: began }.to_string();
        let mut session = queue.session().await;
        let worker = session.register(&new).await.unwrap().process_id;
        queue.store.enqueue(&[job()]).await.unwrap();
        assert_eq!(claim_any(&mut session, worker, 1).await.len(), 1);
        Self { queue, worker }
    }

    async fn act(&self, rig: &Rig) {
        let database = json!({"secretRef": {"name": "queue"}});
        for name in ["gone", "report"] {
            let task = json!({
                "database": database, "schedule": "every day at 9am", "job": {"class": "Report"}, "key": name,
            });
            rig.create::<RecurringTask>(name, task).await;
        }
        self.has_keys(rig, &["gone", "report"]).await;
        let edit = json!({"spec": {"schedule": "every day at 10am", "key": "sales"}});
        rig.patch::<RecurringTask>("report", edit).await;
        rig.api::<RecurringTask>().delete("gone", &DeleteParams::default()).await.unwrap();
        self.has_keys(rig, &["sales"]).await;
        rig.gone::<RecurringTask>("gone").await;

        let second = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let now = Timestamp::now();
        let ended = json!({"terminated": {
            "exitCode": 137, "reason": "OOMKilled", "containerID": "containerd://1",
            "startedAt": second(now - SignedDuration::from_mins(1)), "finishedAt": second(now),
        }});
        let container = json!({
            "name": "gritstone", "image": "gritstone:test", "imageID": "", "ready": false, "restartCount": 0, "state": ended,
        });
        let status = Patch::Merge(json!({"status": {"phase": "Failed", "containerStatuses": [container]}}));
        rig.api::<Pod>().patch_status("mail-1", &PatchParams::default(), &status).await.unwrap();
        let mut session = self.queue.session().await;
        rig.until("the dead worker is pruned", async || {
            session.processes().await.unwrap().iter().all(|process| process.id != self.worker)
        })
        .await;
    }

    async fn look(&self, rig: &Rig) -> Vec<Value> {
        let mut all = objects::<RecurringTask>(rig).await;
        all.extend(objects::<CronSchedule>(rig).await);
        for task in self.queue.session().await.tasks().await.unwrap() {
            let schedule = format!("{:?}", task.schedule);
            all.push(json!({
                "kind": "Row", "key": task.key, "owner": task.owner, "schedule": schedule, "class": task.class,
            }));
        }
        let mut sql = self.queue.sql().await;
        for (kind, query) in [
            ("Processes", "select count(*) from solid_queue_processes"),
            ("Ready", "select count(*) from solid_queue_ready_executions"),
            ("Interruptions", "select interruptions::text from gritstone_jobs"),
        ] {
            all.push(json!({"kind": kind, "rows": sql.rows(query).await.unwrap()}));
        }
        let text = serde_json::to_string(&all).unwrap();
        serde_json::from_str(&text.replace(self.queue.name(), "queue").replace(rig.namespace(), "here")).unwrap()
    }

    fn is_there(objects: &[Value]) -> bool {
        let row = json!({
            "kind": "Row", "key": "sales", "owner": "kubernetes/test/here/report", "class": "Report",
            "schedule": "Cron(\"0 10 * * * UTC\")",
        });
        let count = |kind: &str, count: &str| objects.contains(&json!({"kind": kind, "rows": [[count]]}));
        says(objects, "RecurringTask", "Scheduled")
            && says(objects, "RecurringTask", "Reachable")
            && says(objects, "CronSchedule", "Scheduled")
            && of_kind(objects, "CronSchedule").all(|it| it["spec"]["cron"] == "0 10 * * *")
            && of_kind(objects, "Row").eq([&row])
            && count("Processes", "0")
            && count("Ready", "1")
            && count("Interruptions", "1")
    }

    async fn meddle(&self, rig: &Rig) {
        let _ = rig.api::<CronSchedule>().delete("report", &DeleteParams::default()).await;
    }

    fn memory() -> &'static OnceCell<Undisturbed> {
        static MEMORY: OnceCell<Undisturbed> = OnceCell::const_new();
        &MEMORY
    }
}
