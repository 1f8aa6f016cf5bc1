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
