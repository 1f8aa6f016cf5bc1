//! Jobs whose workers keep dying.

use gritstone_tests::rig::{Crew, Running, Signal, Site, processes, until};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::time::Duration;

/// Kills a worker of its own while it runs its `runs`-th job, and waits until the job is ready again, or failed.
async fn lose_a_worker(site: &Site, runs: usize) {
    let mut worker = site.work();
    site.begun(runs).await;
    worker.kill().await;
    until("the worker's claims are taken away", async || (site.count("claimed_executions").await == 0).then_some(()))
        .await;
}

/// The class of the only failed job's error.
async fn error_class(site: &Site) -> String {
    let error = until("a job has failed", async || {
        site.rows("select error from solid_queue_failed_executions").await.pop().map(|mut row| row.remove(0))
    })
    .await;
    let error: serde_json::Value = serde_json::from_str(&error).unwrap();
    error["exception_class"].as_str().unwrap_or_default().to_owned()
}

async fn a_job_interrupted_twice_runs_alone(engine: Engine) {
    let site = Site::new(engine, &Crew { threads: 4, ..Crew::default() }).await;
    let _dispatcher = site.dispatch();
    let job = site.enqueue_one(vec![json!(1.0)]).await;
    lose_a_worker(&site, 1).await;
    lose_a_worker(&site, 2).await;
    site.enqueue(&[0.4; 8]).await;
    let mut worker = site.work();
    site.finished(9).await;
    assert!(worker.stop().await.success());
    let runs = site.ledger.runs();
    let third = runs.iter().filter(|run| run.job == job).nth(2).expect("a third run");
    assert!(third.ended && third.interruptions == 2, "{third:?}");
    for other in runs.iter().filter(|run| run.job != job) {
        let apart = other.last_seen_at <= third.started_at || other.started_at >= third.last_seen_at;
        assert!(apart, "{other:?} ran beside {third:?}");
    }
}

async fn a_job_that_waits_to_run_alone_is_not_interrupted_by_its_workers_death(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let _dispatcher = site.dispatch();
    let job = site.enqueue_one(vec![json!(600)]).await;
    lose_a_worker(&site, 1).await;
    lose_a_worker(&site, 2).await;
    let neighbour = site.enqueue_first(vec![json!(600)]).await;
    let mut worker = site.work();
    site.begun(3).await;
    until("the job waits, and is listed as one that waits", async || {
        let sql = "select count(*) from gritstone_processes where length(unstarted) > 2";
        (site.int(sql).await == 1).then_some(())
    })
    .await;
    assert_eq!(site.count("claimed_executions").await, 2);
    worker.kill().await;
    until("both are ready", async || (site.count("ready_executions").await == 2).then_some(())).await;
    let interruptions = async |job: &str| {
        let sql = "select interruptions from gritstone_jobs g join solid_queue_jobs j on j.id = g.job_id where j.active_job_id";
        site.int(&format!("{sql} = '{job}'")).await
    };
    assert_eq!((interruptions(&job).await, interruptions(&neighbour).await), (2, 1));
    assert_eq!(site.ledger.runs_of(&job).len(), 2);
}

async fn a_job_out_of_interruptions_fails(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let _dispatcher = site.dispatch();
    site.enqueue_one(vec![json!(600)]).await;
    for runs in 1..=4 {
        lose_a_worker(&site, runs).await;
    }
    assert_eq!(error_class(&site).await, "SolidQueue::Processes::ProcessExitError");
    assert_eq!(site.int("select interruptions from gritstone_jobs").await, 4);
    assert_eq!(site.count("ready_executions").await, 0);
}

async fn a_dead_workers_jobs_fail_where_the_policy_says_so(engine: Engine) {
    let site = Site::new(engine, &Crew { dead_worker_policy: "Fail", ..Crew::default() }).await;
    let _supervisor = site.start("fork");
    site.enqueue_one(vec![json!(600)]).await;
    site.begun(1).await;
    let worker = site.listed("Worker", 1).await[0];
    processes::send(worker, Signal::SIGKILL);
    assert_eq!(error_class(&site).await, "SolidQueue::Processes::ProcessExitError");
}

async fn a_silent_workers_jobs_fail_as_pruned_and_it_starts_over(engine: Engine) {
    let crew = Crew {
        dead_worker_policy: "Fail",
        heartbeat: Duration::from_secs(1),
        alive_threshold: Duration::from_secs(3),
        ..Crew::default()
    };
    let site = Site::new(engine, &crew).await;
    let _dispatcher = site.dispatch();
    site.listed("Dispatcher", 1).await;
    let job = site.enqueue_one(vec![json!(600)]).await;
    let mut worker = site.work();
    site.begun(1).await;
    worker.signal(Signal::SIGSTOP);
    assert_eq!(error_class(&site).await, "SolidQueue::Processes::ProcessPrunedError");
    assert_eq!(site.count("processes").await, 1);
    worker.signal(Signal::SIGCONT);
    until("the worker has ended the job that it lost", async || site.ledger.runs_of(&job)[0].stopped.then_some(()))
        .await;
    let again = site.enqueue_one(vec![json!(0.1)]).await;
    site.finished(1).await;
    assert!(site.ledger.runs_of(&again)[0].ended);
    assert!(worker.stop().await.success());
}

/// A worker that runs one job of five and has claimed the other four ahead.
async fn claim_ahead(site: &Site) -> Running {
    site.enqueue(&[600.0; 5]).await;
    let worker = site.work();
    site.begun(1).await;
    until("four are claimed ahead", async || (site.count("claimed_executions").await == 5).then_some(())).await;
    worker
}

async fn jobs_that_were_claimed_ahead_are_not_interrupted_by_their_workers_death(engine: Engine) {
    let site = Site::new(engine, &Crew { threads: 1, prefetch: Some(4), ..Crew::default() }).await;
    let _dispatcher = site.dispatch();
    let mut worker = claim_ahead(&site).await;
    worker.kill().await;
    until("all are ready", async || (site.count("ready_executions").await == 5).then_some(())).await;
    assert_eq!(site.int("select count(*) from gritstone_jobs where interruptions > 0").await, 1);
}

async fn a_stopping_worker_gives_back_what_it_claimed_ahead(engine: Engine) {
    let drain = Duration::from_secs(600);
    let site = Site::new(engine, &Crew { threads: 1, prefetch: Some(4), drain, ..Crew::default() }).await;
    let mut worker = claim_ahead(&site).await;
    worker.signal(Signal::SIGTERM);
    until("four are given back", async || (site.count("ready_executions").await == 4).then_some(())).await;
    assert_eq!(site.count("claimed_executions").await, 1, "the one that runs may end");
    worker.kill().await;
}

super::on_a_file_and_a_server!(
    jobs_that_were_claimed_ahead_are_not_interrupted_by_their_workers_death,
    a_stopping_worker_gives_back_what_it_claimed_ahead,
    a_job_interrupted_twice_runs_alone,
    a_job_that_waits_to_run_alone_is_not_interrupted_by_its_workers_death,
    a_job_out_of_interruptions_fails,
    a_dead_workers_jobs_fail_where_the_policy_says_so,
    a_silent_workers_jobs_fail_as_pruned_and_it_starts_over,
);
