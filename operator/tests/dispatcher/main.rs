//! A Dispatcher's Deployment, kept true by the operator against a real API server.

#[path = "../support/mod.rs"]
mod support;

use gritstone_crds::kinds::{ConditionStatus, Dispatcher};
use gritstone_store::{Store, StoreOptions};
use gritstone_tests::servers::{Server, TestDatabase};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use support::{Rig, condition, says};

/// A dispatcher that makes sense.
fn spec() -> Value {
    json!({"database": {"secretRef": {"name": "app-db"}}})
}

#[tokio::test]
async fn a_dispatcher_becomes_a_deployment_that_it_owns() {
    let rig = Rig::new("created").await;
    let mut two = spec();
    two["replicas"] = json!(2);
    let dispatcher = rig.create::<Dispatcher>("main", two).await;
    let deployment = rig.get::<Deployment>("main-dispatcher", |_| true).await;
    let owner = &deployment.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), &owner.uid), ("Dispatcher", dispatcher.metadata.uid.as_ref().unwrap()));
    let spec = deployment.spec.unwrap();
    assert_eq!(spec.replicas, Some(2));
    let engine = &spec.template.spec.as_ref().unwrap().containers[0];
    assert_eq!(engine.args.as_deref().unwrap(), ["dispatch", "-f", "/etc/gritstone/dispatcher.yaml"]);

    let budget = rig.get::<PodDisruptionBudget>("main-dispatcher", |_| true).await;
    assert_eq!(budget.spec.unwrap().selector, Some(spec.selector));

    rig.say_ready("main-dispatcher", 2).await;
    let ready = |d: &Dispatcher| says(d, "Ready", ConditionStatus::True, "DispatchersReady");
    let status = rig.get("main", ready).await.status.unwrap();
    assert_eq!((status.replicas, status.ready_replicas), (2, 2));
}

