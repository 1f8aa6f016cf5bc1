//! What is in the way of pods that the API server has taken a Deployment for. There are no controllers here: a test says in the
//! Deployment's status what they would.

use gritstone_crds::kinds::{ConditionStatus, QueueWorker};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::spec;
use crate::support::{Rig, condition, says};

/// Says of the Deployment what its controller would.
async fn say(rig: &Rig, deployment: &str, conditions: Value) {
    let status = Patch::Merge(json!({"status": {"conditions": conditions}}));
    rig.api::<Deployment>().patch_status(deployment, &PatchParams::default(), &status).await.unwrap();
}

#[tokio::test]
async fn pods_that_are_refused_are_told_of_once_and_until_they_are_not() {
    let rig = Rig::new("pods-refused").await;
    rig.restrict().await;
    let mut broken = spec();
    broken["template"] = json!({"spec": {"hostNetwork": true}});
    rig.create::<QueueWorker>("mail", broken).await;
    let deployment = rig.get::<Deployment>("mail-worker", |_| true).await;
    let template = json!(deployment.spec.unwrap().template);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mail"}, "spec": template["spec"]});
    let pod = serde_json::from_value(pod).unwrap();
    let refused = rig.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap_err();
    let kube::Error::Api(refused) = refused else { panic!("{refused}") };
    assert!(refused.message.contains("violates PodSecurity"), "{}", refused.message);
    let failure = json!({
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused.message,
    });
    say(&rig, "mail-worker", json!([failure])).await;

    let fails = |w: &QueueWorker| says(w, "Ready", ConditionStatus::False, "ReplicaFailure");
    let told = rig.get("mail", fails).await;
    let message = &condition(&told, "Ready").unwrap().message;
    let words = ("0 of 1 workers are ready; ", refused.message.as_str());
    assert!(message.starts_with(words.0) && message.ends_with(words.1), "{message}");
    rig.has_event("mail", "ReplicaFailure").await;
    let events = rig.api::<Event>().list(&ListParams::default()).await.unwrap().items;
    let event = events.iter().find(|event| event.reason.as_deref() == Some("ReplicaFailure")).unwrap();
    assert_eq!((event.type_.as_deref(), event.note.as_ref()), (Some("Warning"), Some(message)));

    // Ten minutes later the rollout counts as late, too: of the same cause.
    let late =
        json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"});
    say(&rig, "mail-worker", json!([failure, late])).await;
    rig.patch::<QueueWorker>("mail", json!({"spec": {"template": {"spec": {"hostNetwork": null}}}})).await;
    rig.get::<Deployment>("mail-worker", |d| {
        d.spec.as_ref().unwrap().template.spec.as_ref().unwrap().host_network.is_none()
    })
    .await;
    say(&rig, "mail-worker", json!([])).await;
    rig.say_ready("mail-worker", 1).await;
    rig.get::<QueueWorker>("mail", |w| says(w, "Ready", ConditionStatus::True, "WorkersReady")).await;
    rig.has_event("mail", "WorkersReady").await;
    assert!(!rig.has_had_event("mail", "ProgressDeadlineExceeded").await);
}

#[tokio::test]
async fn a_message_that_is_longer_than_an_event_may_be_is_an_event_all_the_same() {
    let rig = Rig::new("long-words").await;
    rig.create::<QueueWorker>("mail", spec()).await;
    rig.get::<Deployment>("mail-worker", |_| true).await;
    let words = format!("denied the request: {}", "x".repeat(2_000));
    say(&rig, "mail-worker", json!([{"type": "ReplicaFailure", "status": "True", "message": words}])).await;
    let told = rig.get::<QueueWorker>("mail", |w| says(w, "Ready", ConditionStatus::False, "ReplicaFailure")).await;
    assert!(condition(&told, "Ready").unwrap().message.ends_with(&words));
    rig.has_event("mail", "ReplicaFailure").await;
}
