//! Children that are replaced after so many jobs, or when they have grown.

use gritstone_tests::rig::{Crew, Run, Running, Site, processes, until};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::collections::HashMap;

/// A queue whose worker replaces its children after this.
async fn recycling(engine: Engine, after: &str) -> Site {
    let site = Site::new(engine, &Crew { threads: 2, ..Crew::default() }).await;
    let manifest = site.folder().join("manifests/worker.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let recycled = text.replace("process: {command:", &format!("process: {{recycleAfter: {after}, command:"));
    assert_ne!(text, recycled);
    std::fs::write(&manifest, recycled).unwrap();
    site
}

/// The runs of each child, all jobs having run once and to their end.
fn by_child(site: &Site, jobs: usize) -> HashMap<i32, Vec<Run>> {
    let runs = site.ledger.runs_by_job();
    assert_eq!(runs.len(), jobs);
    let mut children: HashMap<i32, Vec<Run>> = HashMap::new();
    for run in runs.into_values().flat_map(|runs| {
        assert!(runs.len() == 1 && runs[0].ended, "{runs:?}");
        runs
    }) {
        children.entry(run.pid).or_default().push(run);
    }
    children
}

/// How many children the log says were replaced.
fn recycled(running: &Running) -> usize {
    running.log().matches("recycle_child").count()
}

async fn gone(pids: impl Iterator<Item = i32>) {
    for pid in pids {
        until("a replaced child is gone", async || (!processes::is_alive(pid)).then_some(())).await;
    }
}

async fn a_child_is_replaced_after_so_many_jobs_and_none_is_lost_or_run_twice(engine: Engine, mode: &str) {
    let site = recycling(engine, "{jobs: 5}").await;
    let mut running = site.start(mode);
    site.enqueue(&[0.001; 60]).await;
    site.finished(60).await;
    let children = by_child(&site, 60);
    assert!(children.values().all(|runs| runs.len() <= 5), "{children:?}");
    assert!(children.len() >= 12, "{} children", children.len());
    let full: Vec<i32> = children.iter().filter(|(_, runs)| runs.len() == 5).map(|(pid, _)| *pid).collect();
    assert_eq!(recycled(&running), full.len());
    gone(full.into_iter()).await;
    assert!(running.stop().await.success(), "{}", running.log());
    gone(children.into_keys()).await;
}

async fn a_child_that_has_grown_is_replaced_and_the_others_stay(engine: Engine, mode: &str) {
    let site = recycling(engine, "{memory: 60Mi}").await;
    let mut running = site.start(mode);
    site.enqueue(&[0.001; 20]).await;
    site.finished(20).await;
    assert_eq!((by_child(&site, 20).len() <= 2, recycled(&running)), (true, 0));
    for leaks in 1..=3 {
        let job = site.enqueue_one(vec![json!(0.001), json!("leak")]).await;
        site.finished(20 + leaks).await;
        let grown = site.ledger.runs_of(&job)[0].pid;
        gone(std::iter::once(grown)).await;
        assert_eq!(recycled(&running), leaks);
    }
    assert!(running.stop().await.success(), "{}", running.log());
}

super::under_every_supervisor!(
    a_child_is_replaced_after_so_many_jobs_and_none_is_lost_or_run_twice,
    a_child_that_has_grown_is_replaced_and_the_others_stay,
);
