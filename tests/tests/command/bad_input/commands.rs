//! Texts for the shell that are none, fail, print a lot, or leave something behind.

use crate::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::{processes, until};
use serde_json::json;

fn enqueue(home: &Home, text: &str) {
    home.run(&["enqueue", "Command", "--args", &json!([text]).to_string()]).ok();
}

#[tokio::test]
async fn a_command_that_is_no_text() {
    let home = Home::new();
    for arguments in ["[]", "[1]", "[\"a\", \"b\"]", "{\"text\": \"a\"}"] {
        let refused = home.run(&["enqueue", "Command", "--args", arguments]).code(1);
        refused.says("a Command takes one argument, a text for the shell");
    }
    // What others write is found out only when it runs.
    home.run(&["enqueue", "Other", "--queue", "gritstone_commands", "--args", "[1]"]).ok();
    gritstone_tests::rig::Sql::connect(gritstone_tests::servers::Engine::Sqlite, home.url())
        .await
        .unwrap()
        .run("update solid_queue_jobs set class_name = 'Command'")
        .await
        .unwrap();
    let _worker = home.start(&["start", "--allow-commands"]);
    home.becomes(1, JobState::Failed).await;
    let error = home.job(1).await.unwrap().error.unwrap();
    assert_eq!(error.exception_class, "Gritstone::InvalidArguments");
    assert!(error.message.contains("a Command takes one text, for the shell"), "{}", error.message);
}

#[tokio::test]
async fn a_command_that_fails() {
    let home = Home::new();
    enqueue(&home, "echo no such thing >&2; exit 65");
    enqueue(&home, "exit 3");
    enqueue(&home, "exit 75");
    let _worker = home.start(&["start", "--allow-commands"]);
    home.becomes(1, JobState::Failed).await;
    home.becomes(2, JobState::Failed).await;
    home.becomes(3, JobState::Scheduled).await;
    home.run(&["jobs", "show", "1"]).ok().prints("exited with status 65: no such thing");
}

#[tokio::test]
async fn a_command_that_prints_a_lot() {
    let home = Home::new();
    enqueue(&home, "head -c 250000000 /dev/zero | tr '\\0' x; head -c 250000000 /dev/zero | tr '\\0' y >&2");
    let worker = home.start(&["work", "--allow-commands", "--log", "warn"]);
    let mut most = 0;
    until("it is done", async || {
        most = most.max(processes::memory(worker.pid()).unwrap_or_default());
        home.state(1).await.filter(|state| *state == JobState::Finished)
    })
    .await;
    assert!((1..200 << 20).contains(&most), "{most} bytes");
}

#[tokio::test]
async fn a_command_that_leaves_children_behind() {
    let home = Home::new();
    let pids = home.path("pids");
    enqueue(
        &home,
        &format!("sleep 300 & (sleep 300 & echo $!; exec sleep 300) > '{0}' & echo $! > '{0}.2'", pids.display()),
    );
    let _worker = home.start(&["start", "--allow-commands"]);
    home.becomes(1, JobState::Finished).await;
    let pid: i32 = std::fs::read_to_string(home.path("pids.2")).unwrap().trim().parse().unwrap();
    until("what it left is gone", async || (!processes::is_alive(pid)).then_some(())).await;
}
