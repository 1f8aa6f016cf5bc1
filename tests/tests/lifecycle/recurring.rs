//! Recurring tasks: one job for each run, whoever dies and whatever is cleared.

use gritstone_store::{NewTask, PutTask, TaskSchedule};
use gritstone_tests::rig::{Crew, Running, Signal, Site, Sql, processes, until};
use gritstone_tests::servers::Engine;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A dispatcher and these recurring tasks, in a folder of their own; its path.
pub fn tasks(site: &Site, tasks: &[(&str, &str)]) -> String {
    tasks_under(site, "", tasks)
}

/// The same, with a scheduler that the manifest says more about.
pub fn tasks_under(site: &Site, scheduler: &str, tasks: &[(&str, &str)]) -> String {
    let folder = site.folder().join("tasks");
    std::fs::create_dir_all(&folder).unwrap();
    let head = |kind: &str, name: &str| {
        format!("apiVersion: gritstone.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\n")
    };
    let dispatcher = head("Dispatcher", "clock") + "spec:\n  pollingInterval: 100ms\n" + scheduler;
    std::fs::write(folder.join("dispatcher.yaml"), dispatcher).unwrap();
    let tasks: Vec<_> = tasks.iter().map(|(name, spec)| head("RecurringTask", name) + "spec: " + spec + "\n").collect();
    std::fs::write(folder.join("tasks.yaml"), tasks.join("---\n")).unwrap();
    folder.to_string_lossy().into_owned()
}

pub const EVERY_SECOND: &str = "{schedule: every second, job: {class: Work, args: [0]}}";

/// What has been seen of runs: the jobs of each.
#[derive(Default)]
struct Seen {
    runs: BTreeMap<Timestamp, BTreeSet<String>>,
}

impl Seen {
    /// Notes what is recorded, and clears it all together with the jobs that have finished.
    async fn look_and_clear(&mut self, sql: &mut Sql) {
        let rows =
            sql.rows("select cast(run_at as char(26)), cast(job_id as char(20)) from solid_queue_recurring_executions");
        let rows = rows.await.unwrap();
        for row in &rows {
            let time = row[0].trim().get(..19).unwrap().replace(' ', "T");
            let run_at: Timestamp = format!("{time}Z").parse().unwrap();
            self.runs.entry(run_at).or_default().insert(row[1].trim().to_owned());
        }
        if rows.is_empty() {
            return;
        }
        let ids = rows.iter().map(|row| row[1].trim()).collect::<Vec<_>>().join(", ");
        for clear in [
            format!("delete from solid_queue_recurring_executions where job_id in ({ids})"),
            format!("delete from solid_queue_jobs where id in ({ids}) and finished_at is not null"),
        ] {
            sql.run(&clear).await.unwrap();
        }
    }

    /// Clears until a later run has been seen.
    async fn a_later_run(&mut self, sql: &mut Sql) {
        let before = self.runs.keys().last().copied();
        until("a later run is made", async || {
            self.look_and_clear(sql).await;
            (self.runs.keys().last().copied() > before).then_some(())
        })
        .await;
    }
}

