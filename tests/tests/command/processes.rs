//! `gritstone processes`.

use super::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::Sql;
use gritstone_tests::servers::Engine;

#[tokio::test]
async fn list_shows_who_works() {
    let home = Home::new();
    home.run(&["processes", "list"]).ok().says("no process works on this queue");
    home.enqueue("A", 2);
    home.claim(2).await;
    home.run(&["processes", "list"]).ok().prints("Worker").prints("default,mail*").prints("s ago");
    let processes = home.run(&["processes", "list", "--json"]).ok().json();
    assert_eq!(processes["processes"][0]["claimed"], 2);
}

#[tokio::test]
async fn prune_gives_the_jobs_of_the_dead_to_others() {
    let home = Home::new();
    home.enqueue("A", 1);
    home.claim(1).await;
    home.run(&["processes", "prune"]).ok().prints("nothing was pruned");
    assert_eq!(home.state(1).await, Some(JobState::Claimed));
    let mut sql = Sql::connect(Engine::Sqlite, home.url()).await.unwrap();
    sql.run("update solid_queue_processes set last_heartbeat_at = '2020-01-01 00:00:00'").await.unwrap();
    home.run(&["processes", "prune", "--older-than", "1h"]).ok().prints("pruned: 1 job ready again, 0 failed");
    assert_eq!(home.state(1).await, Some(JobState::Ready));
    let nothing = home.run(&["processes", "prune", "--json"]).ok().json();
    assert_eq!(nothing, serde_json::json!({"pruned": [], "orphans": []}));
}

#[tokio::test]
async fn claims_without_a_process_are_recovered_too() {
    let home = Home::new();
    home.enqueue("A", 1);
    home.claim(1).await;
    let mut sql = Sql::connect(Engine::Sqlite, home.url()).await.unwrap();
    sql.run("delete from solid_queue_processes").await.unwrap();
    home.run(&["processes", "prune"]).ok().prints("claims without a process: 1 job ready again");
    assert_eq!(home.state(1).await, Some(JobState::Ready));
}
