//! What the operator may do: exactly what the chart says, and no more than it needs. The program runs under a token of its service account, and the
//! API server writes down what it asks for.

mod place;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use gritstone_crds::kinds::{ConditionStatus, Dispatcher, QueueWorker, RecurringTask};
use gritstone_store::{MigrateOptions, Store, StoreOptions};
use gritstone_tests::jobs::{claim_any, done, job};
use gritstone_tests::servers::{Server, TestDatabase};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use place::{Place, Right};
use support::player::{Player, cluster_id};
use support::{condition, says, until};

async fn make_one_of_each(place: &Place) {
    place.create_secret().await;
    let database = json!({"secretRef": {"name": "app-db"}});
    let worker = json!({"database": database, "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}}});
    place.create::<QueueWorker>("mail", worker).await;
    place.create::<Dispatcher>("main", json!({"database": database})).await;
    let task = json!({"database": database, "schedule": "every day at 9am", "job": {"class": "Report"}});
    place.create::<RecurringTask>("report", task).await;
}

/// Everything that it does: leads, makes what manifests ask for, hears of deaths, scales, tells people.
async fn live(place: &Place, arguments: &[&str]) {
    let mut operator = place.start(arguments).await;
    make_one_of_each(place).await;
    place.get::<RecurringTask>("report", |task| task.status.is_some()).await;
    // Nobody answers at that address, so it is let go only after a while.
    place.api::<RecurringTask>().delete("report", &DeleteParams::default()).await.unwrap();
    place.get::<QueueWorker>("mail", |worker| worker.status.is_some()).await;
    place.get::<Dispatcher>("main", |dispatcher| dispatcher.status.is_some()).await;
    // The same again, later: an Event's series is a patch.
    for _ in 0..2 {
        flip_secret(place).await;
    }
    up_and_down(place).await;
    for right in [Right::new("patch", "events.k8s.io/events"), Right::new("update", "coordination.k8s.io/leases")] {
        until(&format!("it used {right:?}"), async || place.asked().contains(&right)).await;
    }
    place.gone::<RecurringTask>("report").await;
    operator.stop().await;
}

/// Takes the database's Secret away until that is noticed, and gives it back until that is.
async fn flip_secret(place: &Place) {
    let is_said = async |reason: &str| {
        place
            .get::<QueueWorker>("mail", |worker| says(worker, "DatabaseReachable", ConditionStatus::False, reason))
            .await;
    };
    is_said("Unreachable").await;
    place.api::<Secret>().delete("app-db", &DeleteParams::default()).await.unwrap();
    is_said("NoSecret").await;
    place.create_secret().await;
    is_said("Unreachable").await;
}

/// A worker that comes for a job and goes when that is done.
async fn up_and_down(place: &Place) {
    let database = TestDatabase::create(Server::Postgres).await.unwrap();
    let store = Store::open(&database.url, StoreOptions::default()).unwrap();
    store.migrate(MigrateOptions::default()).await.unwrap();
    place.create_secret_of("queue", &database.url).await;
    let scaled = json!({
        "database": {"secretRef": {"name": "queue"}},
        "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
        "autoscaling": {"minReplicas": 0, "maxReplicas": 1, "scaleDownDelay": "1s"},
    });
    place.create::<QueueWorker>("scaled", scaled).await;
    let _player = Player::start(place, &store, "scaled");
    let has_replicas = async |wanted: i32| {
        let replicas = |deployment: &Deployment| deployment.spec.as_ref().unwrap().replicas;
        place.get::<Deployment>("scaled-worker", |deployment| replicas(deployment) == Some(wanted)).await
    };
    has_replicas(0).await;
    store.enqueue(&[job()]).await.unwrap();
    let cluster_id = cluster_id(&has_replicas(1).await);
    let mut session = store.session().await.unwrap();
    let mut workers = Vec::new();
    until("there is a worker", async || {
        workers = session.workers_of(&cluster_id).await.unwrap();
        !workers.is_empty()
    })
    .await;
    let claimed = claim_any(&mut session, workers[0].process_id, 1).await;
    session.finish(&[done(&claimed[0])], true).await.unwrap();
    has_replicas(0).await;
}

fn is_refused_nothing(place: &Place) {
    assert_eq!(place.refused(), Vec::<Value>::new(), "what the operator asked for and may not");
}

fn uses_all(place: &Place) {
    let (granted, used) = (place.granted(), place.asked());
    let unused: BTreeSet<_> = granted.difference(&used).collect();
    assert!(unused.is_empty(), "granted and never used: {unused:#?}");
}

#[tokio::test]
async fn in_one_namespace_it_is_refused_nothing_and_granted_nothing_that_it_does_not_use() {
    let place = Place::new("rights", &[]).await;
    live(&place, &["--lease=gritstone"]).await;
    is_refused_nothing(&place);
    uses_all(&place);
}

#[tokio::test]
async fn in_all_namespaces_too() {
    let place = Place::alone("rights-all", &["--set", "namespaces={*}"]).await;
    live(&place, &["--lease=gritstone", "--namespace=*"]).await;
    is_refused_nothing(&place);
    uses_all(&place);
}

#[tokio::test]
async fn where_kube_system_may_not_be_read_the_clusters_id_is_kept_in_a_config_map() {
    let place = Place::new("rights-id", &["--set", "rbac.readClusterId=false"]).await;
    live(&place, &["--lease=gritstone"]).await;
    uses_all(&place);
    let kept = place.cluster_id().await.expect("an id");
    // It asks, is refused, and keeps one; the next start has the same.
    let refused = place.refused();
    let of_namespace = |event: &Value| event["objectRef"]["resource"] == "namespaces";
    assert!(refused.iter().all(of_namespace), "{refused:#?}");
    assert_eq!(cluster_id(&place.get("mail-worker", |_| true).await), kept);
    let mut next = place.start(&["--lease=gritstone"]).await;
    place.create::<Dispatcher>("next", json!({"database": {"secretRef": {"name": "app-db"}}})).await;
    assert_eq!(cluster_id(&place.get("next-dispatcher", |_| true).await), kept);
    next.stop().await;
    assert_eq!(place.cluster_id().await, Some(kept));
}

#[tokio::test]
async fn where_owners_are_guarded_an_object_that_was_there_before_is_not_taken_over() {
    let place = Place::new("rights-owner", &[]).await;
    let container = json!({"name": "a", "image": "a"});
    let spec = json!({
        "selector": {"matchLabels": {"gritstone.dev/queue-worker": "mail"}},
        "template": {"metadata": {"labels": {"gritstone.dev/queue-worker": "mail"}}, "spec": {"containers": [container]}},
    });
    place.create::<Deployment>("mail-worker", spec).await;
    let mut operator = place.start(&["--lease=gritstone"]).await;
    make_one_of_each(&place).await;
    let is_refused = |worker: &QueueWorker| says(worker, "Ready", ConditionStatus::False, "Refused");
    let refused = place.get::<QueueWorker>("mail", is_refused).await;
    let message = &condition(&refused, "Ready").unwrap().message;
    assert!(message.contains("cannot set an ownerRef on a resource you can't delete"), "{message}");
    place.api::<Deployment>().delete("mail-worker", &DeleteParams::default()).await.unwrap();
    place.get::<Deployment>("mail-worker", |deployment| deployment.metadata.owner_references.is_some()).await;
    operator.stop().await;
}

#[tokio::test]
async fn people_who_may_edit_edit_all_but_what_the_operator_writes_alone() {
    let place = Place::new("people", &[]).await;
    // The cluster's own role `edit` has what `view` has.
    for (role, person) in [("view", "vera"), ("view", "eddy"), ("edit", "eddy")] {
        place.bind(role, person).await;
    }
    until("the last of it is known", async || place.may("eddy", "create", "queueworkers").await).await;
    for (person, verb, resource, may) in [
        ("vera", "get", "queueworkers", true),
        ("vera", "watch", "cronschedules", true),
        ("vera", "get", "queueworkers/scale", true),
        ("vera", "patch", "queueworkers", false),
        ("vera", "patch", "queueworkers/scale", false),
        ("eddy", "create", "queueworkers", true),
        ("eddy", "get", "queueworkers/scale", true),
        ("eddy", "patch", "queueworkers/scale", true),
        ("eddy", "delete", "recurringtasks", true),
        ("eddy", "update", "dispatchers", true),
        ("eddy", "update", "cronschedules", false),
        ("eddy", "create", "cronschedules", false),
        ("eddy", "patch", "queueworkers/status", false),
    ] {
        assert_eq!(place.may(person, verb, resource).await, may, "{person} {verb} {resource}");
    }
    make_one_of_each(&place).await;
    for (before, said) in [("1", Ok(())), ("1", Err("Expected replicas to be 1, was 2"))] {
        let scaled = place.as_person("eddy", &["scale", "qw/mail", "--replicas=2", "--current-replicas", before]).await;
        match said {
            Ok(()) => assert!(scaled.is_ok(), "{scaled:?}"),
            Err(words) => assert!(scaled.as_ref().is_err_and(|error| error.contains(words)), "{scaled:?}"),
        }
    }
}
