//! Recurring tasks: each run enqueues one job, and nobody touches what is another's.

use crate::support::{Db, conformance};
use gritstone_store::{
    DueTask, Error, JobState, MissedRuns, NewTask, PutTask, RAILS, RanTask, TaskSchedule, TaskStanding,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    putting_a_task_again_changes_nothing_and_another_one_changes_it,
    a_key_of_somebody_else_is_refused,
    an_owners_tasks_are_replaced_and_nobody_elses,
    an_interval_lives_in_our_table_alone,
    a_run_is_one_job_with_the_tasks_arguments,
    a_run_happens_once_whatever_is_cleared,
    racing_schedulers_make_each_run_once,
    a_run_that_rails_made_is_not_made_again,
    a_run_of_another_schedule_or_of_the_future_is_not_made,
    a_task_that_rests_makes_no_runs_and_misses_none,
    a_run_by_hand_leaves_the_schedule_as_it_was,
    rails_tasks_are_left_alone_unless_followed,
    a_task_that_rails_overwrites_is_rails,
    a_task_of_rails_own_file_shares_the_row_that_rails_writes,
    a_task_is_seen_once_at_any_time_while_it_is_taken_over,
    a_static_row_is_nobodys_but_for_tasks_of_rails_own_file,
    every_edit_is_noticed_and_no_run_is_one,
);

const CRON: &str = "* * * * * * Etc/UTC";

fn cron() -> TaskSchedule {
    TaskSchedule::Cron(CRON.into())
}

fn task(key: &str) -> NewTask {
    NewTask::new(key, cron(), "Report")
}

fn due(key: &str, run_at: Timestamp) -> DueTask {
    DueTask { key: key.into(), run_at, schedule: cron() }
}

fn key_column(db: &Db) -> &'static str {
    if db.is_mysql() { "`key`" } else { "\"key\"" }
}

/// A task whose runs of the last hour are still to be made; the whole second from which they are counted.
async fn an_hour_behind(db: &Db, key: &str) -> Timestamp {
    let mut session = db.session().await;
    session.put_task("test", &task(key)).await.unwrap();
    db.run(&format!("update gritstone_schedule set run_after = {}", db.seconds_from_now(-3600))).await;
    let since = session.task(key).await.unwrap().unwrap().run_after.unwrap();
    Timestamp::from_second(since.as_second() + 1).unwrap()
}

