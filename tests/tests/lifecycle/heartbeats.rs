//! Saying that one lives, and what happens when that can't be said.

use gritstone_tests::rig::{Crew, Running, Site, until, until_within};
use gritstone_tests::servers::{Engine, PrivateServer, Server, ServerOptions};
use serde_json::json;
use std::time::Duration;

const THRESHOLD: Duration = Duration::from_secs(9);

fn quick() -> Crew {
    Crew { heartbeat: Duration::from_secs(1), alive_threshold: THRESHOLD, ..Crew::default() }
}

/// A worker that runs one long job, under settings that a dispatcher, which is gone again, has written.
async fn at_work(site: &Site) -> (Running, String) {
    let mut dispatcher = site.dispatch();
    site.listed("Dispatcher", 1).await;
    assert!(dispatcher.stop().await.success());
    let job = site.enqueue_one(vec![json!(600)]).await;
    let worker = site.work();
    site.begun(1).await;
    (worker, job)
}

/// Waits until the job's run has been ended, before others could think its worker dead.
async fn stopped_in_time(site: &Site, job: &str) {
    until_within(THRESHOLD - THRESHOLD / 6, "the job has been ended", async || {
        site.ledger.runs_of(job)[0].stopped.then_some(())
    })
    .await;
}

/// Waits until the job runs again under the same process.
async fn runs_again(site: &Site, job: &str, worker: &mut Running) {
    until("the job runs again", async || (site.ledger.runs_of(job).len() == 2).then_some(())).await;
    assert!(worker.ended().is_none(), "{}", worker.log());
    let runs = site.ledger.runs_of(job);
    assert!(!runs[0].overlaps(&runs[1]), "{runs:?}");
}

async fn a_worker_whose_row_was_deleted_ends_its_jobs_and_registers_anew(engine: Engine) {
    let site = Site::new(engine, &quick()).await;
    let (mut worker, job) = at_work(&site).await;
    let before = site.rows("select id from solid_queue_processes").await;
    site.sql().await.run("delete from solid_queue_processes").await.unwrap();
    runs_again(&site, &job, &mut worker).await;
    assert!(site.ledger.runs_of(&job)[0].stopped);
    let after = site.rows("select id from solid_queue_processes").await;
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
}

async fn a_claim_that_a_worker_never_heard_of_is_run_all_the_same(engine: Engine) {
    let site = Site::new(engine, &quick()).await;
    let mut dispatcher = site.dispatch();
    site.listed("Dispatcher", 1).await;
    assert!(dispatcher.stop().await.success());
    let mut worker = site.work();
    site.listed("Worker", 1).await;
    // As a server does that was frozen with the claim in its hands, and answers nobody when it goes on.
    let pause = "insert into solid_queue_pauses (queue_name, created_at) values ('default', '2026-01-01 00:00:00')";
    site.sql().await.run(pause).await.unwrap();
    let job = site.enqueue_one(vec![json!(0.01)]).await;
    let claim = "insert into solid_queue_claimed_executions (job_id, process_id, created_at) \
                 select r.job_id, p.id, r.created_at from solid_queue_ready_executions r, solid_queue_processes p; \
                 delete from solid_queue_ready_executions";
    site.sql().await.run(claim).await.unwrap();
    site.finished(1).await;
    assert!(worker.stop().await.success());
    assert_eq!(site.ledger.runs_of(&job).len(), 1);
}

async fn a_supervisor_whose_row_was_deleted_registers_anew_and_goes_on(engine: Engine) {
    let site = Site::new(engine, &quick()).await;
    let mut supervisor = site.start("fork");
    let worker = site.listed("Worker", 1).await;
    site.listed("Dispatcher", 1).await;
    let before = site.rows("select id from solid_queue_processes where kind like 'Supervisor%'").await;
    site.sql().await.run("delete from solid_queue_processes where kind like 'Supervisor%'").await.unwrap();
    assert_eq!(site.listed("Supervisor%", 1).await, [supervisor.pid()]);
    assert_ne!(site.rows("select id from solid_queue_processes where kind like 'Supervisor%'").await, before);
    assert_eq!(site.listed("Worker", 1).await, worker);
    assert!(supervisor.stop().await.success());
    assert_eq!(site.count("processes").await, 0);
}

/// Solid Queue's own threshold, five minutes, is the longest there is: so long does one get that may know no better.
async fn a_worker_from_before_the_threshold_was_lowered_is_not_taken_for_dead(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let mut worker = site.work();
    site.listed("Worker", 1).await;
    let job = site.enqueue_one(vec![json!(8.0)]).await;
    site.begun(1).await;
    // Now with heartbeats of one second: the worker still has fifteen.
    site.man(&Crew { alive_threshold: Duration::from_secs(3), ..quick() });
    let _dispatcher = site.dispatch();
    site.finished(1).await;
    let runs = site.ledger.runs_of(&job);
    assert!(runs.len() == 1 && runs[0].ended, "{runs:?}");
    assert!(worker.stop().await.success());
}

super::on_a_file_and_a_server!(
    a_worker_whose_row_was_deleted_ends_its_jobs_and_registers_anew,
    a_supervisor_whose_row_was_deleted_registers_anew_and_goes_on,
    a_claim_that_a_worker_never_heard_of_is_run_all_the_same,
    a_worker_from_before_the_threshold_was_lowered_is_not_taken_for_dead,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_end_before_a_frozen_server_could_give_them_to_others() {
    let server = PrivateServer::start(Server::Postgres, ServerOptions::default()).await.unwrap();
    let url = server.create_database("queue").await.unwrap();
    let site = Site::on(Server::Postgres, url, &quick()).await;
    let (mut worker, job) = at_work(&site).await;
    server.pause().unwrap();
    stopped_in_time(&site, &job).await;
    server.resume().unwrap();
    runs_again(&site, &job, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_end_before_a_server_that_is_away_could_give_them_to_others() {
    let mut server = PrivateServer::start(Server::Postgres, ServerOptions::default()).await.unwrap();
    let url = server.create_database("queue").await.unwrap();
    let site = Site::on(Server::Postgres, url, &quick()).await;
    let (mut worker, job) = at_work(&site).await;
    server.kill().await.unwrap();
    stopped_in_time(&site, &job).await;
    server.start_again().await.unwrap();
    runs_again(&site, &job, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_end_before_a_locked_file_could_give_them_to_others() {
    let site = Site::new(Engine::Sqlite, &quick()).await;
    let (mut worker, job) = at_work(&site).await;
    let mut writer = site.sql().await;
    writer.run("begin immediate").await.unwrap();
    stopped_in_time(&site, &job).await;
    writer.run("commit").await.unwrap();
    runs_again(&site, &job, &mut worker).await;
}
