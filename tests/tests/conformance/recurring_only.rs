//! Owners with one recurring task each, and what tells that a task was edited or has run.

use crate::support::{Db, conformance};
use gritstone_store::{NewTask, PutTask, RAILS, TaskSchedule};
use std::time::Duration;

conformance!(
    the_only_task_of_an_owner_is_put_and_its_others_go,
    a_key_that_is_taken_changes_nothing,
    a_key_may_change_its_case,
    edits_and_runs_are_news_and_nothing_else_is,
);

fn task(key: &str) -> NewTask {
    NewTask::new(key, TaskSchedule::Cron("0 9 * * * Etc/UTC".into()), "Report")
}

async fn keys(db: &Db) -> Vec<String> {
    db.session().await.tasks().await.unwrap().into_iter().map(|task| task.key).collect()
}

async fn the_only_task_of_an_owner_is_put_and_its_others_go(db: Db) {
    let mut session = db.session().await;
    session.put_task("other", &task("theirs")).await.unwrap();
    assert_eq!(session.put_only_task("one", &task("a")).await.unwrap(), Ok(PutTask::Created));
    assert_eq!(session.put_only_task("one", &task("a")).await.unwrap(), Ok(PutTask::Unchanged));
    assert_eq!(session.put_only_task("one", &task("b")).await.unwrap(), Ok(PutTask::Created));
    assert_eq!(keys(&db).await, ["b", "theirs"]);
    let every = TaskSchedule::Every { every: Duration::from_secs(60), offset: Duration::ZERO };
    let changed = NewTask { schedule: every, ..task("b") };
    assert_eq!(session.put_only_task("one", &changed).await.unwrap(), Ok(PutTask::Changed));
    assert_eq!(db.count("recurring_tasks").await, 1);
    assert!(session.put_only_task(RAILS, &task("c")).await.is_err());
}

async fn a_key_that_is_taken_changes_nothing(db: Db) {
    let mut session = db.session().await;
    session.put_only_task("one", &task("a")).await.unwrap().unwrap();
    session.put_only_task("two", &task("b")).await.unwrap().unwrap();
    let before = session.schedule_news().await.unwrap();
    let taken = session.put_only_task("two", &task("a")).await.unwrap().unwrap_err();
    assert_eq!((taken.key.as_str(), taken.owner.as_str()), ("a", "one"));
    assert_eq!(keys(&db).await, ["a", "b"]);
    assert!(session.schedule_news().await.unwrap().none_since(&before));
}

async fn a_key_may_change_its_case(db: Db) {
    let mut session = db.session().await;
    session.put_only_task("one", &task("Report")).await.unwrap().unwrap();
    assert_eq!(session.put_only_task("one", &task("report")).await.unwrap(), Ok(PutTask::Created));
    assert_eq!(keys(&db).await, ["report"]);
    assert_eq!(db.count("recurring_tasks").await, 1);
}

async fn edits_and_runs_are_news_and_nothing_else_is(db: Db) {
    let mut session = db.session().await;
    let empty = session.schedule_news().await.unwrap();
    session.put_only_task("one", &task("a")).await.unwrap().unwrap();
    let put = session.schedule_news().await.unwrap();
    assert!(!put.none_since(&empty));
    session.put_only_task("one", &task("a")).await.unwrap().unwrap();
    assert!(session.schedule_news().await.unwrap().none_since(&put));
    session.run_task_now("a").await.unwrap();
    let run = session.schedule_news().await.unwrap();
    assert!(!run.none_since(&put));
    session.run_task_now("a").await.unwrap();
    assert!(!session.schedule_news().await.unwrap().none_since(&run));
}
