//! The same walk through every subcommand on each server: what SQLite's cases found must hold there too.

use super::support::Home;
use gritstone_store::{JobState, NewBatch, NewJob, Verdict};
use gritstone_tests::servers::{Engine, Server};
use serde_json::json;

async fn walk(server: Server) {
    let home = Home::on(Engine::Server(server)).await;
    home.enqueue("A", 1_100);
    home.fail(600).await;
    let listed = home.run(&["jobs", "list", "--state", "failed", "--all", "--json"]).ok().json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 600);
    let id = listed["jobs"][0]["id"].as_str().unwrap().to_owned();
    home.run(&["jobs", "show", &id]).ok().prints("Oops: it broke");
    home.run(&["jobs", "retry", &id]).ok().prints("ready");
    let retried = home.run(&["jobs", "retry", "--state", "failed", "--all", "--json"]).ok().json();
    assert_eq!((&retried["selected"], &retried["ready"]), (&json!(599), &json!(599)));
    home.end(100, Verdict::Done).await;
    home.run(&["clear", "--keep", "10", "--pause", "0s"]).ok().prints("90 finished jobs cleared");
    home.run(&["jobs", "discard", "--class", "A", "--all"]).ok().prints("1,000 jobs: 1,000 discarded");

    home.run(&["limits", "set", "account", "--to", "1"]).ok();
    for _ in 0..3 {
        home.run(&["enqueue", "Sync", "--limit-key", "account/7", "--queue", "mail"]).ok();
    }
    let keys = home.run(&["limits", "list", "--json"]).ok().json();
    assert_eq!(keys["keys"][0], json!({"key": "account/7", "to": 1, "free": 0, "held": 1, "blocked": 2}));
    let sync = home.run(&["jobs", "list", "--class", "Sync", "--json"]).ok().json();
    let first = sync["jobs"][0]["job_id"].to_string();
    home.run(&["jobs", "discard", &first]).ok();
    let second = sync["jobs"][1]["job_id"].as_i64().unwrap();
    assert_eq!(home.state(second).await, Some(JobState::Ready));
    home.run(&["jobs", "run-now", "--state", "blocked", "--queue", "mail", "--all"]).ok().prints("1 job: 1 ready");

    home.run(&["queues", "pause", "mail"]).ok().prints("mail is paused");
    let queues = home.run(&["queues", "list", "--json"]).ok().json();
    let mail = queues["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "mail").unwrap();
    assert_eq!((&mail["ready"], &mail["paused"]), (&json!(2), &json!(true)));
    home.run(&["queues", "resume", "mail"]).ok();
    home.claim(1).await;
    home.run(&["processes", "list"]).ok().prints("Worker");
    home.run(&["processes", "prune"]).ok().prints("nothing was pruned");

    let mut session = home.session().await;
    let batch = session.create_batch(&NewBatch::default()).await.unwrap();
    let member = NewJob { batch: Some(batch.clone()), ..NewJob::new("Member", vec![]) };
    session.enqueue(&[member]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    home.run(&["jobs", "discard", "--class", "Member", "--all"]).ok();
    home.run(&["batches", "show", &batch.id.to_string()]).ok().prints("finished");
    home.run(&["migrate", "--dry-run"]).ok().prints("there already");
}

#[tokio::test]
async fn postgres() {
    walk(Server::Postgres).await;
}

#[tokio::test]
async fn mariadb() {
    walk(Server::MariaDb).await;
}

#[tokio::test]
async fn mysql() {
    walk(Server::MySql).await;
}

#[tokio::test]
async fn postgres_tells_workers_before_the_command_ends() {
    let home = Home::on(Engine::Server(Server::Postgres)).await;
    let mut wakeups = home.store().await.wakeups();
    // The listener connects at the first look; until then nothing can be heard.
    let heard = tokio::spawn(async move { wakeups.next().await });
    gritstone_tests::rig::until("the listener has heard of a job", async || {
        home.run(&["enqueue", "A", "--queue", "mail"]).ok();
        heard.is_finished().then_some(())
    })
    .await;
    assert_eq!(heard.await.unwrap(), gritstone_store::News::Queues(vec!["mail".into()]));
}
