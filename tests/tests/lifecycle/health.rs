//! The page for probes and metrics, as a kubelet and a Prometheus see it.

use gritstone_tests::rig::{Crew, Running, Site, until};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

/// What a page answers: its status and its text. None while nobody listens there.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Where a command says that its page is.
async fn address(running: &Running) -> String {
    until("the page is served", async || {
        let log = running.log();
        let (_, rest) = log.split_once("address=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    })
    .await
}

async fn until_status(address: &str, path: &str, status: u16) -> String {
    until(&format!("{path} answers {status}"), async || {
        get(address, path).filter(|(is, _)| *is == status).map(|(_, body)| body)
    })
    .await
}

/// Waits until a series has at least this value.
async fn until_value(address: &str, series: &str, least: f64) {
    until(&format!("{series} is at least {least}"), async || {
        let (_, text) = get(address, "/metrics")?;
        let value: f64 = text.lines().find_map(|line| line.strip_prefix(series))?.trim().parse().ok()?;
        (value >= least).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_tells_that_it_is_ready_and_what_became_of_its_jobs() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let mut worker = site.run(&["work", "--file", &site.manifests(), "--health", "127.0.0.1:0"]);
    let address = address(&worker).await;
    until_status(&address, "/readyz", 200).await;
    until_status(&address, "/livez", 200).await;
    site.enqueue(&[0.0; 20]).await;
    site.finished(20).await;
    until_value(&address, "gritstone_jobs_total{queue=\"*\",outcome=\"done\"}", 20.0).await;
    until_value(&address, "gritstone_job_duration_seconds_count{queue=\"*\"}", 20.0).await;
    until_value(&address, "gritstone_claimed_jobs_total", 20.0).await;
    until_value(&address, "gritstone_claim_duration_seconds_count", 2.0).await;
    until_value(&address, "gritstone_threads", 3.0).await;
    until_value(&address, "gritstone_heartbeat_age_seconds{kind=\"Worker\"}", 0.0).await;

    site.enqueue_one(vec![json!(60.0)]).await;
    until_value(&address, "gritstone_jobs_running", 1.0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_never_there_leaves_a_worker_live_and_ready() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    // Taken, so that nobody else gets it, and not listened on.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://nobody:hidden-word@{nobody}/none");
    let arguments = ["work", "--file", &site.manifests(), "--health", "127.0.0.1:0"];
    let mut worker = site.run_with(&arguments, &[("DATABASE_URL", &url)]);
    let address = address(&worker).await;
    until("the worker waits for the database", async || worker.log().contains("waiting for it").then_some(())).await;
    until_status(&address, "/readyz", 200).await;
    until_status(&address, "/livez", 200).await;
    let (_, metrics) = get(&address, "/metrics").unwrap();
    assert!(!metrics.contains("hidden-word"), "{metrics}");
    worker.stop().await;
}

/// In a rollout those that can work on the tables as they are go on with it, until a newer process is ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_not_ready_before_its_tables_are_there() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let newest = "where version = (select max(version) from gritstone_migrations)";
    // As if it were of the version before.
    site.sql().await.run(&format!("update gritstone_migrations set version = version + 1000 {newest}")).await.unwrap();
    let mut worker = site.run(&["work", "--file", &site.manifests(), "--health", "127.0.0.1:0"]);
    let address = address(&worker).await;
    until("the worker waits for the tables", async || worker.log().contains("waiting for it").then_some(())).await;
    let waits = until_status(&address, "/readyz", 503).await;
    assert!(waits.contains("are missing"), "{waits}");
    until_status(&address, "/livez", 200).await;
    site.sql().await.run(&format!("update gritstone_migrations set version = version - 1000 {newest}")).await.unwrap();
    until_status(&address, "/readyz", 200).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_is_counted_and_changes_no_probe() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let mut worker = site.run(&["work", "--file", &site.manifests(), "--health", "127.0.0.1:0"]);
    let address = address(&worker).await;
    until_value(&address, "gritstone_claim_duration_seconds_count", 1.0).await;
    let rename = |from: &str, to: &str| format!("alter table {from} rename to {to}");
    site.sql().await.run(&rename("solid_queue_ready_executions", "away")).await.unwrap();
    until_value(&address, "gritstone_database_errors_total{loop=\"claims\"}", 2.0).await;
    until_value(&address, "gritstone_database_reconnects_total{loop=\"claims\"}", 1.0).await;
    until_status(&address, "/livez", 200).await;
    until_status(&address, "/readyz", 200).await;
    site.sql().await.run(&rename("away", "solid_queue_ready_executions")).await.unwrap();
    site.enqueue(&[0.0]).await;
    site.finished(1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_does_not_answer_keeps_a_worker_from_being_ready() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let handler = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = handler.local_addr().unwrap();
    drop(handler);
    let manifest = json!({
        "apiVersion": "gritstone.dev/v1alpha1", "kind": "QueueWorker", "metadata": {"name": "http"},
        "spec": {"handler": {"http": {"url": format!("http://{server}/jobs"), "healthPath": "/healthz"}}},
    });
    let file = site.folder().join("http.yaml");
    std::fs::write(&file, manifest.to_string()).unwrap();
    let mut worker = site.run(&["work", "--file", &file.to_string_lossy(), "--health", "127.0.0.1:0"]);
    let address = address(&worker).await;
    let waits = until_status(&address, "/readyz", 503).await;
    assert!(waits == "starting\n" || waits == "the handler has not answered its health check yet\n", "{waits}");
    until_status(&address, "/livez", 200).await;

    let handler = std::net::TcpListener::bind(server).unwrap();
    std::thread::spawn(move || {
        for stream in handler.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    until_status(&address, "/readyz", 200).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_told_before_anything_runs() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for subcommand in ["work", "dispatch", "start"] {
        let mut refused = site.run(&[subcommand, "--file", &site.manifests(), "--health", &address]);
        assert_eq!(refused.end().await.code(), Some(1), "{}", refused.log());
        assert!(refused.log().contains(&format!("the health page can't listen on {address}")), "{}", refused.log());
    }
    assert_eq!(site.count("processes").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_queue_has_one_page_also_when_its_parts_are_processes() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    for mode in ["async", "fork"] {
        let arguments = ["start", "--mode", mode, "--file", &site.manifests()];
        let mut running = site.run_with(&arguments, &[("GRITSTONE_HEALTH_ADDRESS", "127.0.0.1:0")]);
        let address = address(&running).await;
        until_status(&address, "/readyz", 200).await;
        until_status(&address, "/livez", 200).await;
        site.listed("Worker", 1).await;
        assert_eq!(running.log().matches("health page").count(), 1, "{}", running.log());
        running.stop().await;
    }
}

/// The page that lists them, and what a process of each kind serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_in_the_reference_and_every_row_of_it_is_a_metric() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let mut running = site.run(&["start", "--file", &site.manifests(), "--health", "127.0.0.1:0"]);
    let address = address(&running).await;
    until_value(&address, "gritstone_heartbeat_age_seconds{kind=\"Worker\"}", 0.0).await;
    let (_, text) = get(&address, "/metrics").unwrap();
    running.stop().await;
    let served: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let engine = page.split("\n## ").find(|section| section.starts_with("The engine")).unwrap();
    let listed: BTreeSet<&str> =
        engine.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next()).collect();
    // Where there is no control group with a limit, there is nothing to say of it.
    let optional = BTreeSet::from(["gritstone_memory_bytes", "gritstone_memory_limit_bytes"]);
    let missing: Vec<_> = listed.difference(&served).filter(|name| !optional.contains(*name)).collect();
    assert!(missing.is_empty(), "listed, and not served: {missing:?}");
    let unlisted: Vec<_> = served.difference(&listed).collect();
    assert!(unlisted.is_empty(), "served, and not listed: {unlisted:?}");
}
