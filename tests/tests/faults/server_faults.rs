//! A server that is restarted, cut off, frozen, and full, while jobs run.

use crate::verdict;
use gritstone_tests::rig::{Crew, Site, Sql, processes, until_within};
use gritstone_tests::servers::{PrivateServer, Server, ServerOptions};
use std::time::Duration;
use tokio::time::sleep;

const JOBS: usize = 1_500;

/// How long the server is away, and how long frozen; `GRITSTONE_FAULT_OUTAGE` says otherwise, in seconds.
fn outage() -> Duration {
    let seconds = std::env::var("GRITSTONE_FAULT_OUTAGE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

/// More than this is a leak: the engine holds a few megabytes.
const GROWTH_KIB: u64 = 20 * 1024;

async fn nothing_that_happens_to_the_server_loses_a_job(server: Server) {
    let options = ServerOptions { max_connections: 40, ..ServerOptions::default() };
    let mut private = PrivateServer::start(server, options).await.unwrap();
    let url = private.create_database("queue").await.unwrap();
    let site = Site::on(server, url, &Crew { threads: 4, ..Crew::default() }).await;
    let jobs = site.enqueue(&vec![0.03; JOBS]).await;
    let mut supervisor = site.start("fork");
    let worker = site.listed("Worker", 1).await[0];
    progress(&site, "before anything happens").await;
    let memory = processes::memory(worker).unwrap();

    for _ in 0..20 {
        private.disconnect_everyone().await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    progress(&site, "after everyone was disconnected twenty times").await;

    private.kill().await.unwrap();
    private.start_again().await.unwrap();
    progress(&site, "after the server was killed and started again").await;

    private.stop().await.unwrap();
    sleep(outage()).await;
    private.start_again().await.unwrap();
    progress(&site, "after the server was stopped for a while").await;

    private.pause().unwrap();
    sleep(outage()).await;
    private.resume().unwrap();
    progress(&site, "after the server was frozen for a while").await;

    let crowd = crowd_out(&private, &site).await;
    assert!(crowd.len() > 5, "the server was never full");
    sleep(outage() / 2).await;
    drop(crowd);
    progress(&site, "after the server was full").await;

    private.set_read_only(true).await.unwrap();
    sleep(outage() / 2).await;
    private.set_read_only(false).await.unwrap();
    private.disconnect_everyone().await.unwrap();

    site.finished(JOBS).await;
    assert!(processes::is_alive(worker), "the worker died");
    let grown = processes::memory(worker).unwrap().saturating_sub(memory);
    println!("{server}: the worker grew by {grown} KiB");
    assert!(grown < GROWTH_KIB, "the worker grew by {grown} KiB");
    assert!(supervisor.stop().await.success());
    println!("{server}: {:?}", verdict::check(&site, &jobs).await);
}

/// Waits until more jobs finish than could be under way.
async fn progress(site: &Site, when: &str) {
    let sql = "select count(*) from solid_queue_jobs where finished_at is not null";
    let before = site.int(sql).await;
    until_within(Duration::from_secs(90), &format!("jobs are done {when}"), async || {
        (site.int(sql).await > before + 20 || before + 20 >= JOBS as i64).then_some(())
    })
    .await;
}

/// Takes every connection that there is, those of the engine included.
async fn crowd_out(private: &PrivateServer, site: &Site) -> Vec<Sql> {
    private.disconnect_everyone().await.unwrap();
    let mut crowd = Vec::new();
    while let Ok(connection) = Sql::connect(site.engine, &site.url).await {
        crowd.push(connection);
    }
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    nothing_that_happens_to_the_server_loses_a_job(Server::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb() {
    nothing_that_happens_to_the_server_loses_a_job(Server::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql() {
    nothing_that_happens_to_the_server_loses_a_job(Server::MySql).await;
}
