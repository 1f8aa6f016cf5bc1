//! `gritstone recurring`.

use super::support::Home;
use gritstone_store::{JobState, MissedRuns, NewTask, TaskSchedule};
use gritstone_tests::rig::Sql;
use gritstone_tests::servers::Engine;
use serde_json::json;

/// A database with a yearly task and one that Rails runs.
async fn home() -> Home {
    let home = Home::new();
    let yearly = NewTask::new("reports/yearly", TaskSchedule::Cron("0 0 1 1 * UTC".into()), "Report")
        .arguments(vec![json!(42)])
        .on("reports")
        .missed_runs(MissedRuns::All(3));
    home.session().await.put_task("a test", &yearly).await.unwrap();
    home
}

#[tokio::test]
async fn tasks_are_listed_with_their_next_run() {
    let home = Home::new();
    home.run(&["recurring", "list"]).ok().says("there are no recurring tasks");
    let home = self::home().await;
    home.run(&["recurring", "list"])
        .ok()
        .prints("reports/yearly")
        .prints("0 0 1 1 * UTC")
        .prints("-01-01T00:00:00Z (in ");
    let tasks = home.run(&["recurring", "list", "--json"]).ok().json();
    let task = &tasks["tasks"][0];
    assert!(task["next_run_at"].as_str().unwrap().ends_with("-01-01T00:00:00Z"), "{task}");
    let mut fixed = task.clone();
    fixed["next_run_at"] = json!("...");
    assert_eq!(
        fixed,
        json!({
            "key": "reports/yearly", "owner": "a test", "standing": "ours", "cron": "0 0 1 1 * UTC", "every_seconds": null,
            "offset_seconds": null, "class": "Report", "command": null, "arguments": [42], "queue": "reports", "priority": null,
            "description": null, "missed_runs": "all", "missed_limit": 3, "suspended": false, "suspended_by_hand": false,
            "next_run_at": "...", "last_run_at": null,
        })
    );
}

#[tokio::test]
async fn a_task_runs_by_hand_also_while_it_rests() {
    let home = home().await;
    home.run(&["recurring", "suspend", "reports/yearly"]).ok().prints("reports/yearly is suspended");
    home.run(&["recurring", "suspend", "reports/yearly"]).ok().prints("was suspended already");
    let ran = home.run(&["recurring", "run", "reports/yearly", "--json"]).ok().json();
    let job = home.job(ran["job_id"].as_i64().unwrap()).await.unwrap();
    assert_eq!((job.class.as_str(), job.queue.as_str(), job.state), ("Report", "reports", JobState::Ready));
    let shown = home.run(&["recurring", "show", "reports/yearly", "--json"]).ok().json();
    assert_eq!(shown["last_job"]["job_id"], ran["job_id"]);
    assert_eq!((&shown["suspended_by_hand"], &shown["next_run_at"]), (&json!(true), &json!(null)));
    home.run(&["recurring", "show", "reports/yearly"]).ok().prints("suspended by hand").prints("a test");
    let resumed = home.run(&["recurring", "resume", "reports/yearly", "--json"]).ok().json();
    let expected = json!({"key": "reports/yearly", "suspended_by_hand": false, "changed": true, "suspended": false});
    assert_eq!(resumed["tasks"], json!([expected]));
}

#[tokio::test]
async fn a_task_whose_owner_is_gone_is_removed_and_none_of_rails() {
    let home = home().await;
    let mut sql = Sql::connect(Engine::Sqlite, home.url()).await.unwrap();
    sql.run(
        "insert into solid_queue_recurring_tasks (key, schedule, class_name, command, static, created_at, updated_at) values \
         ('dynamic', 'every year', 'A', null, 0, '2026-01-01', '2026-01-01'), \
         ('static', 'every year', 'A', null, 1, '2026-01-01', '2026-01-01'), \
         ('ruby', 'every year', null, 'A.a', 1, '2026-01-01', '2026-01-01')",
    )
    .await
    .unwrap();
    home.session().await.follow_rails_tasks().await.unwrap();
    let remove = |keys: &[&str]| home.run(&[&["recurring", "remove"], keys].concat());
    remove(&["reports/yearl"]).code(1).says("did you mean `reports/yearly`?");
    remove(&["reports/yearly", "dynamic"]).code(1).says("SolidQueue.unschedule_recurring_task there removes it");
    remove(&["static"]).code(1).says("the recurring task static belongs to Rails: it is in its config/recurring.yml");
    remove(&["ruby"]).code(1).says("it is Ruby out of its config/recurring.yml: remove it there");
    let keys = async || {
        let tasks = home.run(&["recurring", "list", "--json"]).ok().json();
        let keys = tasks["tasks"].as_array().unwrap().iter().map(|task| task["key"].as_str().unwrap().to_owned());
        keys.collect::<Vec<_>>()
    };
    assert_eq!(keys().await, ["dynamic", "reports/yearly", "ruby", "static"], "one that is refused keeps all");
    remove(&["reports/yearly"]).ok().prints("reports/yearly of a test is removed");
    assert_eq!(keys().await, ["dynamic", "ruby", "static"]);

    let there = home.write("tasks.yaml", "").to_str().unwrap().to_owned();
    let task = NewTask::new("k", TaskSchedule::Cron("0 0 1 1 * UTC".into()), "A");
    home.session().await.put_task(&there, &task).await.unwrap();
    let removed = home.run(&["recurring", "remove", "k", "--json"]).ok().json();
    assert_eq!(removed["tasks"], json!([{"key": "k", "owner": there, "removed": true}]));
    home.session().await.put_task(&there, &task).await.unwrap();
    remove(&["k"]).ok().says("if it still has k, the next start with it puts it again");
}
