//! Command lines and manifests with slips.

use crate::support::Home;
use gritstone_store::{JobState, NewTask, TaskSchedule};

const WORKER: &str = "\
apiVersion: gritstone.dev/v1alpha1
kind: QueueWorker
metadata: {name: mail}
spec:
  handler: {command: {command: [./run-job]}}
";

#[test]
fn a_misspelt_subcommand() {
    let home = Home::empty();
    home.run(&["jbos", "list"]).code(2).says("'jobs'");
    home.run(&["jobs", "lst"]).code(2).says("'list'");
}

#[test]
fn a_misspelt_option() {
    let home = Home::empty();
    home.run(&["jobs", "list", "--stat", "failed"]).code(2).says("'--state'");
    home.run(&["queues", "list", "--databse", "x"]).code(2).says("'--database'");
}

#[test]
fn an_unknown_state() {
    let home = Home::new();
    home.run(&["jobs", "list", "--state", "faild"])
        .code(2)
        .says("ready, scheduled, claimed, blocked, failed, finished")
        .says("'failed'");
}

#[test]
fn an_unknown_queue() {
    let home = Home::new();
    home.enqueue("A", 1);
    home.run(&["jobs", "list", "--queue", "defualt"]).ok().says("there is no queue `defualt`; did you mean `default`?");
    home.run(&["jobs", "list", "--queue", "x"]).ok().says("`gritstone queues list` shows them");
    home.run(&["queues", "pause", "x"]).ok().prints("(no job is on it at present)");
}

#[test]
fn an_unknown_job() {
    let home = Home::new();
    home.run(&["jobs", "show", "42"]).code(1).says("there is no job 42 in sqlite://");
    home.run(&["jobs", "retry", "42"]).code(1).prints("there is no such job in sqlite://");
    home.run(&["batches", "show", "42"]).code(1).says("there is no batch 42 in sqlite://");
}

#[test]
fn a_number_that_is_a_jobs_own_id() {
    let home = Home::new();
    home.run(&["enqueue", "Report", "--id", "7"]).ok();
    home.run(&["jobs", "discard", "7"]).code(1).prints("there is no such job in sqlite://").prints("write id:7");
    home.run(&["jobs", "discard", "id:7"]).ok();
}

#[test]
fn a_state_that_can_not_be_changed_so() {
    let home = Home::new();
    home.run(&["jobs", "retry", "--state", "scheduled", "--all"]).code(2).says("`gritstone jobs run-now`");
    home.run(&["jobs", "run-now", "--state", "failed", "--all"]).code(2).says("gritstone jobs retry");
    home.run(&["jobs", "discard", "--state", "claimed", "--all"]).code(2).says("a worker is running it");
}

#[test]
fn all_jobs_without_a_filter() {
    let home = Home::new();
    home.enqueue("A", 1);
    home.run(&["jobs", "discard", "--all"]).code(2).says("--state, --queue or --class together with --all");
    home.run(&["jobs", "discard", "--queue", "default"]).code(2).says("add --all");
    home.run(&["jobs", "show", "1"]).ok();
}

#[test]
fn a_misspelt_field_of_a_manifest() {
    let home = Home::empty();
    home.write("worker.yaml", &format!("{WORKER}  thraeds: 5\n"));
    for arguments in [["check", "-f", "worker.yaml"], ["start", "-f", "worker.yaml"], ["work", "-f", "worker.yaml"]] {
        home.run(&arguments).code(1).says("worker.yaml:6: spec.thraeds: unknown field; did you mean threads?");
    }
    assert!(!home.path("queue.db").exists());
}

#[test]
fn a_manifest_that_is_not_there() {
    let home = Home::empty();
    for arguments in [["check", "-f", "x.yaml"], ["start", "-f", "x.yaml"], ["dispatch", "-f", "x.yaml"]] {
        home.run(&arguments).code(1).says("x.yaml: does not exist");
    }
}

#[test]
fn manifests_with_nothing_to_start() {
    let home = Home::empty();
    home.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n");
    home.run(&["start", "-f", "secret.yaml"]).code(1).says("there is nothing to start");
    home.run(&["work", "-f", "secret.yaml"]).code(2).says("the files have no QueueWorker");
}

