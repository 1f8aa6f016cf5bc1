//! Programs that run jobs and don't do as the protocol says.

use super::started::Started;
use crate::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::{processes, until};

/// Does what a job's argument says, as a `command` and as a `process`.
const ODD: &str = r#"
import json, os, subprocess, sys, time

def say(claim, outcome):
    print(json.dumps({"claim": claim, "outcome": outcome}), flush=True)

for line in sys.stdin:
    job = json.loads(line)
    if "cancel" in job:
        continue
    claim, how = job["claim"], job["arguments"][0]
    with open("pids", "a") as pids:
        pids.write(f"{os.getpid()}\n")
    if how == "silent":
        time.sleep(1000)
    elif how == "twice":
        say(claim, "done")
        say(claim, "fail")
    elif how == "for another":
        say(claim + 1, "fail")
        say(claim, "done")
    elif how == "gigabyte":
        for _ in range(1024):
            sys.stdout.write("x" * (1 << 20))
        print()
        say(claim, "done")
    elif how == "leave a child":
        with open("pids", "a") as pids:
            pids.write(f"{subprocess.Popen(['sleep', '1000']).pid}\n")
        say(claim, "done")
    elif how == "garbage":
        print("{oops", flush=True)
        sys.exit()
"#;

/// The transports of programs, in manifests.
const COMMAND: &str = "{command: {command: [python3, odd.py]}}";
const PROCESS: &str = "{process: {command: [python3, odd.py]}}";

/// The worker may have so much in memory, whatever comes.
const MOST_MEMORY: u64 = 200_000_000;

/// A queue with a job of each of these manners, and a worker for it.
fn odd(manners: &[&str], handler: &str, rest: &str) -> Started {
    let home = Home::new();
    home.write("odd.py", ODD);
    for manner in manners {
        home.run(&["enqueue", "A", "--args", &serde_json::json!([manner]).to_string()]).ok();
    }
    Started::handler(home, handler, rest)
}

fn pids(started: &Started) -> Vec<i32> {
    let text = std::fs::read_to_string(started.home.path("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

async fn all_gone(pids: &[i32]) {
    until("they are gone", async || (!pids.iter().any(|pid| processes::is_alive(*pid))).then_some(())).await;
}

#[tokio::test]
async fn a_program_that_is_not_there() {
    let started = Started::with(&["--command", "./mispelt"]);
    started.says("claiming waits 2s: the handler's program \"./mispelt\" is not there, or may not be run").await;
    assert_eq!(started.home.state(1).await, Some(JobState::Ready));
}

#[tokio::test]
async fn a_handler_that_never_answers() {
    for handler in [COMMAND, PROCESS] {
        let started = odd(&["silent"], handler, "jobTimeout: 1s,");
        let error = started.failure().await;
        assert_eq!(error.exception_class, "Gritstone::JobTimeout");
        assert!(error.message.contains("was not done by its deadline"), "{error:?}");
        all_gone(&pids(&started)).await;
    }
}

#[tokio::test]
async fn a_handler_that_answers_twice() {
    let started = odd(&["twice", "twice"], PROCESS, "");
    started.says("ignored a line for another claim").await;
    started.becomes(JobState::Finished).await;
    let started = odd(&["twice"], COMMAND, "");
    started.becomes(JobState::Failed).await;
}

#[tokio::test]
async fn a_handler_that_answers_for_another_job() {
    for handler in [COMMAND, PROCESS] {
        let started = odd(&["for another", "for another"], handler, "");
        started.says("ignored a line for another claim").await;
        started.becomes(JobState::Finished).await;
    }
}

#[tokio::test]
async fn a_handler_that_prints_a_gigabyte() {
    for handler in [COMMAND, PROCESS] {
        let started = odd(&["gigabyte"], handler, "");
        started.becomes(JobState::Finished).await;
        started.says("skipped a line of output that was too long to read").await;
        assert!(started.peak() < MOST_MEMORY, "{} bytes", started.peak());
    }
}

#[tokio::test]
async fn a_handler_that_leaves_children() {
    let started = odd(&["leave a child"], COMMAND, "");
    started.becomes(JobState::Finished).await;
    all_gone(&pids(&started)).await;

    let recycled = "{process: {command: [python3, odd.py], recycleAfter: {jobs: 1}}}";
    let mut started = odd(&["leave a child", "leave a child"], recycled, "");
    until("both have run", async || (pids(&started).len() == 4).then_some(())).await;
    let pids = pids(&started);
    assert_ne!(pids[0], pids[2]);
    all_gone(&pids[..2]).await;
    started.stop();
    all_gone(&pids).await;
}

#[tokio::test]
async fn a_handler_that_exits_with_garbage() {
    let started = odd(&["garbage"], COMMAND, "");
    started.says("{oops").await;
    started.becomes(JobState::Finished).await;
    let started = odd(&["garbage"], PROCESS, "");
    let error = started.failure().await;
    assert_eq!(error.exception_class, "Gritstone::HandlerCrashed");
    assert_eq!(error.message, "the handler's process exited with status 0");
}