#[tokio::test]
async fn a_dispatcher_that_says_nothing_but_its_database_is_enough_where_only_restricted_pods_are_taken() {
    let rig = Rig::new("restricted").await;
    rig.restrict().await;
    rig.create::<Dispatcher>("main", spec()).await;
    let deployment = rig.get::<Deployment>("main-dispatcher", |_| true).await;
    let template = json!(deployment.spec.unwrap().template);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": template["spec"]});
    let pods: Api<Pod> = rig.api();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    pods.create(&dry_run, &serde_json::from_value(pod).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_template_is_merged_into_the_pods() {
    let rig = Rig::new("template").await;
    let mut spec = spec();
    spec["template"] = json!({"spec": {
        "priorityClassName": "high",
        "containers": [{"name": "gritstone", "resources": {"limits": {"memory": "64Mi"}}}],
    }});
    rig.create::<Dispatcher>("main", spec).await;
    let deployment = rig.get::<Deployment>("main-dispatcher", |_| true).await;
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.priority_class_name.as_deref(), Some("high"));
    assert_eq!(pod.containers.len(), 1);
    assert!(pod.containers[0].resources.is_some());
}

#[tokio::test]
async fn a_dispatcher_without_a_database_is_told_so_and_changes_nothing() {
    let rig = Rig::new("invalid").await;
    rig.create::<Dispatcher>("main", json!({})).await;
    let told = rig.get::<Dispatcher>("main", |d| condition(d, "Ready").is_some()).await;
    let ready = condition(&told, "Ready").unwrap();
    assert_eq!(ready.reason, "InvalidSpec");
    assert!(ready.message.starts_with("spec.database: is missing"), "{}", ready.message);
    assert!(rig.api::<Deployment>().get_opt("main-dispatcher").await.unwrap().is_none());
}

#[tokio::test]
async fn a_template_that_is_at_odds_with_the_engine_is_told() {
    let rig = Rig::new("at-odds").await;
    let mut odd = spec();
    odd["template"] = json!({"spec": {"containers": [{"name": "gritstone", "command": ["sh"]}]}});
    rig.create::<Dispatcher>("main", odd).await;
    let told = rig.get::<Dispatcher>("main", |d| condition(d, "Ready").is_some()).await;
    let ready = condition(&told, "Ready").unwrap();
    assert_eq!(ready.reason, "InvalidSpec");
    assert!(ready.message.starts_with("spec.template.spec.containers[0].command: the engine"), "{}", ready.message);
    assert!(rig.api::<Deployment>().get_opt("main-dispatcher").await.unwrap().is_none());
}

#[tokio::test]
async fn tables_are_made_where_the_manifest_asks_for_them_and_nowhere_else() {
    let rig = Rig::new("migrate").await;
    for (name, server) in [("on-postgres", Server::Postgres), ("on-mariadb", Server::MariaDb)] {
        let database = TestDatabase::create(server).await.unwrap();
        let store = Store::open(&database.url, StoreOptions::default()).unwrap();
        rig.create_secret_of(name, &database.url).await;
        let mut spec = json!({"database": {"secretRef": {"name": name}}, "migrate": false});
        rig.create::<Dispatcher>(name, spec.clone()).await;
        let without = |d: &Dispatcher| says(d, "DatabaseReachable", ConditionStatus::False, "NotMigrated");
        rig.get(name, without).await;
        assert!(store.check_schema().await.is_err());

        spec["migrate"] = json!(true);
        rig.patch::<Dispatcher>(name, json!({"spec": spec})).await;
        let with = |d: &Dispatcher| says(d, "DatabaseReachable", ConditionStatus::True, "Reachable");
        rig.get(name, with).await;
        store.check_schema().await.unwrap();
    }
}

#[tokio::test]
async fn another_address_in_the_secret_rolls_the_pods() {
    let rig = Rig::new("secret-changed").await;
    rig.create::<Dispatcher>("main", spec()).await;
    let digest = |d: &Deployment| {
        let annotations = d.spec.as_ref().unwrap().template.metadata.as_ref().unwrap().annotations.clone();
        annotations.unwrap_or_default().get("gritstone.dev/database-digest").cloned()
    };
    let first = digest(&rig.get::<Deployment>("main-dispatcher", |d| digest(d).is_some()).await);
    rig.patch::<Secret>("app-db", json!({"stringData": {"uri": "postgres://127.0.0.1:2/app"}})).await;
    rig.get::<Deployment>("main-dispatcher", |d| digest(d).is_some() && digest(d) != first).await;
}

#[tokio::test]
async fn a_missing_secret_is_told() {
    let rig = Rig::new("no-secret").await;
    rig.create::<Dispatcher>("main", json!({"database": {"secretRef": {"name": "none"}}})).await;
    let missing = |d: &Dispatcher| says(d, "Ready", ConditionStatus::False, "DatabaseSecretMissing");
    rig.get("main", missing).await;
}

#[tokio::test]
async fn a_rollout_that_takes_too_long_is_told_until_it_has_ended() {
    let rig = Rig::new("late").await;
    rig.create::<Dispatcher>("main", spec()).await;
    rig.get::<Deployment>("main-dispatcher", |_| true).await;
    let say = async |conditions: Value| {
        let status = Patch::Merge(json!({"status": {"conditions": conditions}}));
        rig.api::<Deployment>().patch_status("main-dispatcher", &PatchParams::default(), &status).await.unwrap();
    };
    let words = "ReplicaSet \"main-dispatcher-1\" has timed out progressing.";
    // As the Deployment's controller would; there is none here.
    let late =
        json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": words});
    say(json!([late])).await;
    let is_late = |d: &Dispatcher| says(d, "Ready", ConditionStatus::False, "ProgressDeadlineExceeded");
    let told = rig.get("main", is_late).await;
    let message = &condition(&told, "Ready").unwrap().message;
    assert!(message.starts_with("0 of 1 dispatchers are ready, and ") && message.ends_with(words), "{message}");
    rig.has_event("main", "ProgressDeadlineExceeded").await;

    say(json!([])).await;
    rig.get::<Dispatcher>("main", |d| says(d, "Ready", ConditionStatus::False, "Progressing")).await;
    rig.say_ready("main-dispatcher", 1).await;
    rig.get::<Dispatcher>("main", |d| says(d, "Ready", ConditionStatus::True, "DispatchersReady")).await;
    rig.has_event("main", "DispatchersReady").await;
}
