//! Processes whose clocks are wrong.

use gritstone_tests::rig::{Crew, Running, Site, until};
use gritstone_tests::servers::Server;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const SKEW: &str = include_str!("skew.c");

/// A library that, loaded before all others, shifts the wall clock of a program. The build needs a C compiler anyway, for
/// SQLite.
fn shifting_library(site: &Site) -> PathBuf {
    let source = site.folder().join("skew.c");
    let library = site.folder().join("skew.so");
    std::fs::write(&source, SKEW).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    library
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_ten_minutes_off_prunes_nobody_and_loses_nothing() {
    let crew = Crew {
        threads: 2,
        heartbeat: Duration::from_secs(1),
        alive_threshold: Duration::from_secs(6),
        ..Crew::default()
    };
    let site = Site::new(Server::Postgres, &crew).await;
    let library = shifting_library(&site);
    let (manifests, library) = (site.manifests(), library.to_string_lossy().into_owned());
    let shifted = |command: &str, seconds: &str| -> Running {
        site.run_with(&[command, "--file", &manifests], &[("LD_PRELOAD", library.as_str()), ("SKEW_SECONDS", seconds)])
    };
    let _dispatchers = [shifted("dispatch", "600"), shifted("dispatch", "-600")];
    site.listed("Dispatcher", 2).await;
    let workers = [shifted("work", "600"), shifted("work", "-600")];
    site.listed("Worker", 2).await;
    let before = site.rows("select id from solid_queue_processes order by id").await;
    assert!(is_shifted(&workers[0]), "the library shifts nothing:\n{}", workers[0].log());

    // Long enough for several heartbeats of each, and looks of each at the others.
    let jobs = site.enqueue(&[1.0; 32]).await;
    let short = site.enqueue(&[0.01; 4]).await;
    site.finished(jobs.len() + short.len()).await;

    assert_eq!(site.rows("select id from solid_queue_processes order by id").await, before);
    assert_eq!(site.int("select count(*) from gritstone_jobs where interruptions > 0").await, 0);
    assert_eq!(site.ledger.runs().len(), jobs.len() + short.len());
    let off = "select count(*) from solid_queue_jobs where finished_at is null \
               or finished_at > (now() at time zone 'utc') + interval '1 minute' \
               or finished_at < (now() at time zone 'utc') - interval '5 minutes'";
    assert_eq!(site.int(off).await, 0, "times are the database's");

    until("everybody still says that they live", async || {
        let silent = "select count(*) from solid_queue_processes \
                      where last_heartbeat_at < (now() at time zone 'utc') - interval '6 seconds' \
                      or last_heartbeat_at > (now() at time zone 'utc') + interval '1 second'";
        (site.int(silent).await == 0).then_some(())
    })
    .await;
}

/// The log's own times are ten minutes ahead of ours.
fn is_shifted(running: &Running) -> bool {
    let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(540);
    let log = running.log();
    log.split_whitespace().filter_map(|word| word.parse::<jiff::Timestamp>().ok()).any(|time| time > ahead)
}
