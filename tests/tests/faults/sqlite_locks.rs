//! A SQLite file that somebody else writes to for longer than anyone waits.

use crate::verdict;
use gritstone_tests::rig::{Crew, Site, processes};
use gritstone_tests::servers::Engine;
use std::time::Duration;

/// Longer than SQLite's own waiting, which is five seconds.
const HELD: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_lock_held_for_seconds_loses_no_job() {
    let site = Site::new(Engine::Sqlite, &Crew { threads: 4, ..Crew::default() }).await;
    let jobs = site.enqueue(&vec![0.02; 400]).await;
    let mut supervisor = site.start("fork");
    let worker = site.listed("Worker", 1).await[0];
    for done in [50, 200] {
        site.finished(done).await;
        let mut writer = site.sql().await;
        writer.run("begin immediate").await.unwrap();
        tokio::time::sleep(HELD).await;
        writer.run("commit").await.unwrap();
    }
    site.finished(jobs.len()).await;
    assert!(processes::is_alive(worker), "the worker died");
    assert!(supervisor.stop().await.success());
    let tally = verdict::check(&site, &jobs).await;
    assert_eq!(tally.extra_runs, 0, "{tally:?}");
}