fn seconds_after(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

async fn putting_a_task_again_changes_nothing_and_another_one_changes_it(db: Db) {
    let first = task("a/b").arguments(vec![json!(1), json!({"to": "joe"})]).on("mail").priority(5);
    assert_eq!(db.store.put_task("test", &first).await.unwrap(), PutTask::Created);
    assert_eq!(db.store.put_task("test", &first).await.unwrap(), PutTask::Unchanged);
    let other = NewTask { missed_runs: MissedRuns::All(7), ..task("a/b") };
    assert_eq!(db.store.put_task("test", &other).await.unwrap(), PutTask::Changed);
    assert_eq!(db.count("recurring_tasks").await, 1);
    let found = db.session().await.task("a/b").await.unwrap().unwrap();
    assert_eq!((found.queue, found.arguments, found.missed_runs), (None, None, MissedRuns::All(7)));
    assert_eq!(db.int("select count(*) from solid_queue_recurring_tasks where command is null").await, 1);
    assert!(db.store.remove_task("test", "a/b").await.unwrap());
    assert!(!db.store.remove_task("test", "a/b").await.unwrap());
    assert_eq!(db.count("recurring_tasks").await, 0);
}

async fn a_key_of_somebody_else_is_refused(db: Db) {
    db.store.put_task("one", &task("k")).await.unwrap();
    for refused in [
        db.store.put_task("two", &task("k")).await.map(drop),
        db.store.remove_task("two", "k").await.map(drop),
        db.store.put_task(RAILS, &task("other")).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
    assert_eq!(db.store.put_task("one", &task("k")).await.unwrap(), PutTask::Unchanged);
    if db.is_mysql() {
        let error = db.store.put_task("one", &task("K")).await.unwrap_err().to_string();
        assert!(error.contains("takes for the same key"), "{error}");
    }
}

async fn an_owners_tasks_are_replaced_and_nobody_elses(db: Db) {
    let mut session = db.session().await;
    session.put_task("library", &task("theirs")).await.unwrap();
    let done = session.replace_tasks("files", &[task("a"), task("b"), task("theirs")]).await.unwrap();
    assert_eq!((done.created, done.removed), (vec!["a".into(), "b".into()], vec![]));
    assert_eq!((done.taken[0].key.as_str(), done.taken[0].owner.as_str()), ("theirs", "library"));
    let done = session.replace_tasks("files", &[task("b").on("other"), task("c")]).await.unwrap();
    assert_eq!((done.created, done.changed, done.removed), (vec!["c".into()], vec!["b".into()], vec!["a".into()]));
    session.replace_tasks("files", &[]).await.unwrap();
    let left: Vec<String> = session.tasks().await.unwrap().into_iter().map(|task| task.key).collect();
    assert_eq!(left, ["theirs"]);
    assert!(session.replace_tasks("files", &[task("a"), task("a")]).await.is_err());
}

async fn an_interval_lives_in_our_table_alone(db: Db) {
    let schedule = TaskSchedule::Every { every: Duration::from_secs(5_400), offset: Duration::from_secs(300) };
    let interval = NewTask::new("k", schedule.clone(), "Report").arguments(vec![json!("x")]);
    let mut session = db.session().await;
    session.put_task("test", &interval).await.unwrap();
    assert_eq!(db.count("recurring_tasks").await, 0);
    assert_eq!(session.task("k").await.unwrap().unwrap().schedule, schedule);
    assert_eq!(session.put_task("test", &interval).await.unwrap(), PutTask::Unchanged);
    for (put, rows) in [(task("k"), 1), (interval, 0)] {
        assert_eq!(session.put_task("test", &put).await.unwrap(), PutTask::Changed);
        assert_eq!(db.count("recurring_tasks").await, rows);
    }
    assert_eq!(session.run_task_now("k").await.unwrap().queue, "default");
}

async fn a_run_is_one_job_with_the_tasks_arguments(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let put = task("k").arguments(vec![json!(42), json!({"status": "open"})]).on("reports").priority(3);
    let mut session = db.session().await;
    session.put_task("test", &put).await.unwrap();
    let ran = session.run_tasks(&[due("k", run_at)]).await.unwrap().remove(0);
    let RanTask::Enqueued(job) = ran else { panic!("{ran:?}") };
    assert_eq!(job.queue, "reports");
    let job = db.job(job.job_id).await.unwrap();
    assert_eq!((job.state, job.class.as_str(), job.priority), (JobState::Ready, "Report", 3));
    let envelope: serde_json::Value = serde_json::from_str(&job.envelope.unwrap()).unwrap();
    assert_eq!(envelope["arguments"], json!([42, {"status": "open", "_aj_ruby2_keywords": ["status"]}]));
    let last = session.last_task_runs(&["k".into()]).await.unwrap().remove(0);
    assert_eq!((last.run_at, last.job_id, last.state), (run_at, job.job_id, JobState::Ready));
    if db.is_sqlite() {
        let text = db.text("select run_at from solid_queue_recurring_executions").await;
        assert_eq!(text.len(), "2026-01-01 00:00:00".len(), "{text}: no fraction, as Rails writes it");
    }
}

async fn a_run_happens_once_whatever_is_cleared(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let mut session = db.session().await;
    assert!(matches!(session.run_tasks(&[due("k", run_at)]).await.unwrap()[0], RanTask::Enqueued(_)));
    for clear in ["solid_queue_recurring_executions", "solid_queue_jobs"] {
        db.run(&format!("delete from {clear}")).await;
        for earlier in [run_at, seconds_after(run_at, -5)] {
            assert_eq!(session.run_tasks(&[due("k", earlier)]).await.unwrap(), [RanTask::Already]);
        }
    }
    assert_eq!(db.count("jobs").await, 0);
    session.put_task("test", &task("k").on("other")).await.unwrap();
    assert_eq!(session.run_tasks(&[due("k", run_at)]).await.unwrap(), [RanTask::Already]);
}

async fn racing_schedulers_make_each_run_once(db: Db) {
    const RUNS: i64 = 30;
    let first = an_hour_behind(&db, "k").await;
    let mut schedulers = JoinSet::new();
    for _ in 0..3 {
        let store = db.other_store();
        schedulers.spawn(async move {
            let mut session = store.connect().await.unwrap();
            for run in 0..RUNS {
                session.run_tasks(&[due("k", seconds_after(first, run))]).await.unwrap();
            }
        });
    }
    let clearing = db.other_store();
    schedulers.spawn(async move {
        let mut session = clearing.connect().await.unwrap();
        let options = gritstone_store::ClearOptions { batch_size: 5, ..Default::default() };
        for _ in 0..RUNS {
            session.clear_finished(&options).await.unwrap();
        }
    });
    schedulers.join_all().await;
    assert_eq!((db.count("jobs").await, db.count("recurring_executions").await), (RUNS, RUNS));
    assert_eq!(db.count("ready_executions").await, RUNS);
}

async fn a_run_that_rails_made_is_not_made_again(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let mut session = db.session().await;
    session.run_tasks(&[due("k", run_at)]).await.unwrap();
    // As if Rails' scheduler had made it: ours doesn't know yet.
    db.run(&format!("update gritstone_schedule set run_after = {}", db.seconds_from_now(-7200))).await;
    assert_eq!(session.run_tasks(&[due("k", run_at)]).await.unwrap(), [RanTask::Already]);
    assert_eq!(session.task("k").await.unwrap().unwrap().run_after, Some(run_at));
    assert_eq!(db.count("jobs").await, 1);
}

async fn a_run_of_another_schedule_or_of_the_future_is_not_made(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let mut session = db.session().await;
    let other = DueTask { schedule: TaskSchedule::Cron("0 9 * * * Etc/UTC".into()), ..due("k", run_at) };
    let ahead = due("k", seconds_after(run_at, 7_200));
    let unknown = due("none", run_at);
    for (due, outcome) in [(other, RanTask::Changed), (ahead, RanTask::Early), (unknown, RanTask::Changed)] {
        assert_eq!(session.run_tasks(&[due]).await.unwrap(), [outcome]);
    }
    db.run("update solid_queue_recurring_tasks set arguments = '{'").await;
    assert!(matches!(session.run_tasks(&[due("k", run_at)]).await.unwrap()[0], RanTask::Unreadable(_)));
    assert_eq!(db.count("jobs").await, 0);
}

async fn a_task_that_rests_makes_no_runs_and_misses_none(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let mut session = db.session().await;
    assert!(session.suspend_task("k").await.unwrap());
    assert!(!session.suspend_task("k").await.unwrap());
    assert_eq!(session.run_tasks(&[due("k", run_at)]).await.unwrap(), [RanTask::Changed]);
    // What its owner puts doesn't wake it.
    session.put_task("test", &task("k").on("other")).await.unwrap();
    assert!(session.task("k").await.unwrap().unwrap().suspended_by_hand);
    assert!(session.resume_task("k").await.unwrap());
    assert_eq!(session.run_tasks(&[due("k", run_at)]).await.unwrap(), [RanTask::Already]);
    session.put_task("test", &NewTask { suspended: true, ..task("k") }).await.unwrap();
    assert!(!session.task("k").await.unwrap().unwrap().runs());
    assert!(session.suspend_task("none").await.is_err());
}

async fn a_run_by_hand_leaves_the_schedule_as_it_was(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let mut session = db.session().await;
    let before = session.task("k").await.unwrap().unwrap().run_after;
    db.store.run_task_now("k").await.unwrap();
    session.suspend_task("k").await.unwrap();
    session.run_task_now("k").await.unwrap();
    session.resume_task("k").await.unwrap();
    assert!(session.task("k").await.unwrap().unwrap().last_run_at > before);
    db.run(&format!("update gritstone_schedule set run_after = {}", db.seconds_from_now(-3601))).await;
    assert!(matches!(session.run_tasks(&[due("k", run_at)]).await.unwrap()[0], RanTask::Enqueued(_)));
    assert_eq!((db.count("jobs").await, db.count("recurring_executions").await), (3, 3));
}

async fn rails_puts(db: &Db, key: &str, is_static: i64) {
    let is_static = if db.is_postgres() { (is_static == 1).to_string() } else { is_static.to_string() };
    let now = db.seconds_from_now(0);
    db.run(&format!(
        "insert into solid_queue_recurring_tasks ({}, schedule, class_name, static, created_at, updated_at) \
         values ('{key}', '{CRON}', 'NoopJob', {is_static}, {now}, {now})",
        key_column(db)
    ))
    .await;
}

async fn rails_tasks_are_left_alone_unless_followed(db: Db) {
    rails_puts(&db, "static", 1).await;
    rails_puts(&db, "dynamic", 0).await;
    let mut session = db.session().await;
    assert!(session.tasks().await.unwrap().is_empty());
    assert_eq!(session.all_tasks().await.unwrap().0.len(), 2);
    for key in ["static", "dynamic"] {
        assert_eq!(session.task(key).await.unwrap().unwrap().standing, TaskStanding::Rails);
        assert!(session.put_task("test", &task(key)).await.is_err());
        assert!(session.remove_task("test", key).await.is_err());
        assert!(session.run_task_now(key).await.is_err());
        assert!(session.suspend_task(key).await.is_err());
    }
    session.replace_tasks("files", &[]).await.unwrap();
    assert_eq!(db.count("recurring_tasks").await, 2);
    assert!(session.follow_rails_tasks().await.unwrap());
    assert!(!session.follow_rails_tasks().await.unwrap());
    let followed = session.tasks().await.unwrap();
    assert_eq!(
        (followed.len(), followed[0].key.as_str(), followed[0].standing),
        (1, "dynamic", TaskStanding::Followed)
    );
    db.run("delete from solid_queue_recurring_tasks").await;
    assert!(session.follow_rails_tasks().await.unwrap());
    assert!(session.tasks().await.unwrap().is_empty());
}

async fn a_task_that_rails_overwrites_is_rails(db: Db) {
    let run_at = an_hour_behind(&db, "k").await;
    let is_static = if db.is_postgres() { "true" } else { "1" };
    db.run(&format!("update solid_queue_recurring_tasks set static = {is_static}, class_name = 'NoopJob'")).await;
    let mut session = db.session().await;
    assert_eq!(session.task("k").await.unwrap().unwrap().standing, TaskStanding::Overwritten);
    assert_eq!(session.run_tasks(&[due("k", run_at)]).await.unwrap(), [RanTask::Changed]);
    assert!(session.put_task("test", &task("k")).await.unwrap_err().to_string().contains(RAILS));
    assert!(session.remove_task("test", "k").await.unwrap());
    assert_eq!(db.count("recurring_tasks").await, 1, "the row is Rails'");
    db.run("delete from solid_queue_recurring_tasks").await;
    session.put_task("test", &task("k")).await.unwrap();
    db.run("delete from solid_queue_recurring_tasks").await;
    assert_eq!(session.task("k").await.unwrap().unwrap().standing, TaskStanding::Deleted);
    assert!(session.run_task_now("k").await.is_err());
    assert_eq!(session.put_task("test", &task("k")).await.unwrap(), PutTask::Changed);
    assert_eq!(session.task("k").await.unwrap().unwrap().standing, TaskStanding::Ours);
}

/// A task of `recurring.yml`.
fn of_rails_file(key: &str) -> NewTask {
    let schedule = TaskSchedule::Cron("every day at 9am".into());
    let task = NewTask::new(key, schedule, "Report").arguments(vec![json!(42), json!({"status": "open"})]);
    NewTask { static_zone: Some("Asia/Seoul".into()), ..task.on("reports") }
}

async fn a_task_of_rails_own_file_shares_the_row_that_rails_writes(db: Db) {
    rails_puts(&db, "k", 1).await;
    let row = async || {
        let columns = format!("id, {}, schedule, class_name, arguments, queue_name", key_column(&db));
        let sql = format!("select {columns} from solid_queue_recurring_tasks where static and command is null");
        let [row] = db.raw().await.rows(&sql).await.try_into().unwrap();
        row.into_iter().map(Option::unwrap_or_default).collect::<Vec<String>>()
    };
    let id = row().await[0].clone();
    let mut session = db.session().await;
    let done = session.replace_tasks("/app/config/recurring.yml", &[of_rails_file("k")]).await.unwrap();
    assert_eq!((done.created, done.taken), (vec!["k".into()], vec![]));
    let arguments = r#"[42,{"status":"open","_aj_symbol_keys":["status"]}]"#;
    assert_eq!(row().await, [&id, "k", "every day at 9am", "Report", arguments, "reports"].map(str::to_owned));
    let task = session.task("k").await.unwrap().unwrap();
    assert_eq!((task.standing, task.time_zone.as_deref()), (TaskStanding::Ours, Some("Asia/Seoul")));
    assert!(task.runs());
    let unchanged = session.replace_tasks("/app/config/recurring.yml", &[of_rails_file("k")]).await.unwrap();
    assert_eq!(unchanged, gritstone_store::ReplacedTasks::default());

    // Rails' scheduler starts again, with the file as it is now: it writes over its static rows.
    db.run(&format!(
        "update solid_queue_recurring_tasks set schedule = 'every hour', updated_at = {}",
        db.seconds_from_now(0)
    ))
    .await;
    let task = session.task("k").await.unwrap().unwrap();
    assert_eq!((task.standing, task.schedule), (TaskStanding::Ours, TaskSchedule::Cron("every hour".into())));
    let done = session.replace_tasks("/app/config/recurring.yml", &[of_rails_file("k")]).await.unwrap();
    assert_eq!(done.changed, ["k"]);

    // A scheduler of Rails' with another file deletes it; whoever owns it puts it again.
    db.run("delete from solid_queue_recurring_tasks").await;
    assert_eq!(session.task("k").await.unwrap().unwrap().standing, TaskStanding::Deleted);
    rails_puts(&db, "k", 1).await;
    assert_eq!(session.put_task("/app/config/recurring.yml", &of_rails_file("k")).await.unwrap(), PutTask::Changed);
    assert_eq!(session.task("k").await.unwrap().unwrap().standing, TaskStanding::Ours);
    assert!(session.remove_task("/app/config/recurring.yml", "k").await.unwrap());
    assert_eq!(db.count("recurring_tasks").await, 0);
    session.put_task("/app/config/recurring.yml", &of_rails_file("k")).await.unwrap();
    assert_eq!(row().await[2], "every day at 9am");
}

async fn a_task_is_seen_once_at_any_time_while_it_is_taken_over(db: Db) {
    let (mut session, mut other) = (db.session().await, db.session().await);
    for n in 0..50 {
        let key = format!("k{n}");
        rails_puts(&db, &key, 1).await;
        let take = async {
            let done = session.replace_tasks("/app/config/recurring.yml", &[of_rails_file(&key)]).await.unwrap();
            assert_eq!(done.created, [key.as_str()]);
        };
        let look = async {
            loop {
                let (tasks, _) = other.all_tasks().await.unwrap();
                let found: Vec<_> = tasks.iter().filter(|task| task.key == key).collect();
                assert_eq!(found.len(), 1, "{tasks:#?}");
                if found[0].standing == TaskStanding::Ours {
                    return;
                }
            }
        };
        tokio::join!(take, look);
    }
}

async fn a_static_row_is_nobodys_but_for_tasks_of_rails_own_file(db: Db) {
    let mut session = db.session().await;
    rails_puts(&db, "static", 1).await;
    rails_puts(&db, "dynamic", 0).await;
    session.put_task("library", &task("ours")).await.unwrap();
    let tasks = ["static", "dynamic", "ours"].map(of_rails_file);
    let done = session.replace_tasks("files", &tasks).await.unwrap();
    let taken: Vec<_> = done.taken.iter().map(|taken| (taken.key.as_str(), taken.owner.as_str())).collect();
    assert_eq!((done.created, taken), (vec!["static".to_owned()], vec![("dynamic", RAILS), ("ours", "library")]));
    let other = session.replace_tasks("other files", &tasks[..1]).await.unwrap();
    assert_eq!(other.taken[0].owner, "files");
    session.replace_tasks("files", &[]).await.unwrap();
    let left = format!("select {} from solid_queue_recurring_tasks order by id", key_column(&db));
    assert_eq!(db.raw().await.texts(&left).await, ["dynamic", "ours"]);
}

async fn every_edit_is_noticed_and_no_run_is_one(db: Db) {
    let mut session = db.session().await;
    let mut before = session.schedule_mark().await.unwrap();
    let run_at = an_hour_behind(&db, "k").await;
    let after = session.schedule_mark().await.unwrap();
    assert!(!after.same_tasks(&before));
    session.run_tasks(&[due("k", run_at)]).await.unwrap();
    session.put_task("test", &task("k")).await.unwrap();
    before = session.schedule_mark().await.unwrap();
    assert!(before.same_tasks(&after), "a run is no edit");
    session.suspend_task("k").await.unwrap();
    let suspended = session.schedule_mark().await.unwrap();
    assert!(!suspended.same_tasks(&before));
    rails_puts(&db, "r", 0).await;
    assert!(!session.schedule_mark().await.unwrap().same_tasks(&suspended));
}