async fn a_run_is_one_job_whichever_schedulers_are_killed_and_whatever_is_cleared(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let folder = tasks(&site, &[("tick", EVERY_SECOND)]);
    let start = || site.run(&["dispatch", "--file", &folder]);
    let _worker = site.work();
    let mut schedulers: Vec<Running> = (0..3).map(|_| start()).collect();
    let mut sql = site.sql().await;
    let mut seen = Seen::default();
    for _ in 0..25 {
        seen.a_later_run(&mut sql).await;
        let victim = rand_index(schedulers.len());
        // At any point of a second, and often beside another one that is starting.
        tokio::time::sleep(Duration::from_millis(rand_index(600) as u64)).await;
        schedulers[victim].kill().await;
        schedulers[victim] = start();
    }
    site.listed("Scheduler", 3).await;
    seen.a_later_run(&mut sql).await;
    let all_alive_since = seen.runs.keys().last().copied().unwrap();
    for _ in 0..10 {
        seen.a_later_run(&mut sql).await;
    }
    for scheduler in &mut schedulers {
        assert!(scheduler.stop().await.success(), "{}", scheduler.log());
    }
    seen.look_and_clear(&mut sql).await;
    let twice: Vec<_> = seen.runs.iter().filter(|(_, jobs)| jobs.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let seconds: Vec<i64> = seen.runs.range(all_alive_since..).map(|(run, _)| run.as_second()).collect();
    let all: Vec<i64> = (seconds[0]..=seconds[seconds.len() - 1]).collect();
    assert_eq!(seconds, all);
    assert_eq!(site.int("select count(*) from solid_queue_processes where kind = 'Scheduler'").await, 0);
}

fn rand_index(below: usize) -> usize {
    uuid::Uuid::new_v4().as_u128() as usize % below
}

async fn tasks_of_files_come_change_and_go_with_them(engine: Engine, mode: &str) {
    let site = Site::new(engine, &Crew::default()).await;
    let keys = async || {
        let rows = site.rows("select task_key from gritstone_schedule order by task_key").await;
        rows.concat()
    };
    let folder = tasks(&site, &[("tick", EVERY_SECOND), ("yearly", "{schedule: 0 0 1 1 *, command: make report}")]);
    let start = || site.run(&["start", "--mode", mode, "--file", &site.manifests(), "--file", &folder]);
    let mut first = start();
    site.finished(2).await;
    let pids = site.listed("Scheduler", 2).await;
    assert!(pids.iter().all(|pid| processes::is_alive(*pid)));
    let shown = site.rows("select metadata from solid_queue_processes where kind = 'Scheduler'").await;
    assert_eq!(shown[0], [r#"{"recurring_schedule":["tick","yearly"]}"#]);
    let row = "select schedule, class_name, queue_name from solid_queue_recurring_tasks where class_name = 'Command'";
    assert_eq!(site.rows(row).await, [["0 0 1 1 * UTC", "Command", "gritstone_commands"]]);
    first.signal(Signal::SIGTERM);
    assert!(first.end().await.success(), "{}", first.log());

    tasks(&site, &[("tick", EVERY_SECOND)]);
    let mut second = start();
    until("the other one is gone", async || (keys().await == ["tick"]).then_some(())).await;
    let mut other = site.store.connect().await.unwrap();
    let every_second = TaskSchedule::Every { every: Duration::from_secs(1), offset: Duration::ZERO };
    let more = NewTask::new("more", every_second, "Work").arguments(vec![0.into()]);
    assert_eq!(other.put_task("a test", &more).await.unwrap(), PutTask::Created);
    until("a task that was put meanwhile runs", async || {
        let sql = "select count(*) from solid_queue_recurring_executions where task_key = 'more'";
        (site.int(sql).await > 0).then_some(())
    })
    .await;
    assert!(second.stop().await.success(), "{}", second.log());
}

/// Makes the database refuse every run of the task `stuck`.
pub async fn refuse(sql: &mut Sql, engine: Engine) {
    let trigger = match engine {
        Engine::Sqlite => {
            "create trigger refuse before insert on solid_queue_recurring_executions when new.task_key = 'stuck' begin \
             select raise(abort, 'not this one'); end"
        }
        Engine::Server(_) => {
            "create function refuse() returns trigger language plpgsql as $$ begin if new.task_key = 'stuck' then \
             raise exception 'not this one'; end if; return new; end $$; \
             create trigger refuse before insert on solid_queue_recurring_executions for each row execute function refuse()"
        }
    };
    sql.run(trigger).await.unwrap();
}

async fn runs(site: &Site, key: &str) -> i64 {
    site.int(&format!("select count(*) from solid_queue_recurring_executions where task_key = '{key}'")).await
}

async fn a_run_that_the_database_refuses_keeps_no_other_task_waiting(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let folder = tasks(&site, &[("stuck", EVERY_SECOND), ("tick", EVERY_SECOND)]);
    let mut sql = site.sql().await;
    refuse(&mut sql, engine).await;
    let mut dispatcher = site.run(&["dispatch", "--file", &folder]);
    until("the other task has run a few times", async || (runs(&site, "tick").await >= 4).then_some(())).await;
    assert_eq!(runs(&site, "stuck").await, 0);
    assert!(dispatcher.log().contains("not this one"), "{}", dispatcher.log());
    sql.run(match engine {
        Engine::Sqlite => "drop trigger refuse",
        Engine::Server(_) => "drop trigger refuse on solid_queue_recurring_executions",
    })
    .await
    .unwrap();
    until("it runs once it is no longer refused", async || (runs(&site, "stuck").await >= 1).then_some(())).await;
    assert!(dispatcher.stop().await.success(), "{}", dispatcher.log());
}

async fn tasks_that_rails_makes_while_it_runs_are_run_where_that_is_asked_for(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let mut sql = site.sql().await;
    let (now, no, yes) = match engine {
        Engine::Sqlite => ("datetime('now')", "0", "1"),
        Engine::Server(_) => ("now() at time zone 'utc'", "false", "true"),
    };
    let row = |key: &str, is_static: &str| {
        format!(
            "insert into solid_queue_recurring_tasks (key, schedule, class_name, static, created_at, updated_at) \
             values ('{key}', 'every second', 'Work', {is_static}, {now}, {now})"
        )
    };
    sql.run(&row("dynamic", no)).await.unwrap();
    sql.run(&row("static", yes)).await.unwrap();
    let folder = tasks_under(&site, "  scheduler: {dynamicTasks: true}\n", &[("tick", EVERY_SECOND)]);
    let mut following = site.run(&["dispatch", "--file", &folder]);
    until("it has run", async || (runs(&site, "dynamic").await >= 2).then_some(())).await;
    sql.run(&row("later", no)).await.unwrap();
    until("one that was made meanwhile has run", async || (runs(&site, "later").await >= 1).then_some(())).await;
    sql.run("delete from solid_queue_recurring_tasks where key = 'later'").await.unwrap();
    until("one that was removed is gone", async || {
        let shown = site.rows("select metadata from solid_queue_processes where kind = 'Scheduler'").await;
        (shown == [[r#"{"recurring_schedule":["dynamic","tick"]}"#]]).then_some(())
    })
    .await;
    assert!(following.stop().await.success(), "{}", following.log());

    let folder = tasks(&site, &[("tick", EVERY_SECOND)]);
    let (before, ticks) = (runs(&site, "dynamic").await, runs(&site, "tick").await);
    let mut other = site.run(&["dispatch", "--file", &folder]);
    until("a scheduler that wasn't asked to runs its own", async || {
        (runs(&site, "tick").await >= ticks + 3).then_some(())
    })
    .await;
    assert_eq!((runs(&site, "dynamic").await, runs(&site, "static").await), (before, 0));
    assert!(other.stop().await.success(), "{}", other.log());
}

crate::on_a_file_and_a_server!(
    a_run_is_one_job_whichever_schedulers_are_killed_and_whatever_is_cleared,
    a_run_that_the_database_refuses_keeps_no_other_task_waiting,
    tasks_that_rails_makes_while_it_runs_are_run_where_that_is_asked_for,
);
crate::under_every_supervisor!(tasks_of_files_come_change_and_go_with_them);
