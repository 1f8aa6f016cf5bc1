//! The program: several of it at once take turns, and it says how it is. Against a real API server.

mod place;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use gritstone_crds::kinds::QueueWorker;
use gritstone_tests::jobs::job;
use gritstone_tests::servers::Server;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use place::Place;
use support::Queue;
use support::player::{Player, run_all, workers};

const LEADS: &str = "leading";
const STANDS_BY: &str = "standing by for the Lease";

/// A worker's Deployment, once some operator has made it.
async fn is_looked_after(place: &Place, name: &str) {
    let spec = json!({
        "database": {"secretRef": {"name": "app-db"}},
        "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
    });
    place.create::<QueueWorker>(name, spec).await;
    place.get::<Deployment>(&format!("{name}-worker"), |_| true).await;
}

fn holder(lease: Lease) -> Option<String> {
    lease.spec.and_then(|spec| spec.holder_identity)
}

/// When a line of a log was written.
fn at(line: &Value) -> Timestamp {
    line["timestamp"].as_str().unwrap().parse().unwrap()
}

/// Whether a page of metrics says that its operator leads (1) or stands by (0), by this Lease.
fn leads(page: &str, lease: &str, value: u8) -> bool {
    page.contains(&format!("leader_election_master_status{{name=\"{lease}\"}} {value}\n"))
}

#[tokio::test]
async fn a_standby_takes_over_after_the_leaders_sudden_death() {
    let place = Place::new("killed").await;
    let mut first = place.start(&[]);
    first.says(LEADS).await;
    let second = place.start(&[]);
    second.says(STANDS_BY).await;
    is_looked_after(&place, "early").await;

    first.signal(Signal::SIGKILL);
    first.ends().await;
    second.says(LEADS).await;
    is_looked_after(&place, "late").await;
}

#[tokio::test]
async fn a_standby_does_not_wait_for_the_end_of_the_term_of_a_leader_that_exits() {
    let place = Place::new("ended").await;
    let mut first = place.start(&[]);
    first.says(LEADS).await;
    let mut second = place.start(&[]);
    second.says(STANDS_BY).await;

    first.signal(Signal::SIGTERM);
    let given_back = at(&first.says("the Lease is given back").await);
    let took = at(&second.says(LEADS).await).duration_since(given_back);
    // A second, and what two calls take. The term would go on for ten at least.
    assert!(took < SignedDuration::from_secs(9), "{took:#}");
    assert!(first.ends().await.success());

    second.signal(Signal::SIGTERM);
    assert!(second.ends().await.success());
    let lease = place.api::<Lease>().get("gritstone-operator").await.unwrap();
    assert_eq!(lease.spec.as_ref().unwrap().lease_transitions, Some(1));
    assert_eq!(holder(lease), None);
}

#[tokio::test]
async fn a_standby_told_to_stop_leaves_the_lease_alone() {
    let place = Place::new("standby").await;
    let first = place.start(&[]);
    first.says(LEADS).await;
    let mut second = place.start(&[]);
    second.says(STANDS_BY).await;
    second.signal(Signal::SIGTERM);
    assert!(second.ends().await.success());
    assert!(holder(place.api::<Lease>().get("gritstone-operator").await.unwrap()).is_some());
}

#[tokio::test]
async fn a_leader_that_can_not_renew_is_gone_before_another_works() {
    let place = Place::new("cut-off").await;
    let link = place.link().await;
    let mut first = place.start_linked(&link);
    first.says(LEADS).await;
    let second = place.start(&[]);
    second.says(STANDS_BY).await;
    link.cut();
    assert_eq!(first.ends().await.code(), Some(1));
    let (last, leads) = (at(&first.last_line().await), at(&second.says(LEADS).await));
    assert!(last < leads, "two at once: until {last}, and from {leads}");
}

