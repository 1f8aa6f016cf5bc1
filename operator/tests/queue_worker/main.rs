//! A QueueWorker's Deployment, kept true by the operator against a real API server. There is no kubelet: what it would say of pods,
//! the tests write.

mod database;
mod namespaces;
mod obstacles;
mod rival;
mod scaling;
#[path = "../support/mod.rs"]
mod support;

use gritstone_crds::kinds::{ConditionStatus, QueueWorker};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use support::{Rig, condition, player};

/// A worker that makes sense.
fn spec() -> Value {
    json!({
        "database": {"secretRef": {"name": "app-db"}},
        "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
    })
}

#[tokio::test]
async fn a_worker_becomes_a_deployment_that_it_owns() {
    let rig = Rig::new("created").await;
    let worker = rig.create::<QueueWorker>("mail", spec()).await;
    let deployment = rig.get::<Deployment>("mail-worker", |_| true).await;
    let owner = &deployment.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), &owner.uid), ("QueueWorker", worker.metadata.uid.as_ref().unwrap()));
    assert_eq!(owner.controller, Some(true));
    assert_eq!(deployment.spec.as_ref().unwrap().replicas, Some(1));

    let budget = rig.get::<PodDisruptionBudget>("mail-worker", |_| true).await;
    assert_eq!(budget.spec.unwrap().selector, Some(deployment.spec.unwrap().selector));
    assert!(budget.metadata.owner_references.is_some());
}

#[tokio::test]
async fn its_pods_are_taken_where_only_restricted_ones_are() {
    let rig = Rig::new("restricted").await;
    rig.restrict().await;
    let server = json!({"http": {"url": "http://127.0.0.1:8080/jobs", "healthPath": "/up"}});
    let children = json!({"process": {"command": ["python", "worker.py"]}});
    let each_job = json!({"command": {"command": ["./run-job"]}});
    let plain = json!({"name": "handler", "image": "shop:1"});
    let of_root = json!({"name": "handler", "image": "root:1", "securityContext": {"runAsUser": 1000, "readOnlyRootFilesystem": false}});
    let cases = [
        ("server", &server, &plain, "gritstone-install"),
        ("children", &children, &plain, "gritstone-install"),
        ("each-job", &each_job, &of_root, "gritstone-install"),
    ];
    for (name, handler, container, first) in cases {
        let mut spec = spec();
        spec["handler"] = handler.clone();
        spec["template"] = json!({"spec": {"containers": [container]}});
        rig.create::<QueueWorker>(name, spec).await;
        let deployment = rig.get::<Deployment>(&format!("{name}-worker"), |_| true).await;
        let template = json!(deployment.spec.unwrap().template);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]});
        rig.api::<Pod>().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        assert_eq!(template["spec"]["initContainers"][0]["name"], first);
        assert_eq!(template["spec"]["initContainers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(template["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
        assert_eq!(template["spec"]["containers"][0]["livenessProbe"]["httpGet"]["path"], "/livez");
    }
}

#[tokio::test]
async fn an_edit_rolls_the_pods_and_a_change_of_their_number_does_not() {
    let rig = Rig::new("edited").await;
    rig.create::<QueueWorker>("mail", spec()).await;
    let first = rig.get::<Deployment>("mail-worker", |_| true).await;

    rig.patch::<QueueWorker>("mail", json!({"spec": {"replicas": 3}})).await;
    let scaled = rig.get::<Deployment>("mail-worker", |d| d.spec.as_ref().unwrap().replicas == Some(3)).await;
    assert_eq!(scaled.spec.unwrap().template, first.spec.as_ref().unwrap().template);

    rig.patch::<QueueWorker>("mail", json!({"spec": {"threads": 7}})).await;
    let template = |d: &Deployment| d.spec.as_ref().unwrap().template.metadata.clone().unwrap().annotations.unwrap();
    let edited = rig.get::<Deployment>("mail-worker", |d| template(d) != template(&first)).await;
    assert!(template(&edited)["gritstone.dev/spec"].contains("\"threads\":7"));
}

#[tokio::test]
async fn what_is_taken_out_of_the_template_goes_and_what_others_added_stays() {
    let rig = Rig::new("taken-out").await;
    rig.create::<QueueWorker>("mail", spec()).await;
    let labels = |d: &Deployment| d.spec.clone().unwrap().template.metadata.unwrap().labels.unwrap_or_default();
    let label = |team: Value| json!({"spec": {"template": {"metadata": {"labels": {"team": team}}}}});
    rig.patch::<QueueWorker>("mail", label(json!("shop"))).await;
    rig.get::<Deployment>("mail-worker", |d| labels(d).contains_key("team")).await;
    rig.patch::<Deployment>("mail-worker", json!({"spec": {"template": {"metadata": {"labels": {"zone": "a"}}}}}))
        .await;

    rig.patch::<QueueWorker>("mail", label(Value::Null)).await;
    let left = rig.get::<Deployment>("mail-worker", |d| !labels(d).contains_key("team")).await;
    assert!(labels(&left).contains_key("zone"), "{:?}", labels(&left));
}

