//! Rows that were written by hand, or by a program that knows half of the tables.

use super::started::Started;
use crate::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::{Sql, until};
use gritstone_tests::servers::Engine;

const NOW: &str = "'2026-11-25 16:00:00'";

/// A job with this in its `arguments`, in no state.
async fn half(sql: &mut Sql, id: i64, arguments: &str, rest: &str) {
    let columns = "id, queue_name, class_name, arguments, created_at, updated_at, finished_at";
    sql.run(&format!(
        "insert into solid_queue_jobs ({columns}) values ({id}, 'default', 'A', {arguments}, {NOW}, {NOW}, {rest})"
    ))
    .await
    .unwrap();
}

/// The same, ready.
async fn ready(sql: &mut Sql, id: i64, arguments: &str, rest: &str) {
    half(sql, id, arguments, rest).await;
    let insert = "insert into solid_queue_ready_executions (job_id, queue_name, priority, created_at)";
    sql.run(&format!("{insert} values ({id}, 'default', 0, {NOW})")).await.unwrap();
}

async fn sql(home: &Home) -> Sql {
    Sql::connect(Engine::Sqlite, home.url()).await.unwrap()
}

/// The end of the jobs with these ids, each waited for.
async fn becomes(home: &Home, ids: std::ops::RangeInclusive<i64>, state: JobState) {
    for id in ids {
        until(&format!("job {id} is {state:?}"), async || home.state(id).await.filter(|now| *now == state)).await;
    }
}

#[tokio::test]
async fn rows_whose_arguments_cant_be_read() {
    let home = Home::new();
    let mut sql = sql(&home).await;
    let texts = ["'oops'", "'[1, 2]'", r#"'{"arguments": {"a": 1}}'"#, r#"'{"arguments": [], "executions": "many"}'"#];
    for (id, text) in (1..).zip(texts) {
        ready(&mut sql, id, text, "null").await;
    }
    let started = Started::on(home, &["--command", "/bin/true"]);
    becomes(&started.home, 1..=4, JobState::Failed).await;
    let home = &started.home;
    for id in 1..=4 {
        let job = home.job(id).await.unwrap();
        let error = job.error.unwrap();
        assert_eq!(error.exception_class, "Gritstone::UnreadableJob");
        assert!(error.message.contains("the job's row can't be read"), "{error:?}");
    }
    home.run(&["jobs", "show", "1"]).ok().prints("arguments (not as Active Job writes them):\noops");
}

#[tokio::test]
async fn rows_that_say_less_than_ours() {
    let home = Home::new();
    let mut sql = sql(&home).await;
    let texts = ["null", "'{}'", r#"'{"job_class": "Another"}'"#];
    for (id, text) in (1..).zip(texts) {
        ready(&mut sql, id, text, "null").await;
    }
    // A document is printed by each: without an id of its own, the row's number stands for it.
    let started = Started::on(home, &["--command", "sh -c 'cat >> seen; echo >> seen'"]);
    becomes(&started.home, 1..=3, JobState::Finished).await;
    let seen = std::fs::read_to_string(started.home.path("seen")).unwrap();
    for id in 1..=3 {
        let document = seen.lines().find(|line| line.contains(&format!(r#""id":"{id}""#))).unwrap();
        assert!(document.contains(r#""class":"A""#) && document.contains(r#""arguments":[]"#), "{document}");
    }
}

#[tokio::test]
async fn a_row_in_no_state() {
    let home = Home::new();
    half(&mut sql(&home).await, 1, "'{}'", "null").await;
    home.run(&["jobs", "list"]).ok().prints("in no state: its execution was deleted");
    home.run(&["jobs", "discard", "1"]).ok();
    assert_eq!(home.state(1).await, None);
}

#[tokio::test]
async fn a_recurring_row_that_cant_be_read() {
    let home = Home::new();
    let columns = "key, schedule, class_name, arguments, static, created_at, updated_at";
    let insert = format!("insert into solid_queue_recurring_tasks ({columns}) values");
    let rows = [("moon", "every blue moon", "[]"), ("oops", "* * * * * *", "oops"), ("good", "* * * * * *", "[]")];
    for (key, schedule, arguments) in rows {
        let row = format!("('{key}', '{schedule}', 'A', '{arguments}', 0, {NOW}, {NOW})");
        sql(&home).await.run(&format!("{insert} {row}")).await.unwrap();
    }
    let manifests = "apiVersion: gritstone.dev/v1alpha1\nkind: Dispatcher\nmetadata: {name: main}\n\
                     spec: {scheduler: {dynamicTasks: true}}\n";
    let manifest = home.write("main.yaml", manifests);
    let started = Started::on(home, &["-f", manifest.to_str().unwrap()]);
    started.says("its schedule can't be read: `blue` is not a word of schedules").await;
    started.says("its arguments are no JSON array").await;
    let good = async || {
        let runs = "select 1 from solid_queue_recurring_executions where task_key = 'good'";
        (!sql(&started.home).await.rows(runs).await.unwrap().is_empty()).then_some(())
    };
    until("the task beside them runs", good).await;
}
