//! Solid Queue's own files in place of manifests: `--rails`, `--config`, `--recurring`, and `gritstone convert`.

use super::start::Running;
use super::support::{Home, Ran};
use gritstone_store::JobState;
use gritstone_tests::rig::{Sql, until};
use gritstone_tests::servers::Engine;
use serde_json::json;

const QUEUE: &str = "\
default: &default
  dispatchers: [{polling_interval: 0.1}]
  workers:
    - queues: \"*\"
      processes: <%= ENV.fetch(\"JOB_CONCURRENCY\", 1) %>
development:
  <<: *default
production:
  <<: *default
  workers:
    - queues: [mail, default]
      threads: 2
      polling_interval: 0.05
";

const RECURRING: &str = "\
production:
  tick:
    class: Tick
    args: [1]
    schedule: every second
  clean:
    command: \"Cart.expired.delete_all\"
    schedule: every hour
";

/// A folder with both files where Rails has them.
fn home() -> Home {
    let home = Home::empty();
    std::fs::create_dir(home.path("config")).unwrap();
    home.write("config/queue.yml", QUEUE);
    home.write("config/recurring.yml", RECURRING);
    home
}

/// The command with these variables.
fn run(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = home.command(arguments);
    command.envs(variables.iter().copied());
    Ran::of(command)
}

#[tokio::test]
async fn a_rails_folder_is_started_as_it_is_and_its_tasks_are_run() {
    let home = home();
    home.run(&["migrate"]).ok();
    home.run(&["enqueue", "A", "--queue", "mail"]).ok();
    home.run(&["enqueue", "A", "--queue", "other"]).ok();
    for mode in ["async", "fork"] {
        let mut command = home.command(&["start", "--rails", "--command", "/bin/true"]);
        command.envs([("RAILS_ENV", "production"), ("SOLID_QUEUE_SUPERVISOR_MODE", mode)]);
        let running = Running::start(command);
        until("its worker, dispatcher and scheduler are there", async || {
            let processes = home.run(&["processes", "list", "--json"]).json();
            let kinds: Vec<_> = processes["processes"].as_array()?.iter().map(|one| one["kind"].clone()).collect();
            let all = [json!(format!("Supervisor({mode})")), json!("Worker"), json!("Dispatcher"), json!("Scheduler")];
            (kinds.len() == 4 && all.iter().all(|kind| kinds.contains(kind))).then_some(())
        })
        .await;
        until("the job on mail is done", async || home.state(1).await.filter(|state| *state == JobState::Finished))
            .await;
        until("a task has run", async || {
            let task = home.run(&["recurring", "show", "tick", "--json"]).json();
            (task["last_job"]["state"] == "finished").then_some(())
        })
        .await;
        assert_eq!(running.stop(), Some(0));
    }
    assert_eq!(home.state(2).await, Some(JobState::Ready), "nobody works on that queue");
    let tasks = home.run(&["recurring", "list", "--json"]).ok().json();
    let keys: Vec<_> = tasks["tasks"].as_array().unwrap().iter().map(|task| task["key"].clone()).collect();
    assert_eq!(keys, ["tick"], "Ruby is left to Rails");
}

/// As people have it whose workers run elsewhere.
#[tokio::test]
async fn a_scheduler_alone_needs_no_handler() {
    let home = home();
    home.write("config/queue.yml", "production:\n  workers: [{threads: 0, processes: 0}]\n");
    for arguments in [["start", "--rails"].as_slice(), &["start", "--config", "config/queue.yml", "--only-recurring"]] {
        let mut command = home.command(arguments);
        command.env("RAILS_ENV", "production");
        let running = Running::start(command);
        until("a task has run", async || {
            let tasks = home.run(&["recurring", "show", "tick", "--json"]);
            (tasks.code == Some(0) && !tasks.json()["last_run_at"].is_null()).then_some(())
        })
        .await;
        assert_eq!(running.stop(), Some(0));
        home.run(&["recurring", "remove", "tick"]).ok();
    }
}

#[tokio::test]
async fn tasks_are_the_rows_that_rails_scheduler_wrote_and_can_be_given_back() {
    let home = home();
    home.run(&["migrate"]).ok();
    let mut sql = Sql::connect(Engine::Sqlite, home.url()).await.unwrap();
    sql.run(
        "insert into solid_queue_recurring_tasks (key, schedule, class_name, command, static, created_at, updated_at) values \
         ('tick', 'every minute', 'Tick', null, 1, '2026-01-01', '2026-01-01'), \
         ('clean', 'every hour', null, 'Cart.expired.delete_all', 1, '2026-01-01', '2026-01-01'), \
         ('other', 'every hour', 'Other', null, 1, '2026-01-01', '2026-01-01')",
    )
    .await
    .unwrap();
    home.write("config/recurring.yml", &RECURRING.replace("every second", "at 5am every day"));
    let arguments = ["start", "--rails", "--environment", "production", "--time-zone", "Asia/Seoul", "--command", "a"];
    let running = Running::start(home.command(&arguments));
    let task = until("it has the task", async || {
        let task = home.run(&["recurring", "show", "tick", "--json"]).json();
        (task["standing"] == "ours").then_some(task)
    })
    .await;
    let hour = &task["next_run_at"].as_str().unwrap()[10..];
    assert_eq!((task["cron"].as_str(), hour), (Some("at 5am every day"), "T20:00:00Z"), "5am in Seoul");
    assert!(task["owner"].as_str().unwrap().ends_with("/config/recurring.yml"), "{task}");
    assert_eq!(running.stop(), Some(0));
    let rows = "select key, schedule, arguments, static from solid_queue_recurring_tasks order by id";
    let expected =
        [["tick", "at 5am every day", "[1]", "1"], ["clean", "every hour", "", "1"], ["other", "every hour", "", "1"]];
    assert_eq!(sql.rows(rows).await.unwrap(), expected);
}

#[test]
fn which_files_and_which_part_of_them_is_said() {
    let home = home();
    let checked = |arguments: &[&str], variables: &[(&str, &str)]| {
        run(&home, &[&["check", "--rails", "--json"], arguments].concat(), variables).ok().json()
    };
    let workers = |checked: &serde_json::Value| {
        let manifests = checked["manifests"].as_array().unwrap();
        manifests.iter().map(|manifest| manifest["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(workers(&checked(&[], &[])), ["all", "dispatcher"]);
    assert_eq!(workers(&checked(&[], &[("RACK_ENV", "production")])), ["mail-default", "dispatcher", "tick"]);
    let named = checked(&["--environment", "production"], &[("RAILS_ENV", "development")]);
    assert_eq!(workers(&named), ["mail-default", "dispatcher", "tick"]);
    let production = ("RAILS_ENV", "production");
    let skipped = checked(&[], &[production, ("SOLID_QUEUE_SKIP_RECURRING", "true")]);
    assert_eq!(workers(&skipped), ["mail-default", "dispatcher"]);
    let kept = checked(&[], &[production, ("SOLID_QUEUE_SKIP_RECURRING", "false")]);
    assert_eq!(workers(&kept).len(), 3);
    let only = checked(&[], &[production, ("SOLID_QUEUE_ONLY_RECURRING", "1")]);
    assert_eq!(workers(&only), ["dispatcher", "tick"]);
    assert_eq!(workers(&checked(&["--only-recurring"], &[production])), ["dispatcher", "tick"]);

    home.write("other.yml", "workers: [{queues: other}]\n");
    assert_eq!(workers(&checked(&[], &[("SOLID_QUEUE_CONFIG", "other.yml")])), ["other"]);
    let elsewhere = checked(&["--config", "other.yml"], &[("SOLID_QUEUE_RECURRING_SCHEDULE", "nowhere.yml")]);
    assert_eq!(workers(&elsewhere), ["other"]);
    assert!(elsewhere["warnings"][0]["message"].as_str().unwrap().contains("does not exist"), "{elsewhere}");
    let both = [("SOLID_QUEUE_SKIP_RECURRING", "1"), ("SOLID_QUEUE_ONLY_RECURRING", "1")];
    run(&home, &["check", "--rails"], &both).code(2).says("are both set");
    run(&home, &["start", "--rails", "--command", "a"], &[("SOLID_QUEUE_SUPERVISOR_MODE", "thread")])
        .code(2)
        .says("neither fork nor async");
}

#[test]
fn nothing_of_rails_is_read_unless_asked_for() {
    let home = home();
    home.write("config/queue.yml", "workers: 5\n");
    let variables = [("SOLID_QUEUE_CONFIG", "config/queue.yml"), ("SOLID_QUEUE_ONLY_RECURRING", "true")];
    run(&home, &["start"], &variables).code(1).says("there is nothing to run jobs with");
    home.run(&["start", "--skip-recurring", "--command", "a"]).code(2).says("say --rails");
    home.run(&["start", "--rails", "-f", "config"]).code(2).says("cannot be used with");
    home.run(&["start", "--rails", "--threads", "3"]).code(2).says("cannot be used with");
    home.run(&["work", "--name", "a"]).code(2).says("required");
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let home = home();
    let start = |more: &[&str]| home.run(&[&["start", "--command", "/bin/true"], more].concat());
    start(&["--config", "config/queu.yml"]).code(1).says("config/queu.yml: does not exist");
    start(&["--config", "config/queue.yml", "--recurring", "x.yml"]).code(1).says("x.yml: does not exist");
    start(&["--rails", "--environment", "prod"]).code(1).says(
        "config/queue.yml:1: has nothing for the environment prod, only for development, production; did you mean",
    );
    start(&["--rails", "--time-zone", "Asia/Seul"]).code(2).says("did you mean Asia/Seoul?");
    home.run(&["start", "--rails", "--environment", "production"]).code(1).says("there is nothing to run jobs with");
    home.write("config/queue.yml", "workers:\n  - threads: <%= Etc.nprocessors %>\n    queue: a\n");
    start(&["--rails"]).code(1).says("config/queue.yml:2: `<%= Etc.nprocessors %>` is Ruby, which is not run here");
    home.write("config/queue.yml", "workers:\n  - threads: 3\n    queue: a\n");
    start(&["--rails"]).code(1).says("config/queue.yml:3: workers[0].queue: unknown field; did you mean queues?");
    let checked = home.run(&["check", "--rails", "--json"]).code(1).json();
    assert_eq!((&checked["ok"], &checked["problems"][0]["line"]), (&json!(false), &json!(3)));
    for nothing in ["workers: []\n", "workers: [{threads: 0, processes: 0}]\n"] {
        home.write("config/queue.yml", nothing);
        start(&["--rails"]).code(1).says("no recurring tasks for this environment: there is nothing to start");
    }
    assert!(!home.path("queue.db").exists());
}

#[test]
fn a_database_is_not_guessed() {
    let home = home();
    let mut command = home.command(&["start", "--rails", "--command", "/bin/true"]);
    command.env_remove("DATABASE_URL");
    Ran::of(command).code(2).says("which database? config/database.yml is not read").says("--database or DATABASE_URL");
    assert!(!home.path("gritstone.db").exists());
}

#[test]
fn converted_files_pass_the_check_and_are_the_same_again() {
    let home = home();
    let converted = home.run(&["convert", "--environment", "production"]).ok();
    let head = "# Solid Queue's files as manifests, for the environment production.\n";
    assert!(converted.out.starts_with(head), "{converted:#?}");
    let converted =
        converted.prints("# config/recurring.yml:7: production.clean.command: is Ruby, which only Rails runs");
    home.write("manifests.yaml", &converted.out);
    home.run(&["check", "manifests.yaml"]).ok().prints("QueueWorker mail-default is fine").prints("RecurringTask tick");
    let json = home.run(&["convert", "--environment", "production", "--command", "./run", "--json"]).ok().json();
    assert_eq!(json["environment"], "production");
    assert_eq!(json["manifests"][0]["spec"]["handler"], json!({"command": {"command": ["./run"]}}));
    assert_eq!(json["manifests"][0]["spec"]["retry"]["attempts"], 1);
    assert_eq!(json["warnings"][0]["line"], 7);
    let mut command = home.command(&["convert"]);
    command.env("JOB_CONCURRENCY", "4");
    Ran::of(command).ok().prints("  replicas: 4").prints("# Values as they are here and now: JOB_CONCURRENCY.");
}

#[test]
fn nothing_to_convert_is_an_error() {
    let home = Home::empty();
    home.run(&["convert"]).code(1).says("config/queue.yml: does not exist").says("there is nothing to convert");
}