#[tokio::test]
async fn what_others_change_is_changed_back() {
    let rig = Rig::new("drift").await;
    rig.create::<QueueWorker>("mail", spec()).await;
    rig.get::<Deployment>("mail-worker", |_| true).await;

    rig.patch::<Deployment>("mail-worker", json!({"spec": {"replicas": 9, "revisionHistoryLimit": 1}})).await;
    rig.get::<Deployment>("mail-worker", |d| {
        let spec = d.spec.as_ref().unwrap();
        (spec.replicas, spec.revision_history_limit) == (Some(1), Some(3))
    })
    .await;

    rig.api::<Deployment>().delete("mail-worker", &DeleteParams::default()).await.unwrap();
    rig.get::<Deployment>("mail-worker", |_| true).await;
}

#[tokio::test]
async fn scale_sets_the_number_of_workers() {
    let rig = Rig::new("scale").await;
    rig.create::<QueueWorker>("mail", spec()).await;
    rig.get::<Deployment>("mail-worker", |_| true).await;
    let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
    rig.api::<QueueWorker>().patch_scale("mail", &PatchParams::default(), &scale).await.unwrap();
    rig.get::<Deployment>("mail-worker", |d| d.spec.as_ref().unwrap().replicas == Some(0)).await;
}

#[tokio::test]
async fn the_status_says_how_many_are_ready() {
    let rig = Rig::new("status").await;
    let mut two = spec();
    two["replicas"] = json!(2);
    rig.create::<QueueWorker>("mail", two).await;
    let waiting = rig.get::<QueueWorker>("mail", |w| condition(w, "Ready").is_some()).await;
    let ready = condition(&waiting, "Ready").unwrap();
    assert_eq!((ready.reason.as_str(), ready.message.as_str()), ("Progressing", "0 of 2 workers are ready"));
    assert_eq!(waiting.status.unwrap().selector.as_deref(), Some("gritstone.dev/queue-worker=mail"));

    rig.say_ready("mail-worker", 2).await;
    let done = rig.get::<QueueWorker>("mail", |w| w.status.as_ref().unwrap().ready_replicas == 2).await;
    let ready = condition(&done, "Ready").unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::True, "WorkersReady"));
    assert_eq!((done.status.as_ref().unwrap().replicas, ready.observed_generation), (2, done.metadata.generation));
}

#[tokio::test]
async fn a_spec_that_makes_no_sense_is_told_and_changes_nothing() {
    let rig = Rig::new("invalid").await;
    rig.create::<QueueWorker>("mail", json!({"handler": {"http": {"url": "http://127.0.0.1:8080/"}}})).await;
    let told = rig.get::<QueueWorker>("mail", |w| condition(w, "Ready").is_some()).await;
    let ready = condition(&told, "Ready").unwrap();
    assert_eq!(ready.reason, "InvalidSpec");
    assert!(ready.message.starts_with("spec.database: is missing"), "{}", ready.message);
    assert!(rig.api::<Deployment>().get_opt("mail-worker").await.unwrap().is_none());

    rig.patch::<QueueWorker>("mail", json!({"spec": spec()})).await;
    rig.get::<Deployment>("mail-worker", |_| true).await;
    rig.get::<QueueWorker>("mail", |w| condition(w, "Ready").is_some_and(|ready| ready.reason == "Progressing")).await;
}

#[tokio::test]
async fn a_template_that_is_at_odds_with_the_engine_is_told_and_changes_nothing() {
    let rig = Rig::new("at-odds").await;
    rig.create::<QueueWorker>("mail", spec()).await;
    let before = rig.get::<Deployment>("mail-worker", |_| true).await;
    let odd = json!({
        "metadata": {"labels": {"gritstone.dev/queue-worker": "other"}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "gritstone", "args": ["work"]}]},
    });
    let handler = json!({"http": {"url": "http://127.0.0.1:9090/jobs"}});
    rig.patch::<QueueWorker>("mail", json!({"spec": {"threads": 7, "handler": handler, "template": odd}})).await;
    let is_invalid = |w: &QueueWorker| condition(w, "Ready").is_some_and(|ready| ready.reason == "InvalidSpec");
    let told = rig.get::<QueueWorker>("mail", is_invalid).await;
    let fields: Vec<_> =
        condition(&told, "Ready").unwrap().message.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        fields,
        [
            "spec.handler.http.url",
            "spec.template.metadata.labels[gritstone.dev/queue-worker]",
            "spec.template.spec.terminationGracePeriodSeconds",
            "spec.template.spec.containers[0].args",
        ]
    );
    let after = rig.get::<Deployment>("mail-worker", |_| true).await;
    assert_eq!(after.spec, before.spec);

    let fine = json!({"metadata": null, "spec": {"terminationGracePeriodSeconds": 90, "containers": null}});
    rig.patch::<QueueWorker>("mail", json!({"spec": {"handler": spec()["handler"], "template": fine}})).await;
    let grace =
        |d: &Deployment| d.spec.as_ref().unwrap().template.spec.as_ref().unwrap().termination_grace_period_seconds;
    rig.get::<Deployment>("mail-worker", |d| grace(d) == Some(90)).await;
}

