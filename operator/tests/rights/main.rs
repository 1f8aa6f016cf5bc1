//! What the operator may do: exactly what the chart says, and no more than it needs. The program runs under a token of its service account, and the
//! API server writes down what it asks for.

mod support;

use std::collections::BTreeSet;

use gritstone_crds::kinds::{Dispatcher, QueueWorker, RecurringTask};
use serde_json::{Value, json};

use support::{Place, Right, wait_for};

/// What the chart grants and these tests don't see used, each with the reason.
const UNUSED: [(&str, &str); 3] = [
    ("update */finalizers", "only clusters that enforce who may name an owner ask for it"),
    ("patch pods", "scaling down, which needs a queue that was full"),
    ("get apps/deployments", "scaling, which needs a queue that is full"),
];

fn is_excused(right: &Right) -> bool {
    UNUSED.iter().any(|(what, _)| {
        let (verb, resource) = what.split_once(' ').unwrap();
        let end = resource.strip_prefix('*');
        (verb == "*" || verb == right.verb)
            && (end.is_some_and(|end| right.resource.ends_with(end))
                || right.resource == resource
                || right.resource.strip_prefix(resource).is_some_and(|rest| rest.starts_with('/')))
    })
}

/// Everything that it does: leads, makes what manifests ask for, hears of deaths, tells people.
async fn live(place: &Place, arguments: &[&str]) {
    let mut operator = place.start(arguments).await;
    let worker = json!({
        "database": {"secretRef": {"name": "app-db"}},
        "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
    });
    place.create::<QueueWorker>("mail", worker).await;
    place.create::<Dispatcher>("main", json!({"database": {"secretRef": {"name": "app-db"}}})).await;
    let task = json!({
        "database": {"secretRef": {"name": "app-db"}},
        "schedule": "every day at 9am",
        "job": {"class": "Report"},
    });
    place.create::<RecurringTask>("report", task).await;
    place.has_status::<RecurringTask>("report").await;
    // Nobody answers at that address, so it is let go only after a while.
    place.delete::<RecurringTask>("report").await;
    place.has_status::<QueueWorker>("mail").await;
    place.has_status::<Dispatcher>("main").await;
    // The same again, later: an Event's series is a patch.
    for _ in 0..2 {
        place.flip_secret().await;
    }
    wait_for("an Event to be told again", async || {
        place.asked().contains(&Right::new("patch", "events.k8s.io/events"))
    })
    .await;
    wait_for("the Lease to be renewed", async || {
        !arguments.contains(&"--lease=gritstone")
            || place.asked().contains(&Right::new("update", "coordination.k8s.io/leases"))
    })
    .await;
    wait_for("the task to be let go", async || place.is_gone::<RecurringTask>("report").await).await;
    operator.stop().await;
}

fn check(place: &Place) {
    assert_eq!(place.refused(), Vec::<Value>::new(), "what the operator asked for and may not");
    let (granted, asked) = (place.granted(), place.asked());
    let unused: BTreeSet<_> = granted.difference(&asked).filter(|right| !is_excused(right)).collect();
    assert!(unused.is_empty(), "granted and never asked for: {unused:#?}");
}

#[tokio::test]
async fn in_one_namespace_it_is_refused_nothing_and_granted_nothing_that_it_does_not_use() {
    let place = Place::new("rights", &[]).await;
    live(&place, &["--lease=gritstone"]).await;
    check(&place);
}

#[tokio::test]
async fn in_all_namespaces_too() {
    let place = Place::alone("rights-all", &["--set", "namespaces={*}"]).await;
    live(&place, &["--lease=gritstone", "--namespace=*"]).await;
    check(&place);
}

#[tokio::test]
async fn where_kube_system_may_not_be_read_the_clusters_id_is_kept_in_a_config_map() {
    let place = Place::new("rights-id", &["--set", "rbac.readClusterId=false"]).await;
    live(&place, &["--lease=gritstone"]).await;
    let kept = place.cluster_id().await.expect("an id");
    let refused = place.refused();
    let of_namespace = |event: &Value| event["objectRef"]["resource"] == "namespaces";
    assert!(refused.iter().all(of_namespace), "{refused:#?}");
    // It asks, is refused, and keeps one; the next start has the same.
    let deployed = place.cluster_id_of("mail-worker").await;
    assert_eq!(deployed, kept);
    live(&place, &["--lease=gritstone"]).await;
    assert_eq!(place.cluster_id().await, Some(kept));
}

#[tokio::test]
async fn people_who_may_edit_edit_all_but_what_the_operator_writes_alone() {
    let place = Place::new("people", &[]).await;
    for (role, person) in [("view", "vera"), ("edit", "eddy")] {
        place.bind(role, person).await;
    }
    for (person, verb, resource, may) in [
        ("vera", "get", "queueworkers", true),
        ("vera", "watch", "cronschedules", true),
        ("vera", "patch", "queueworkers", false),
        ("eddy", "create", "queueworkers", true),
        ("eddy", "patch", "queueworkers/scale", true),
        ("eddy", "delete", "recurringtasks", true),
        ("eddy", "update", "dispatchers", true),
        ("eddy", "update", "cronschedules", false),
        ("eddy", "create", "cronschedules", false),
        ("eddy", "patch", "queueworkers/status", false),
    ] {
        assert_eq!(place.may(person, verb, resource).await, may, "{person} {verb} {resource}");
    }
}
