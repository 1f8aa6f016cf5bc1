//! `gritstone queues`.

use super::support::Home;

#[tokio::test]
async fn list_counts_jobs_by_state() {
    let home = Home::new();
    home.run(&["queues", "list"]).ok().says("there are no queues yet");
    home.enqueue("A", 3);
    home.fail(1).await;
    home.run(&["enqueue", "B", "--queue", "mail", "--in", "1h"]).ok();
    let queues = home.run(&["queues", "list", "--json"]).ok().json();
    let (default, mail) = (&queues["queues"][0], &queues["queues"][1]);
    assert_eq!((&default["name"], &default["ready"], &default["failed"]), (&"default".into(), &2.into(), &1.into()));
    assert_eq!((&mail["name"], &mail["scheduled"], &mail["paused"]), (&"mail".into(), &1.into(), &false.into()));
    home.run(&["queues", "list"]).ok().prints("QUEUE    READY");
}

#[tokio::test]
async fn pause_holds_until_resume() {
    let home = Home::new();
    home.enqueue("A", 1);
    home.run(&["queues", "pause", "default", "unknown"])
        .ok()
        .prints("default is paused")
        .prints("unknown is paused")
        .prints("(no job is on it at present)");
    assert!(home.claim(1).await.1.len() <= 1);
    home.run(&["queues", "pause", "default"]).ok().prints("default was paused already");
    home.run(&["queues", "list"]).ok().prints("paused");
    let resumed = home.run(&["queues", "resume", "default", "never", "--json"]).ok().json();
    assert_eq!(resumed["queues"][0]["changed"], true);
    assert_eq!(resumed["queues"][1]["changed"], false);
    home.run(&["queues", "resume", "default"]).ok().prints("default was not paused");
}

#[tokio::test]
async fn jobs_that_nobody_would_claim_are_told_with_what_to_do() {
    let home = Home::new();
    home.enqueue("A", 2);
    home.run(&["queues", "list"]).ok().prints("UNSERVED").prints("unserved: A").says("2 jobs wait, and no worker runs");
    // It says that it serves `default,mail*`.
    home.claim(0).await;
    home.run(&["queues", "list"]).ok().prints("default");
    let queues = home.run(&["queues", "list", "--json"]).ok().json();
    assert_eq!(queues["queues"][0]["unserved"], serde_json::Value::Null);
    home.run(&["enqueue", "Report", "--queue", "reports"]).ok();
    home.run(&["enqueue", "Command", "--queue", "mail", "--args", "\"true\""]).ok();
    home.run(&["queues", "list"])
        .ok()
        .says("1 job waits on reports, which no running worker serves: name the queue in a worker's `queues`")
        .says("1 job waits on mail, of class Command, which no worker of the queue may run: say `allowCommands: true`")
        .says("gritstone processes list");
    let queues = home.run(&["queues", "list", "--json"]).ok().json();
    let reports = serde_json::json!({"jobs": 1, "exact": true, "classes": ["Report"], "reason": "queue"});
    assert_eq!(queues["queues"][2]["unserved"], reports);
    assert_eq!(queues["queues"][1]["unserved"]["reason"], "commands");
}
