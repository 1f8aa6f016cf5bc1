//! Whatever goes wrong between the operator and the API server, the same objects come of it: the operator killed at each of its calls, watches
//! that lose, double or delay what they say, refusals, answers that never come.

mod mischief;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use futures::StreamExt;
use gritstone_crds::kinds::{CronSchedule, Dispatcher, QueueWorker, RecurringTask};
use gritstone_tests::rig::until_shown;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use mischief::{Fate, Mischief, Watching, through};
use support::Rig;

/// How long what is disturbed may take: a watch that broke waits up to half a minute before it begins anew.
const PATIENCE: Duration = Duration::from_secs(240);

/// Manifests of each kind, edits of them, and somebody who meddles with what they became.
async fn act(rig: &Rig) {
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
    // There is no garbage collector here.
    let _ = rig.api::<Deployment>().delete("mail-worker", &DeleteParams::default()).await;
}

/// All there is, without what differs from one time to another.
async fn look(rig: &Rig) -> Vec<Value> {
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

async fn objects<K>(rig: &Rig) -> Vec<Value>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let list = rig.api::<K>().list(&ListParams::default()).await.unwrap();
    list.items.iter().map(|object| without_chance(json!(object), rig.namespace())).collect()
}

fn without_chance(mut object: Value, namespace: &str) -> Value {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let owners: Vec<_> = owners.map(|owner| owner["name"].clone()).collect();
    let metadata = &object["metadata"];
    // How many there were depends on whether an edit came before what is made of it was there.
    let generation = metadata["generation"].clone();
    let is_seen = |seen: &Value| if seen.is_null() { Value::Null } else { json!(*seen == generation) };
    object["metadata"] = json!({"name": metadata["name"], "labels": metadata["labels"], "owners": owners});
    for condition in object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
        condition["observedGeneration"] = is_seen(&condition["observedGeneration"]);
    }
    if let Some(seen) = object.pointer_mut("/status/observedGeneration") {
        *seen = is_seen(seen);
    }
    // A digest of this Secret, of which there is one in each namespace.
    for chance in ["/spec/template/metadata/annotations/gritstone.dev~1database-digest"] {
        if let Some(value) = object.pointer_mut(chance) {
            *value = Value::Null;
        }
    }
    serde_json::from_str(&object.to_string().replace(namespace, "here")).unwrap()
}

/// What comes of it when nothing goes wrong.
struct Undisturbed {
    objects: Vec<Value>,
    /// How many calls the operator made for it.
    calls: usize,
}

async fn undisturbed() -> &'static Undisturbed {
    static COME: OnceCell<Undisturbed> = OnceCell::const_new();
    COME.get_or_init(|| async {
        let (rig, fate) = start("undisturbed", Mischief::Nothing).await;
        act(&rig).await;
        let objects = until_shown(PATIENCE, "all is there and nothing more comes", async || {
            let before = look(&rig).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = look(&rig).await;
            if is_there(&now) && before == now { Ok(now) } else { Err(format!("{now:#?}")) }
        })
        .await;
        Undisturbed { objects, calls: fate.calls() }
    })
    .await
}

/// Whether everything is there that [`act`] has asked for, and what is to be said of it.
fn is_there(objects: &[Value]) -> bool {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let is_current = |object: &Value| object["status"]["observedGeneration"] == true;
    let is_told = |kind| {
        let unreachable = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|condition| condition["reason"] == "Unreachable")
        };
        of_kind(kind).count() == 1 && of_kind(kind).all(|object| unreachable(object) && is_current(object))
    };
    let worker = of_kind("Deployment").find(|object| object["metadata"]["name"] == "mail-worker");
    is_told("QueueWorker")
        && is_told("Dispatcher")
        && is_told("RecurringTask")
        && of_kind("CronSchedule").any(|object| object["spec"]["cron"] == "0 10 * * *" && is_current(object))
        && worker.is_some_and(|worker| worker["spec"]["replicas"] == 2)
        && of_kind("PodDisruptionBudget").count() == 2
        && of_kind("Deployment").count() == 2
}

async fn converges(rig: &Rig, mischief: Mischief) {
    let wanted = &undisturbed().await.objects;
    until_shown(PATIENCE, &format!("all is as without {mischief:?}:"), async || {
        let now = look(rig).await;
        if &now == wanted { Ok(()) } else { Err(differences(wanted, &now)) }
    })
    .await;
}

fn differences(wanted: &[Value], now: &[Value]) -> String {
    let missing = wanted.iter().filter(|object| !now.contains(object)).map(|object| format!("- {object}\n"));
    missing.chain(now.iter().filter(|object| !wanted.contains(object)).map(|object| format!("+ {object}\n"))).collect()
}

/// A namespace with an operator that meets with this.
async fn start(name: &str, mischief: Mischief) -> (Rig, Fate) {
    let (rig, fate) = (Rig::without_operator(name).await, Fate::default());
    let of_operator = fate.clone();
    rig.start_operator_with(move |client| through(mischief, of_operator, client));
    (rig, fate)
}

async fn disturbed(name: &str, mischief: Mischief) {
    let wanted = &undisturbed().await.objects;
    let (rig, fate) = start(name, mischief).await;
    act(&rig).await;
    rig.until(&format!("{mischief:?} has happened"), async || {
        // It may need fewer calls this time, since it sees several changes at once: then it is given more to do.
        if fate.met() == 0 && &look(&rig).await == wanted {
            let _ = rig.api::<Deployment>().delete("mail-worker", &DeleteParams::default()).await;
        }
        fate.met() > 0
    })
    .await;
    if let Mischief::Die { .. } = mischief {
        rig.start_operator();
    }
    converges(&rig, mischief).await;
}

#[tokio::test]
async fn killed_at_any_of_its_calls() {
    let calls = undisturbed().await.calls;
    // Lists and watches alone are a dozen, and as many objects are written.
    assert!(calls > 24, "{calls}");
    let kills = (1..=calls).map(|call| async move { disturbed(&format!("kill-{call}"), Mischief::Die { call }).await });
    futures::stream::iter(kills).buffer_unordered(8).collect::<()>().await;
}

#[tokio::test]
async fn refused_or_unheard() {
    let answers = [Some(409), Some(429), Some(500), Some(503), None];
    let answers = answers.map(|answer| async move { disturbed("answers", Mischief::Answer(answer)).await });
    futures::future::join_all(answers).await;
}

#[tokio::test]
async fn watches_that_lose_double_or_delay() {
    let watches = [Watching::Doubled, Watching::Torn, Watching::Late, Watching::Forgotten];
    let watches = watches.map(|watching| async move { disturbed("watches", Mischief::Watch(watching)).await });
    futures::future::join_all(watches).await;
}
