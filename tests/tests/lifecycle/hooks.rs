//! Commands at points of a process's life, from manifests and from the command line.

use super::recurring::{EVERY_SECOND, refuse, tasks_under};
use gritstone_tests::rig::{Crew, Site, processes, until};
use gritstone_tests::servers::Engine;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A hook that appends what it is told, and whether it was given the database's address, to the file `hooks`.
const NOTE: &str = r#"IFS= read -r line; printf '%s %s\n' "$line" "${DATABASE_URL:-none}" >> hooks"#;

/// Gives the site's worker hooks.
fn hook(site: &Site, points: &str) {
    let file = PathBuf::from(site.manifests()).join("worker.yaml");
    let manifest = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{manifest}  hooks:\n{points}")).unwrap();
}

fn point(name: &str, script: &str) -> String {
    format!("    {name}: [{{command: [sh, -c, {}], timeout: 2s}}]\n", Value::from(script))
}

/// What the hooks were told so far, in order.
fn told(site: &Site) -> Vec<Value> {
    let text = std::fs::read_to_string(site.folder().join("hooks")).unwrap_or_default();
    let lines = text.lines().map(|line| line.strip_suffix(" none").expect("no hook is given the database's address"));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn a_workers_hooks_run_at_their_moments_each_once(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let points: String = ["onStart", "onStop", "onExit"].iter().map(|name| point(name, NOTE)).collect();
    hook(&site, &points);
    let mut worker = site.work();
    site.enqueue(&[0.01]).await;
    site.finished(1).await;
    assert_eq!(told(&site).len(), 1, "{:?}", told(&site));
    assert!(worker.stop().await.success(), "{}", worker.log());
    let told = told(&site);
    let order: Vec<&str> = told.iter().filter_map(|line| line["hook"].as_str()).collect();
    assert_eq!(order, ["start", "stop", "exit"]);
    assert!(told.iter().all(|line| line["kind"] == "Worker" && line["process_id"].is_number()), "{told:?}");
}

async fn a_start_hook_that_fails_ends_the_worker_before_it_claims(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    hook(&site, &point("onStart", "echo no licence >&2; exit 3"));
    site.enqueue(&[0.01]).await;
    let mut worker = site.work();
    assert_eq!(worker.end().await.code(), Some(1));
    assert!(
        worker.log().contains("its start hook `sh` failed: it exited with status 3: no licence"),
        "{}",
        worker.log()
    );
    assert_eq!((site.count("ready_executions").await, site.count("processes").await), (1, 0));
}

async fn a_stop_hook_that_hangs_is_ended_with_what_it_started(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    hook(&site, &point("onStop", "sleep 600 & echo $! > pid; wait"));
    let mut worker = site.work();
    site.enqueue(&[0.01]).await;
    site.finished(1).await;
    assert!(worker.stop().await.success(), "{}", worker.log());
    assert!(worker.log().contains("it took longer than 2s and was ended"), "{}", worker.log());
    let pid: i32 = std::fs::read_to_string(site.folder().join("pid")).unwrap().trim().parse().unwrap();
    until("what it started is gone", async || (!processes::is_alive(pid)).then_some(())).await;
}

async fn a_jobs_error_goes_to_its_own_hook(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let points = point("onError", "echo engine >> engine-errors") + &point("onJobError", NOTE);
    hook(&site, &points);
    let mut worker = site.work();
    let job = site.enqueue_one(vec![json!("not a number")]).await;
    until("the hook was told", async || (!told(&site).is_empty()).then_some(())).await;
    assert!(worker.stop().await.success(), "{}", worker.log());
    let told = told(&site);
    assert_eq!((&told[0]["hook"], &told[0]["job"]["id"]), (&json!("job_error"), &json!(job)));
    assert_eq!((&told[0]["will_retry"], &told[0]["job"]["arguments"]), (&json!(false), &Value::Null));
    assert!(told[0]["error"]["exception_class"].is_string(), "{told:?}");
    assert!(!site.folder().join("engine-errors").exists());
}

async fn a_schedulers_hooks_run_at_their_moments_and_are_told_of_its_errors(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let points: String = ["onStart", "onStop", "onExit", "onError"].iter().map(|name| point(name, NOTE)).collect();
    let hooks = format!("  scheduler:\n    hooks:\n{points}").replace("    on", "      on");
    let folder = tasks_under(&site, &hooks, &[("stuck", EVERY_SECOND)]);
    refuse(&mut site.sql().await, engine).await;
    let mut dispatcher = site.run(&["dispatch", "--file", &folder]);
    until("it is told of an error", async || told(&site).iter().find(|line| line["hook"] == "error").map(drop)).await;
    assert!(dispatcher.stop().await.success(), "{}", dispatcher.log());
    let told = told(&site);
    let moments: Vec<&str> =
        told.iter().filter_map(|line| line["hook"].as_str()).filter(|hook| *hook != "error").collect();
    assert_eq!(moments, ["start", "stop", "exit"], "{told:?}");
    let error = told.iter().find(|line| line["hook"] == "error").unwrap();
    assert_eq!((&error["process"]["kind"], &error["during"]), (&json!("Scheduler"), &json!("schedule")));
    assert!(error["message"].as_str().unwrap().starts_with("the run of the recurring task stuck for "), "{error}");
    assert!(told.iter().all(|line| line["hook"] == "error" || line["kind"] == "Scheduler"), "{told:?}");
}

async fn a_schedulers_start_hook_that_fails_is_tried_again_and_keeps_the_dispatcher_from_nothing(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let hook = point("onStart", "[ -e licence ] || { echo no licence >&2; exit 3; }");
    let hooks = format!("  scheduler:\n    hooks:\n{hook}").replace("    on", "      on");
    let folder = tasks_under(&site, &hooks, &[("tick", EVERY_SECOND)]);
    let mut dispatcher = site.run(&["dispatch", "--file", &folder]);
    until("it has failed", async || dispatcher.log().contains("no licence").then_some(())).await;
    let due = gritstone_store::NewJob::new("Work", vec![]).after(std::time::Duration::from_millis(300));
    site.enqueue_jobs(&[due]).await;
    until("the dispatcher goes on", async || (site.count("ready_executions").await > 0).then_some(())).await;
    assert_eq!(site.count("recurring_executions").await, 0);
    std::fs::write(site.folder().join("licence"), "").unwrap();
    until("it is tried again", async || (site.count("recurring_executions").await > 0).then_some(())).await;
    assert!(dispatcher.stop().await.success(), "{}", dispatcher.log());
}

super::on_a_file_and_a_server!(
    a_schedulers_hooks_run_at_their_moments_and_are_told_of_its_errors,
    a_schedulers_start_hook_that_fails_is_tried_again_and_keeps_the_dispatcher_from_nothing,
    a_workers_hooks_run_at_their_moments_each_once,
    a_start_hook_that_fails_ends_the_worker_before_it_claims,
    a_stop_hook_that_hangs_is_ended_with_what_it_started,
    a_jobs_error_goes_to_its_own_hook,
);