#[test]
fn several_workers_in_one_manifest() {
    let home = Home::empty();
    home.write("workers.yaml", &format!("{WORKER}---\n{}", WORKER.replace("name: mail", "name: bulk")));
    home.run(&["work", "-f", "workers.yaml"]).code(2).says("choose one with --name (mail, bulk)");
    home.run(&["work", "-f", "workers.yaml", "--name", "mial"])
        .code(2)
        .says("no QueueWorker called mial; they have mail, bulk");
}

#[test]
fn no_handler() {
    let home = Home::empty();
    home.run(&["start"]).code(1).says("there is nothing to run jobs with").says("gritstone start --command ./run-job");
    assert!(!home.path("queue.db").exists());
}

#[test]
fn a_filter_for_logs_that_can_not_be_read() {
    let home = Home::new();
    home.run(&["queues", "list", "--log", "a=b=c"]).ok().says("--log can't be read; logging at info");
}

#[tokio::test]
async fn a_start_hook_that_fails() {
    let home = Home::new();
    home.enqueue("A", 1);
    let hook = "sh -c 'echo no licence >&2; exit 3'";
    home.run(&["start", "--command", "/bin/true", "--on-start", hook])
        .code(1)
        .says("the Supervisor(async) stops, because its start hook `sh` failed: it exited with status 3: no licence");
    home.write("worker.yaml", &format!("{WORKER}  hooks: {{onStart: [{{command: [./not-there]}}]}}\n"));
    home.run(&["work", "--file", "worker.yaml"])
        .code(1)
        .says("the Worker stops, because its start hook `./not-there` failed");
    assert_eq!(home.state(1).await, Some(JobState::Ready));
    home.run(&["processes", "list"]).ok().says("no process works on this queue");
}

#[test]
fn a_hook_that_is_no_command_line() {
    let home = Home::empty();
    home.run(&["start", "--command", "/bin/true", "--on-start", "'a"]).code(2).says("--on-start: ");
    home.run(&["start", "--command", "/bin/true", "--on-exit", ""]).code(2).says("--on-exit: ");
    assert!(!home.path("queue.db").exists());
}

#[tokio::test]
async fn an_unknown_recurring_task() {
    let home = Home::new();
    let yearly = NewTask::new("yearly", TaskSchedule::Cron("0 0 1 1 * UTC".into()), "Report");
    home.session().await.put_task("a test", &yearly).await.unwrap();
    for verb in ["show", "run", "suspend", "resume"] {
        home.run(&["recurring", verb, "yaerly"])
            .code(1)
            .says("there is no recurring task `yaerly`")
            .says("did you mean `yearly`?");
    }
    home.run(&["recurring", "suspend", "yearly", "other"]).code(1).says("`gritstone recurring list` shows them");
    assert!(!home.session().await.task("yearly").await.unwrap().unwrap().suspended_by_hand);
}

#[test]
fn two_recurring_tasks_with_one_key() {
    let home = Home::empty();
    let task = |name: &str| {
        format!(
            "apiVersion: gritstone.dev/v1alpha1\nkind: RecurringTask\nmetadata: {{name: {name}}}\n\
             spec: {{key: daily, schedule: every day, command: make}}\n"
        )
    };
    home.write("a.yaml", &task("a"));
    home.write("b.yaml", &task("b"));
    home.write("worker.yaml", WORKER);
    let said = "b.yaml:1: spec.key: the recurring task at a.yaml:1 has the key daily already";
    home.run(&["check", "a.yaml", "b.yaml"]).code(1).says(said);
    home.run(&["start", "-f", "worker.yaml", "-f", "a.yaml", "-f", "b.yaml"]).code(1).says(said);
    assert!(!home.path("queue.db").exists());
}

#[test]
fn the_class_of_commands_without_the_permission() {
    let home = Home::empty();
    home.write("worker.yaml", &format!("{WORKER}  classes: [Command]\n"));
    home.run(&["start", "-f", "worker.yaml"])
        .code(1)
        .says("spec.classes[0]: Command is a text for the shell")
        .says("say allowCommands: true");
}
