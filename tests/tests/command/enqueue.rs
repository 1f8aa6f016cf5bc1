//! `gritstone enqueue`.

use super::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::until;
use std::io::Write as _;
use std::process::Stdio;

#[tokio::test]
async fn a_job_says_where_it_went() {
    let home = Home::new();
    home.run(&["enqueue", "A"]).ok().prints("  ready");
    home.run(&["enqueue", "A", "--at", "2999-01-01T00:00:00Z"]).ok().prints("  scheduled");
    home.run(&["enqueue", "A", "--id", "mine"]).ok().prints("mine  ready");
    home.run(&["enqueue", "A", "--id", "mine"]).ok().prints("mine  duplicate");
    let job = home.run(&["enqueue", "A", "--limit-key", "k", "--limit-to", "1", "--json"]).ok().json();
    assert_eq!((&job["job_id"], &job["placed"]), (&4.into(), &"ready".into()));
    home.run(&["enqueue", "A", "--limit-key", "k"]).ok().prints("  blocked");
    let many = home.run(&["enqueue", "A", "--count", "1500", "--json"]).ok().json();
    assert_eq!(many, serde_json::json!({"enqueued": 1500, "class": "A", "queue": "default"}));
}

#[tokio::test]
async fn arguments_that_are_no_array_become_the_only_one() {
    let home = Home::new();
    home.run(&["enqueue", "A", "--args", "{\"to\": 1}"]).ok();
    home.run(&["enqueue", "A", "--args", "\"text\""]).ok();
    let shown = home.run(&["jobs", "show", "2", "--json"]).ok().json();
    assert_eq!(shown["envelope"]["arguments"], serde_json::json!(["text"]));
}

#[tokio::test]
async fn lines_become_jobs_and_options_are_their_defaults() {
    let home = Home::new();
    let lines = "{\"class\": \"A\", \"args\": [1], \"queue\": \"mail\"}\n\n{\"class\": \"B\", \"in\": \"1h\"}\n";
    home.run_with(&["enqueue", "--queue", "bulk", "--priority", "7"], lines.as_bytes()).ok().says("2 jobs enqueued");
    let jobs = home.run(&["jobs", "list", "--json"]).ok().json();
    assert_eq!((&jobs["jobs"][0]["queue"], &jobs["jobs"][1]["queue"]), (&"mail".into(), &"bulk".into()));
    assert_eq!(jobs["jobs"][1]["state"], "scheduled");
    assert_eq!(jobs["jobs"][0]["priority"], 7);
    for option in [["--args", "[1]"], ["--limit-key", "k"], ["--id", "x"], ["--count", "2"]] {
        home.run_with(&["enqueue", option[0], option[1]], lines.as_bytes()).code(2).says("CLASS");
    }
}

#[tokio::test]
async fn a_line_is_enqueued_while_stdin_stays_open() {
    let home = Home::new();
    let mut child =
        home.command(&["enqueue"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"class\": \"A\"}\n").unwrap();
    until("the line is a job", async || home.state(1).await.filter(|state| *state == JobState::Ready)).await;
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn thousands_of_lines_are_enqueued() {
    let home = Home::new();
    let lines = "{\"class\": \"A\"}\n".repeat(2_500);
    let ran = home.run_with(&["enqueue"], lines.as_bytes()).ok().says("2,500 jobs enqueued");
    assert_eq!(ran.out.lines().count(), 2_500);
}
