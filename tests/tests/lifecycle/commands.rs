//! Jobs of class `Command`: a text for the shell, run by those alone that may.

use gritstone_store::{JobState, NewJob, NewTask, TaskSchedule};
use gritstone_tests::rig::{Crew, Site, processes, until};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::time::Duration;

crate::on_a_file_and_a_server!(
    a_worker_without_the_permission_leaves_commands_wherever_they_lie,
    a_worker_with_it_runs_them_beside_its_own_jobs,
    commands_need_no_handler_of_their_own,
    a_recurring_command_runs,
    exit_codes_say_how_a_command_ended,
    a_command_is_told_to_stop_and_ended_with_all_that_it_started,
);

fn command(text: String) -> NewJob {
    NewJob::new("Command", vec![text.into()])
}

/// A command that leaves a file.
fn touch(site: &Site, name: &str) -> NewJob {
    command(format!("touch '{}'", site.folder().join(name).display()))
}

async fn appears(site: &Site, name: &str) {
    let path = site.folder().join(name);
    until(&format!("{name} is there"), async || path.exists().then_some(())).await;
}

/// Writes a worker's manifest that stands alone.
fn worker(site: &Site, spec: &str) -> String {
    let path = site.folder().join("alone.yaml");
    let text =
        format!("apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: alone}}\nspec: {spec}\n");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

async fn state(site: &Site, job_id: i64) -> Option<JobState> {
    let mut session = site.store.session().await.unwrap();
    session.job(&job_id.to_string()).await.unwrap().map(|job| job.state)
}

async fn a_worker_without_the_permission_leaves_commands_wherever_they_lie(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    // In front of everything else, and more of them than a claim asks for.
    let front: Vec<NewJob> = (0..8).map(|_| touch(&site, "ran").on("default").priority(-1)).collect();
    let left = site.store.enqueue(&[front, vec![touch(&site, "ran")]].concat()).await.unwrap();
    let work = site.enqueue(&[0.0; 5]).await;
    let running = site.start("async");
    site.finished(work.len()).await;
    for enqueued in &left {
        assert_eq!(state(&site, enqueued.job_id).await, Some(JobState::Ready));
    }
    assert!(!site.folder().join("ran").exists());
    assert_eq!(site.count("claimed_executions").await, 0);
    assert!(
        running.log().contains("jobs of class Command are ready, which this worker may not run"),
        "{}",
        running.log()
    );
}

async fn a_worker_with_it_runs_them_beside_its_own_jobs(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let jobs = [NewJob::new("Own", vec![]).on("mail"), touch(&site, "a"), touch(&site, "b").on("mail")];
    site.store.enqueue(&jobs).await.unwrap();
    // Its list does not name their queue.
    let handler = format!("[sh, -c, \"touch '{}'\"]", site.folder().join("own").display());
    let path = worker(
        &site,
        &format!("{{queues: [mail], allowCommands: true, handler: {{command: {{command: {handler}}}}}}}"),
    );
    let _running = site.run(&["work", "--file", &path]);
    for name in ["own", "a", "b"] {
        appears(&site, name).await;
    }
    site.finished(3).await;
    let metadata = site.rows("select metadata from solid_queue_processes where kind = 'Worker'").await;
    let metadata: serde_json::Value = serde_json::from_str(&metadata[0][0]).unwrap();
    assert_eq!((&metadata["queues"], &metadata["allow_commands"]), (&json!("mail,gritstone_commands"), &json!(true)));
}

async fn commands_need_no_handler_of_their_own(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let other = site.enqueue(&[0.0]).await;
    site.store.enqueue(&[touch(&site, "a")]).await.unwrap();
    let _running = site.run(&["start", "--mode", "fork", "--allow-commands"]);
    appears(&site, "a").await;
    site.finished(1).await;
    let mut session = site.store.session().await.unwrap();
    assert_eq!(
        session.job(&other[0]).await.unwrap().unwrap().state,
        JobState::Ready,
        "what it can't run is not claimed"
    );
}

async fn a_recurring_command_runs(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let text = format!("echo ran >> '{}'", site.folder().join("runs").display());
    let every = TaskSchedule::Every { every: Duration::from_secs(1), offset: Duration::ZERO };
    let task = NewTask::new("clean", every, "Command").arguments(vec![text.into()]).on("gritstone_commands");
    site.store.put_task("the test", &task).await.unwrap();
    let _running = site.run(&["start", "--allow-commands"]);
    let path = site.folder().join("runs");
    until("it has run twice", async || std::fs::read_to_string(&path).ok().filter(|text| text.lines().count() >= 2))
        .await;
}

async fn exit_codes_say_how_a_command_ended(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let env = format!("env > '{}'", site.folder().join("env").display());
    let texts = [env.as_str(), "echo sorry >&2; exit 65", "exit 3", "exit 75", r#"echo '{"outcome": "fail"}'"#];
    let enqueued = site.store.enqueue(&texts.map(|text| command(text.into()))).await.unwrap();
    let _running = site.run(&["start", "--allow-commands"]);
    let expected = [JobState::Finished, JobState::Failed, JobState::Failed, JobState::Scheduled, JobState::Failed];
    for (enqueued, expected) in enqueued.iter().zip(expected) {
        until("the command has ended", async || state(&site, enqueued.job_id).await.filter(|state| *state == expected))
            .await;
    }
    let env = std::fs::read_to_string(site.folder().join("env")).unwrap();
    assert!(env.contains("PATH=") && !env.contains("DATABASE_URL"), "the way into the queue is not handed on");
    let job = site.store.session().await.unwrap().job(&enqueued[1].id).await.unwrap().unwrap();
    let error = job.error.unwrap();
    assert_eq!(error.exception_class, "Gritstone::HandlerExit");
    assert!(error.message.contains("exited with status 65: sorry"), "{}", error.message);
}

async fn a_command_is_told_to_stop_and_ended_with_all_that_it_started(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let pids = site.folder().join("pids");
    let stubborn = format!("trap '' TERM; sleep 300 & echo $$ $! >> '{}'; wait; wait", pids.display());
    let enqueued = site.store.enqueue(&[command(stubborn)]).await.unwrap();
    let path = worker(&site, "{allowCommands: true, jobTimeout: 200ms, retry: {attempts: 1}}");
    let _running = site.run(&["work", "--file", &path]);
    until("it has failed", async || state(&site, enqueued[0].job_id).await.filter(|state| *state == JobState::Failed))
        .await;
    let started = std::fs::read_to_string(&pids).unwrap();
    for pid in started.split_whitespace() {
        let pid: i32 = pid.parse().unwrap();
        until("what it started is gone", async || (!processes::is_alive(pid)).then_some(())).await;
    }
    let job = site.store.session().await.unwrap().job(&enqueued[0].id).await.unwrap().unwrap();
    assert_eq!(job.error.unwrap().exception_class, "Gritstone::JobTimeout");
}
