//! USR2, CONT and USR1.

use crate::heartbeats_of_workers;
use gritstone_tests::rig::{Crew, Running, Signal, Site, until};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::time::Duration;

/// Longer than any test waits.
const FOR_EVER: f64 = 600.0;

fn crew() -> Crew {
    Crew { heartbeat: Duration::from_secs(1), ..Crew::default() }
}

async fn logged(running: &Running, text: &str, times: usize) {
    until(text, async || (running.log().matches(text).count() >= times).then_some(())).await;
}

async fn usr2_takes_no_new_jobs_until_cont(engine: Engine, mode: &str) {
    let site = Site::new(engine, &crew()).await;
    let mut running = site.start(mode);
    site.enqueue(&[0.01]).await;
    site.finished(1).await;
    running.signal(Signal::SIGUSR2);
    logged(&running, "claims are paused", 1).await;
    site.enqueue(&[0.01]).await;
    heartbeats_of_workers(&site, 3).await;
    assert_eq!((site.count("ready_executions").await, site.count("claimed_executions").await), (1, 0));
    running.signal(Signal::SIGCONT);
    site.finished(2).await;
    assert!(running.stop().await.success(), "{}", running.log());
}

async fn a_paused_worker_lets_its_jobs_finish_and_stops(engine: Engine, mode: &str) {
    let site = Site::new(engine, &crew()).await;
    let mut running = site.start(mode);
    site.enqueue(&[1.0]).await;
    site.begun(1).await;
    running.signal(Signal::SIGUSR2);
    logged(&running, "claims are paused", 1).await;
    site.finished(1).await;
    assert!(running.stop().await.success(), "{}", running.log());
    assert_eq!(site.count("processes").await, 0);
}

async fn usr1_ends_running_jobs_and_goes_on(engine: Engine, mode: &str) {
    let site = Site::new(engine, &crew()).await;
    let mut running = site.start(mode);
    let workers = site.listed("Worker", 1).await;
    let job = site.enqueue_one(vec![json!(FOR_EVER)]).await;
    site.begun(1).await;
    running.signal(Signal::SIGUSR1);
    let runs = until("it runs again", async || Some(site.ledger.runs_of(&job)).filter(|runs| runs.len() > 1)).await;
    assert!(runs[0].stopped, "{runs:?}");
    assert_eq!(site.int("select count(*) from gritstone_jobs where interruptions > 0").await, 0);
    assert_eq!(site.listed("Worker", 1).await, workers);
    running.signal(Signal::SIGQUIT);
    assert!(running.end().await.success(), "{}", running.log());
}

super::under_every_supervisor!(
    usr2_takes_no_new_jobs_until_cont,
    a_paused_worker_lets_its_jobs_finish_and_stops,
    usr1_ends_running_jobs_and_goes_on,
);
