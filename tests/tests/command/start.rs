//! `gritstone start`, `work` and `dispatch`: what the command line makes of them.

use super::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};

/// A process that stops with its test.
pub struct Running(Child);

impl Running {
    pub fn start(mut command: Command) -> Running {
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub fn stop(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

#[tokio::test]
async fn forked_workers_do_what_the_command_line_says() {
    let home = Home::new();
    home.run(&["enqueue", "A", "--queue", "mail"]).ok();
    home.run(&["enqueue", "A", "--queue", "other"]).ok();
    let arguments = ["start", "--mode", "fork", "--queues", "mail*", "--threads", "7", "--command", "/bin/true"];
    let running = Running::start(home.command(&arguments));
    until("the job on mail is done", async || home.state(1).await.filter(|state| *state == JobState::Finished)).await;
    assert_eq!(home.state(2).await, Some(JobState::Ready));
    let processes = home.run(&["processes", "list", "--json"]).ok().json();
    let worker = processes["processes"].as_array().unwrap().iter().find(|process| process["kind"] == "Worker").unwrap();
    assert_eq!((&worker["metadata"]["queues"], &worker["metadata"]["thread_pool_size"]), (&"mail*".into(), &7.into()));
    let line = command_line(worker["pid"].as_u64().unwrap() as u32);
    assert!(line.starts_with("gritstone worker mail* work "), "{line}");
    assert!(line.contains("--shutdown-timeout=5s"), "{line}");
    assert_eq!(running.stop(), Some(0));
    assert_eq!(home.run(&["processes", "list", "--json"]).ok().json()["processes"], serde_json::json!([]));
}

#[tokio::test]
async fn a_worker_needs_no_manifest_and_its_title_hides_the_database() {
    let home = Home::new();
    home.run(&["enqueue", "A"]).ok();
    let arguments = ["work", "--database", home.url(), "--command", "/bin/true", "--queues", "default"];
    let running = Running::start(home.command(&arguments));
    until("the job is done", async || home.state(1).await.filter(|state| *state == JobState::Finished)).await;
    let line = command_line(running.0.id());
    assert!(line.starts_with("gritstone worker default work "), "{line}");
    assert!(!line.contains("sqlite"), "{line}");
    assert_eq!(running.stop(), Some(0));
}

#[tokio::test]
async fn a_worker_waits_for_tables() {
    let home = Home::empty();
    // There, but empty: nobody has migrated it yet.
    std::fs::write(home.path("queue.db"), "").unwrap();
    let running = Running::start(home.command(&["work", "--command", "/bin/true"]));
    until("it waits", async || command_line(running.0.id()).starts_with("gritstone worker *").then_some(())).await;
    home.run(&["migrate"]).ok();
    home.run(&["enqueue", "A"]).ok();
    until("the job is done", async || home.state(1).await.filter(|state| *state == JobState::Finished)).await;
    assert_eq!(running.stop(), Some(0));
}

#[tokio::test]
async fn logs_that_nobody_reads_stop_nothing() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = home.command(&["start", "--command", "/bin/true", "--log", "debug"]);
    command.stdout(Stdio::null()).stderr(writer);
    let running = Running(command.spawn().unwrap());
    drop((reader, command));
    home.run(&["enqueue", "A"]).ok();
    until("the job is done", async || home.state(1).await.filter(|state| *state == JobState::Finished)).await;
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_cron_schedule_in_a_file_is_refused_with_what_to_write_instead() {
    let home = Home::new();
    let head = "apiVersion: gritstone.dev/v1alpha1\nkind: ";
    let schedules = format!(
        "{head}Dispatcher\nmetadata: {{name: d}}\n---\n{head}CronSchedule\nmetadata: {{name: a}}\nspec: {{key: a, cron: \"0 9 * * *\", job: {{class: A}}}}\n\
         ---\n{head}CronSchedule\nmetadata: {{name: b}}\nspec: {{key: b, interval: {{every: 90m}}, job: {{class: A}}}}\n"
    );
    home.write("schedules.yaml", &schedules);
    for command in ["start", "dispatch"] {
        home.run(&[command, "-f", "schedules.yaml"])
            .code(1)
            .says("schedules.yaml:5: a CronSchedule is what the operator makes of a RecurringTask")
            .says("write kind: RecurringTask, with schedule: \"0 9 * * *\" and the rest")
            .says("schedules.yaml:10: a CronSchedule")
            .says("with schedule: {every: 1h30m, offset: 0s}");
    }
}

#[test]
fn what_can_not_be_started_is_said_at_once() {
    let home = Home::new();
    home.run(&["start"]).code(1).says("there is nothing to run jobs with").says("--command ./run-job");
    home.run(&["work"]).code(1).says("there is nothing to run jobs with");
    home.run(&["start", "--command", "a", "--process", "b"]).code(2).says("cannot be used with");
    home.run(&["start", "--command", "'open"]).code(2).says("--command");
    home.run(&["start", "--command", "a", "--queues", "!mail"]).code(2).says("only excludes queues");
    home.run(&["start", "-f", "nowhere.yaml"]).code(1).says("nowhere.yaml: does not exist");
    home.write(
        "dispatcher.yaml",
        "apiVersion: gritstone.dev/v1alpha1\nkind: Dispatcher\nmetadata: {name: d}\nspec: {}\n",
    );
    home.run(&["work", "-f", "dispatcher.yaml"]).code(2).says("the files have no QueueWorker");
    home.run(&["dispatch", "-f", "dispatcher.yaml", "--name", "x"]).code(2).says("no Dispatcher called x; they have d");
    home.run(&["work", "-f", "dispatcher.yaml", "--threads", "3"]).code(2).says("cannot be used with");
}
