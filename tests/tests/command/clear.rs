//! `gritstone clear`.

use super::support::Home;
use gritstone_store::{JobState, Verdict};
use gritstone_tests::rig::Sql;
use gritstone_tests::servers::Engine;

async fn let_a_week_pass(home: &Home, job_ids: &str) {
    let mut sql = Sql::connect(Engine::Sqlite, home.url()).await.unwrap();
    let past = format!("update solid_queue_jobs set finished_at = '2020-01-01 00:00:00' where id in ({job_ids})");
    sql.run(&past).await.unwrap();
}

#[tokio::test]
async fn what_finished_over_a_day_ago_goes() {
    let home = Home::new();
    home.enqueue("A", 2);
    home.enqueue("B", 1);
    home.end(3, Verdict::Done).await;
    home.run(&["clear"]).ok().prints("0 finished jobs cleared");
    let_a_week_pass(&home, "1, 3").await;
    home.run(&["clear", "--class", "A"]).ok().prints("1 finished job cleared");
    assert_eq!((home.state(1).await, home.state(2).await), (None, Some(JobState::Finished)));
    assert_eq!(home.run(&["clear", "--json"]).ok().json(), serde_json::json!({"cleared": 1}));
}

#[tokio::test]
async fn keep_goes_by_number_and_batches_go_on_to_the_end() {
    let home = Home::new();
    home.enqueue("A", 10);
    home.end(10, Verdict::Done).await;
    home.run(&["clear", "--keep", "3", "--batch-size", "2", "--pause", "0s"]).ok().prints("7 finished jobs cleared");
    let left = home.run(&["jobs", "list", "--json"]).ok().json();
    assert_eq!(left["jobs"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn failed_jobs_stay() {
    let home = Home::new();
    home.enqueue("A", 1);
    home.fail(1).await;
    home.run(&["clear", "--older-than", "0s"]).ok();
    assert_eq!(home.state(1).await, Some(JobState::Failed));
}
