//! What a worker claims beyond what it runs, when jobs turn out longer than the ones before.

use crate::heartbeats_of_workers;
use gritstone_tests::rig::{Crew, Site, until};
use gritstone_tests::servers::Server;
use std::time::Duration;

/// Longer than any test waits.
const FOR_EVER: f64 = 600.0;

/// How many claims have ever been made.
async fn claims(site: &Site) -> i64 {
    site.int("select last_value from solid_queue_claimed_executions_id_seq").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_jobs_behind_short_ones_are_given_back_once() {
    let crew = Crew { threads: 2, heartbeat: Duration::from_secs(1), ..Crew::default() };
    let site = Site::new(Server::Postgres, &crew).await;
    let mut running = site.start("async");
    site.enqueue(&[0.0; 200]).await;
    site.finished(200).await;
    site.enqueue(&[FOR_EVER; 40]).await;
    until("some were claimed ahead and given back", async || {
        let (ready, claimed) = (site.count("ready_executions").await, site.count("claimed_executions").await);
        (claims(&site).await > 202 && (ready, claimed) == (38, 2)).then_some(())
    })
    .await;
    let before = claims(&site).await;
    // It polls many times between two heartbeats, and gives back after a second.
    heartbeats_of_workers(&site, 3).await;
    assert_eq!(claims(&site).await, before, "nothing is claimed while nothing ends");
    running.signal(gritstone_tests::rig::Signal::SIGQUIT);
    assert!(running.end().await.success(), "{}", running.log());
}