#[tokio::test]
async fn a_leader_that_was_frozen_past_its_term_ends_when_it_wakes() {
    let place = Place::new("frozen").await;
    let mut first = place.start(&[]);
    first.says(LEADS).await;
    let second = place.start(&[]);
    second.says(STANDS_BY).await;
    first.signal(Signal::SIGSTOP);
    second.says(LEADS).await;
    first.signal(Signal::SIGCONT);
    assert_eq!(first.ends().await.code(), Some(1));
    is_looked_after(&place, "mail").await;
}

#[tokio::test]
async fn one_that_can_not_read_the_lease_is_alive_and_not_ready() {
    let place = Place::new("unread").await;
    let link = place.link().await;
    link.cut();
    let operator = place.start_linked(&link);
    operator.page_becomes("/readyz", |status, text| status == 503 && text.contains("the Lease")).await;
    assert_eq!(operator.page("/livez").await.0, 200);
}

#[tokio::test]
async fn one_replica_alone_needs_no_lease() {
    let place = Place::new("alone").await;
    let mut alone = place.start(&["--leader-elect=false", "--lease", "blue", "--cluster-id", "test"]);
    is_looked_after(&place, "mail").await;
    assert!(leads(&alone.page("/metrics").await.1, "blue", 1), "an alert would say that nobody works");
    assert!(place.api::<Lease>().get_opt("gritstone-operator").await.unwrap().is_none());
    alone.signal(Signal::SIGTERM);
    assert!(alone.ends().await.success());
}

#[tokio::test]
async fn one_that_may_not_see_all_kinds_says_so_and_stops_when_it_is_told_to() {
    let place = Place::new("unseen").await;
    let all_but_dispatchers = [
        "queueworkers",
        "recurringtasks",
        "cronschedules",
        "deployments",
        "poddisruptionbudgets",
        "pods",
        "secrets",
        "events",
    ];
    let rules = json!([{"apiGroups": ["*"], "resources": all_but_dispatchers, "verbs": ["*"]}]);
    let somebody = json!({"kind": "User", "name": "somebody", "apiGroup": "rbac.authorization.k8s.io"});
    let role: Role = serde_json::from_value(json!({"metadata": {"name": "somebody"}, "rules": rules})).unwrap();
    place.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
    let binding = json!({
        "metadata": {"name": "somebody"}, "subjects": [somebody],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "somebody"},
    });
    let binding: RoleBinding = serde_json::from_value(binding).unwrap();
    place.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
    let mut operator = place.start_as("somebody", &["--leader-elect=false", "--cluster-id", "test"]);
    operator
        .logs(|line| line["message"].as_str().is_some_and(|said| said.starts_with("watching Dispatchers failed")))
        .await;
    operator.page_becomes("/readyz", |status, text| status == 503 && text.contains("dispatcher")).await;
    operator.signal(Signal::SIGTERM);
    assert!(operator.ends().await.success());
}

#[tokio::test]
async fn it_says_how_it_is_and_what_it_does() {
    let place = Place::new("pages").await;
    let first = place.start(&["--lease", "blue"]);
    first.says(LEADS).await;
    let second = place.start(&["--lease", "blue"]);
    second.says(STANDS_BY).await;
    is_looked_after(&place, "mail").await;

    for (operator, page) in [(&first, "/readyz"), (&first, "/livez"), (&second, "/readyz"), (&second, "/livez")] {
        operator.page_becomes(page, |status, _| status == 200).await;
    }
    assert!(leads(&second.page("/metrics").await.1, "blue", 0));
    first
        .page_becomes("/metrics", |_, text| {
            leads(text, "blue", 1)
                && text
                    .contains("controller_runtime_reconcile_total{controller=\"queueworker\",result=\"requeue_after\"}")
                && text.contains("controller_runtime_active_workers{controller=\"queueworker\"} 0\n")
                && text.contains("controller_runtime_reconcile_time_seconds_count{controller=\"queueworker\"}")
                && text.contains("rest_client_requests_total{code=\"200\",method=\"GET\"}")
                && text.contains("rest_client_requests_total{code=\"201\",method=\"POST\"}")
        })
        .await;
    assert_eq!(first.page("/nothing").await.0, 404);
    every_metric_is_in_the_table(&first.page("/metrics").await.1);
}

