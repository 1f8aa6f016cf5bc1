//! TERM and QUIT.

use gritstone_tests::rig::{Crew, Run, Running, Signal, Site, processes};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::time::{Duration, Instant};

/// Longer than any test waits.
const FOR_EVER: f64 = 600.0;

const PATIENT: Crew = Crew { drain: Duration::from_secs(120), ..CREW };
const IMPATIENT: Crew = Crew { drain: Duration::from_millis(300), ..CREW };

const CREW: Crew = Crew {
    prefetch: None,
    threads: 3,
    workers: 1,
    drain: Duration::from_secs(5),
    dead_worker_policy: "Retry",
    heartbeat: Duration::from_secs(15),
    alive_threshold: Duration::from_secs(120),
};

/// A supervisor in whose worker one job has begun.
async fn with_a_job(engine: Engine, mode: &str, crew: &Crew, job: serde_json::Value) -> (Site, Started) {
    let site = Site::new(engine, crew).await;
    let job = site.enqueue_one(job.as_array().unwrap().clone()).await;
    let patience = format!("{}ms", crew.drain.as_millis());
    let running = site.run(&["start", "--mode", mode, "--file", &site.manifests(), "--shutdown-timeout", &patience]);
    site.begun(1).await;
    (site, Started { running, job })
}

struct Started {
    running: Running,
    job: String,
}

/// The job is ready, as if it had never run, and nobody is listed.
async fn given_back(site: &Site, job: &str) -> Run {
    assert_eq!(site.count("ready_executions").await, 1);
    assert_eq!(site.count("claimed_executions").await, 0);
    assert_eq!(site.count("processes").await, 0);
    assert_eq!(site.int("select count(*) from gritstone_jobs where interruptions > 0").await, 0);
    let mut runs = site.ledger.runs_of(job);
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

async fn done_once(site: &Site, job: &str) {
    let runs = site.ledger.runs_of(job);
    assert!(runs.len() == 1 && runs[0].ended, "{runs:?}");
    assert_eq!(site.int("select count(*) from solid_queue_jobs where finished_at is not null").await, 1);
    assert_eq!(site.count("claimed_executions").await, 0);
    assert_eq!(site.count("processes").await, 0);
}

async fn term_lets_a_running_job_finish(engine: Engine, mode: &str) {
    let (site, mut started) = with_a_job(engine, mode, &PATIENT, json!([1.0])).await;
    assert!(started.running.stop().await.success());
    done_once(&site, &started.job).await;
}

async fn term_again_and_again_changes_nothing(engine: Engine, mode: &str) {
    let (site, mut started) = with_a_job(engine, mode, &PATIENT, json!([1.0])).await;
    for _ in 0..20 {
        started.running.signal(Signal::SIGTERM);
        started.running.signal(Signal::SIGINT);
        tokio::task::yield_now().await;
    }
    assert!(started.running.end().await.success());
    done_once(&site, &started.job).await;
}

async fn a_job_that_outlasts_the_patience_is_ready_again(engine: Engine, mode: &str) {
    let (site, mut started) = with_a_job(engine, mode, &IMPATIENT, json!([FOR_EVER])).await;
    assert!(started.running.stop().await.success());
    assert!(given_back(&site, &started.job).await.stopped);
}

async fn quit_gives_jobs_back_at_once(engine: Engine, mode: &str) {
    let (site, mut started) = with_a_job(engine, mode, &PATIENT, json!([FOR_EVER])).await;
    let asked = Instant::now();
    started.running.signal(Signal::SIGQUIT);
    assert!(started.running.end().await.success());
    assert!(asked.elapsed() < PATIENT.drain / 4, "{:?}", asked.elapsed());
    assert!(given_back(&site, &started.job).await.stopped);
}

async fn quit_cuts_short_what_term_began(engine: Engine, mode: &str) {
    let (site, mut started) = with_a_job(engine, mode, &PATIENT, json!([FOR_EVER])).await;
    started.running.signal(Signal::SIGTERM);
    started.running.signal(Signal::SIGQUIT);
    assert!(started.running.end().await.success());
    assert!(given_back(&site, &started.job).await.stopped);
}

async fn a_job_that_ignores_being_told_is_ended_and_given_back(engine: Engine, mode: &str) {
    let (site, mut started) = with_a_job(engine, mode, &IMPATIENT, json!([FOR_EVER, "stubborn"])).await;
    assert!(started.running.stop().await.success());
    let run = given_back(&site, &started.job).await;
    assert!(run.is_open());
    assert!(!processes::is_alive(run.pid), "its handler lives on");
}

super::under_every_supervisor!(
    term_lets_a_running_job_finish,
    term_again_and_again_changes_nothing,
    a_job_that_outlasts_the_patience_is_ready_again,
    quit_gives_jobs_back_at_once,
    quit_cuts_short_what_term_began,
    a_job_that_ignores_being_told_is_ended_and_given_back,
);