#[tokio::test]
async fn a_template_that_kubernetes_refuses_is_told_in_its_words() {
    let rig = Rig::new("refused").await;
    let mut spec = spec();
    spec["template"] = json!({"spec": {"containers": [{"name": "Not A Name", "image": "x"}]}});
    rig.create::<QueueWorker>("mail", spec).await;
    let told = rig.get::<QueueWorker>("mail", |w| condition(w, "Ready").is_some()).await;
    let ready = condition(&told, "Ready").unwrap();
    assert_eq!(ready.reason, "Refused");
    assert!(ready.message.contains("Not A Name"), "{}", ready.message);
}

#[tokio::test]
async fn a_missing_secret_is_told_and_found_when_it_comes() {
    let rig = Rig::new("secret").await;
    rig.api::<Secret>().delete("app-db", &DeleteParams::default()).await.unwrap();
    rig.create::<QueueWorker>("mail", spec()).await;
    let told = rig.get::<QueueWorker>("mail", |w| condition(w, "Ready").is_some()).await;
    assert_eq!(condition(&told, "Ready").unwrap().reason, "DatabaseSecretMissing");
    rig.create_secret().await;
    rig.get::<QueueWorker>("mail", |w| condition(w, "Ready").is_some_and(|ready| ready.reason == "Progressing")).await;
}

#[tokio::test]
async fn whatever_is_worked_on_was_counted_in_the_queue_before() {
    let rig = Rig::new("queue").await;
    let of = |name: &str| rig.metric(&format!("workqueue_{name}"), "queueworker");
    for name in ["a", "b", "c"] {
        rig.create::<QueueWorker>(name, spec()).await;
        rig.get::<QueueWorker>(name, |w| condition(w, "DatabaseReachable").is_some()).await;
    }
    rig.api::<QueueWorker>().delete("c", &DeleteParams::default()).await.unwrap();
    rig.patch::<Deployment>("a-worker", json!({"spec": {"replicas": 9}})).await;
    rig.get::<Deployment>("a-worker", |d| d.spec.as_ref().unwrap().replicas == Some(1)).await;
    rig.until("at rest", async || {
        let (worked, waited) = (of("work_duration_seconds_count"), of("queue_duration_seconds_count"));
        assert!(worked <= waited, "{worked} were worked on, and {waited} had waited");
        let is_idle = of("depth") == 0.0 && of("longest_running_processor_seconds") == 0.0;
        is_idle && worked >= 5.0 && worked == waited && of("adds_total") == waited
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed_and_each_transition_is_an_event_once() {
    let rig = Rig::new("quiet").await;
    let mut spec = spec();
    // Comes back written in another way.
    spec["template"] = json!({"spec": {"containers": [{"name": "gritstone", "resources": {"limits": {"cpu": 1.5}}}]}});
    rig.create::<QueueWorker>("mail", spec).await;
    // Nothing listens at the address in its Secret.
    rig.get::<QueueWorker>("mail", |w| condition(w, "DatabaseReachable").is_some()).await;
    rig.say_ready("mail-worker", 1).await;
    // An Event comes after what it tells of, and is the last that is written.
    rig.has_events("mail", &["Progressing", "Unreachable", "WorkersReady"]).await;

    // Makes the operator look, and changes nothing that matters. Two looks, so that all of the first is over.
    let before = rig.requests().len();
    for look in ["first", "second"] {
        let looked = || rig.reconciliations();
        let until_now = looked();
        rig.patch::<QueueWorker>("mail", json!({"metadata": {"annotations": {"look": look}}})).await;
        rig.wait_until(|| looked() > until_now).await;
    }
    let requests = rig.requests().split_off(before);
    let writes: Vec<_> = requests.iter().filter(|request| !request.starts_with("GET ")).collect();
    assert!(writes.is_empty(), "{writes:?}");

    rig.has_events("mail", &["Progressing", "Unreachable", "WorkersReady"]).await;
}