#[tokio::test]
async fn with_several_namespaces_each_is_looked_after_and_each_metric_is_there_once() {
    let (first, second) = (Place::new("several").await, Place::new("several").await);
    let operator = first.start(&["--leader-elect=false", "--namespace", second.namespace()]);
    is_looked_after(&first, "mail").await;
    is_looked_after(&second, "mail").await;
    operator.page_becomes("/readyz", |status, _| status == 200).await;
    let (_, text) = operator.page("/metrics").await;
    let mut names: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// Holds the reference to what an operator at work shows, names and types.
fn every_metric_is_in_the_table(text: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/operator.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter(|row| !row.starts_with("--"));
    let documented: BTreeSet<_> = rows
        .filter_map(|row| {
            let (name, rest) = row.split_once(['{', '`'])?;
            Some((name.to_owned(), rest.split('|').nth(1)?.trim().to_owned()))
        })
        .collect();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: BTreeSet<_> = types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            (if kind == "counter" { format!("{name}_total") } else { name.to_owned() }, kind.to_owned())
        })
        .collect();
    let undocumented: Vec<_> = shown.difference(&documented).collect();
    assert!(undocumented.is_empty(), "in no table: {undocumented:?}");
    // Those of single workers are there once one scales.
    let missing: Vec<_> = documented.difference(&shown).filter(|(name, _)| !name.contains("_queue_worker_")).collect();
    assert!(missing.is_empty(), "not shown: {missing:?}");
}

#[tokio::test]
async fn a_line_of_the_log_says_which_object_and_which_reconciliation() {
    let place = Place::new("log").await;
    let operator = place.start(&["--leader-elect=false"]);
    is_looked_after(&place, "mail").await;
    let line = operator.logs(|line| line["message"] == "applied" && line["kind"] == "Deployment").await;
    assert_eq!(line["span"]["object"], format!("{}/mail", place.namespace()));
    assert_eq!(line["span"]["controller"], "queueworker");
    assert_eq!(line["span"]["trace_id"].as_str().map(str::len), Some(32));

    let plain = place.start(&["--leader-elect=false", "--log-format", "plain"]);
    let said = plain.logs(|line| line["message"].as_str().is_some_and(|text| text.contains("serving /livez"))).await;
    assert!(said.as_object().unwrap().len() == 1, "a line of words: {said}");
}

#[tokio::test]
async fn it_counts_how_often_it_scaled_and_why() {
    let place = Place::new("scaled").await;
    let queue = Queue::new(&place, "queue", Server::Postgres).await;
    let operator = place.start(&["--leader-elect=false", "--cluster-id", "test"]);
    let spec = json!({
        "database": {"secretRef": {"name": "queue"}},
        "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
        "autoscaling": {"minReplicas": 0, "maxReplicas": 3, "scaleDownDelay": "1s"},
    });
    place.create::<QueueWorker>("mail", spec).await;
    let _player = Player::start(&place, &queue.store, "mail");
    let shows = |text: &str, direction: &str, reason: &str, count: u8| {
        let series = format!("gritstone_operator_scalings_total{{direction=\"{direction}\",reason=\"{reason}\"}}");
        text.contains(&format!("{series} {count}\n"))
    };
    // There before anything has happened, as a rate needs it.
    operator.page_becomes("/metrics", |_, text| shows(text, "up", "Work", 0) && shows(text, "down", "Idle", 0)).await;
    queue.store.enqueue(&[job()]).await.unwrap();
    operator.page_becomes("/metrics", |_, text| shows(text, "up", "Work", 1)).await;
    let workers = workers(&queue.store, 1).await;
    run_all(&queue.store, &workers[0]).await;
    operator.page_becomes("/metrics", |_, text| shows(text, "up", "Work", 1) && shows(text, "down", "Idle", 1)).await;
}
