//! `gritstone jobs`.

use super::support::Home;
use gritstone_store::{JobState, Verdict};
use serde_json::json;

#[tokio::test]
async fn list_shows_jobs_in_their_states() {
    let home = Home::new();
    home.enqueue("Broken", 1);
    home.fail(1).await;
    home.run(&["enqueue", "Later", "--in", "1h", "--queue", "mail"]).ok();
    home.run(&["jobs", "list"])
        .ok()
        .prints("JOB  STATE")
        .prints("failed")
        .prints("Oops: it broke badly")
        .prints("due 20");
    let failed = home.run(&["jobs", "list", "--state", "failed", "--json"]).ok().json();
    assert_eq!(failed["jobs"][0]["class"], "Broken");
    assert_eq!(failed["jobs"][0]["error"]["message"], "it broke\nbadly");
    assert_eq!(failed["next"], json!(null));
    let mail = home.run(&["jobs", "list", "--queue", "mail", "--json"]).ok().json();
    assert_eq!(mail["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn list_goes_through_pages() {
    let home = Home::new();
    home.enqueue("A", 1_201);
    let first = home.run(&["jobs", "list", "--limit", "700", "--json"]).ok().json();
    assert_eq!((first["jobs"].as_array().unwrap().len(), &first["next"]), (700, &json!(700)));
    let rest = home.run(&["jobs", "list", "--all", "--after", "700", "--json"]).ok().json();
    assert_eq!((rest["jobs"].as_array().unwrap().len(), &rest["next"]), (501, &json!(null)));
    home.run(&["jobs", "list", "--limit", "2"]).ok().says("2 of 1,201 jobs; the next ones: --after 2");
    let all = home.run(&["jobs", "list", "--all"]).ok();
    assert_eq!(all.out.lines().count(), 1_202);
}

#[tokio::test]
async fn an_empty_list_is_an_empty_list() {
    let home = Home::new();
    home.run(&["jobs", "list"]).ok().says("no jobs match");
    assert_eq!(home.run(&["jobs", "list", "--json"]).ok().json(), json!({"jobs": [], "next": null}));
}

#[tokio::test]
async fn show_finds_a_job_by_either_id() {
    let home = Home::new();
    home.run(&["enqueue", "Mail", "--args", "[{\"to\": \"joe\"}]"]).ok();
    let job = home.run(&["jobs", "show", "1", "--json"]).ok().json();
    assert_eq!(job["envelope"]["arguments"][0]["to"], "joe");
    let id = job["id"].as_str().unwrap().to_owned();
    home.run(&["jobs", "show", &id]).ok().prints(&id).prints("\"to\": \"joe\"");
    home.fail(1).await;
    home.run(&["jobs", "show", "1"]).ok().prints("error:\nOops: it broke\nbadly");
}

#[tokio::test]
async fn retry_runs_named_jobs_once_more_and_says_why_others_are_not() {
    let home = Home::new();
    home.enqueue("A", 2);
    home.fail(1).await;
    let ran = home.run(&["jobs", "retry", "1", "2", "77"]).code(1);
    assert_eq!(home.state(1).await, Some(JobState::Ready));
    ran.prints("1    ready")
        .prints("it is ready; only failed jobs are retried")
        .prints("there is no such job in sqlite://");
    home.fail(1).await;
    let ran = home.run(&["jobs", "retry", "1", "--json"]).ok().json();
    assert_eq!((&ran["ready"], &ran["jobs"][0]["became"]), (&json!(1), &json!("ready")));
}

#[tokio::test]
async fn a_number_names_a_row_however_often_it_is_said() {
    let home = Home::new();
    home.enqueue("ChargeCard", 1);
    home.run(&["enqueue", "Report", "--id", "1"]).ok();
    home.run(&["enqueue", "Report", "--id", "7"]).ok();
    home.run(&["jobs", "discard", "1"]).ok().prints("1    discarded");
    assert_eq!(home.state(1).await, None);
    home.run(&["jobs", "discard", "1"]).code(1).prints("where it is the job's own id, write id:1");
    home.run(&["jobs", "show", "7"]).code(1).says("where it is the job's own id, write id:7");
    home.run(&["jobs", "show", "id:1"]).ok().prints("Report");
    home.run(&["jobs", "discard", "id:1"]).ok().prints("id:1  discarded");
    home.run(&["jobs", "discard", "id:1"]).code(1).prints("there is no such job");
    assert_eq!(home.state(3).await, Some(JobState::Ready));
}

#[tokio::test]
async fn what_is_logged_is_what_happened_and_only_when_asked_for() {
    let home = Home::new();
    home.enqueue("A", 3);
    home.fail(1).await;
    let logging = |arguments: &[&str]| home.run(&[arguments, &["--log", "info"]].concat());
    assert!(!logging(&["jobs", "retry", "2"]).code(1).err.contains("retry job_id"));
    assert!(!logging(&["jobs", "discard", "77"]).code(1).err.contains("discard"));
    logging(&["jobs", "retry", "1"]).ok().says("retry job_id=1");
    logging(&["jobs", "discard", "1"]).ok().says("discard job_id=1");
    let ran = home.run(&["jobs", "discard", "--class", "A", "--all"]).ok();
    assert_eq!(ran.prints("2 jobs: 2 discarded").err, "");
}

#[tokio::test]
async fn retry_takes_all_that_match_in_batches() {
    let home = Home::new();
    home.enqueue("A", 1_001);
    home.enqueue("B", 1);
    home.fail(1_002).await;
    home.run(&["jobs", "retry", "--class", "A", "--all"]).ok().prints("1,001 jobs: 1,001 ready");
    assert_eq!(home.state(1).await, Some(JobState::Ready));
    assert_eq!(home.state(1_002).await, Some(JobState::Failed));
    home.run(&["jobs", "retry", "--class", "A", "--all"]).ok().prints("no jobs match: nothing was changed");
    let limited = home.run(&["jobs", "retry", "--state", "failed", "--all", "--limit", "1", "--json"]).ok().json();
    assert_eq!(limited, json!({"selected": 1, "ready": 1, "blocked": 0, "discarded": 0, "skipped": 0}));
}

#[tokio::test]
async fn many_jobs_are_changed_only_with_a_filter_and_all() {
    let home = Home::new();
    for arguments in [["retry"].as_slice(), &["discard", "--all"], &["run-now", "--queue", "mail"]] {
        let arguments: Vec<&str> = ["jobs"].iter().chain(arguments).copied().collect();
        home.run(&arguments).code(2).says("--all");
    }
    home.run(&["jobs", "retry", "1", "--state", "failed"]).code(2).says("cannot be used with");
    home.run(&["jobs", "retry", "--state", "scheduled", "--all"]).code(2).says("gritstone jobs run-now");
}

#[tokio::test]
async fn discard_leaves_running_and_finished_jobs_alone() {
    let home = Home::new();
    home.enqueue("Done", 1);
    home.end(1, Verdict::Done).await;
    home.enqueue("Running", 1);
    home.claim(1).await;
    home.enqueue("Waiting", 3);
    home.run(&["enqueue", "Later", "--in", "1h"]).ok();
    home.run(&["jobs", "discard", "--queue", "default", "--all"]).ok().prints("4 jobs: 4 discarded");
    assert_eq!(home.state(1).await, Some(JobState::Finished));
    assert_eq!(home.state(2).await, Some(JobState::Claimed));
    home.run(&["jobs", "discard", "2"]).code(1).prints("a worker is running it");
    home.run(&["jobs", "discard", "--state", "finished", "--class", "Done", "--all"]).ok().prints("1 job: 1 discarded");
    assert_eq!(home.state(1).await, None);
}

#[tokio::test]
async fn discarding_the_holder_of_a_slot_lets_the_next_one_run() {
    let home = Home::new();
    for _ in 0..2 {
        home.run(&["enqueue", "Sync", "--limit-key", "account/7", "--limit-to", "1"]).ok();
    }
    assert_eq!(home.state(2).await, Some(JobState::Blocked));
    home.run(&["jobs", "discard", "1"]).ok();
    assert_eq!(home.state(2).await, Some(JobState::Ready));
}

#[tokio::test]
async fn run_now_runs_scheduled_and_blocked_jobs() {
    let home = Home::new();
    home.run(&["enqueue", "Later", "--in", "1h"]).ok();
    for _ in 0..2 {
        home.run(&["enqueue", "Sync", "--limit-key", "account/7", "--limit-to", "1"]).ok();
    }
    home.run(&["jobs", "run-now", "1"]).ok().prints("ready");
    home.run(&["jobs", "run-now", "--class", "Sync", "--all"]).ok().prints("1 job: 1 ready");
    for job_id in 1..=3 {
        assert_eq!(home.state(job_id).await, Some(JobState::Ready));
    }
    home.run(&["jobs", "run-now", "1"]).code(1).prints("it is ready; only scheduled and blocked jobs");
}
