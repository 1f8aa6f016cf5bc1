//! `examples/rails`: Active Job classes as they are, run by the real engine out of SQLite.
//!
//! Needs Ruby with Active Job, Active Record, Railties and SQLite; `scripts/install-test-languages` installs them.

use gritstone_store::{JobState, JobView};
use gritstone_tests::rig::{Crew, Running, Site, gritstone, until};
use gritstone_tests::servers::Engine;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A queue, and a folder that looks like the example's.
struct Example {
    site: Site,
    path: String,
}

impl Example {
    async fn new() -> Example {
        let site = Site::new(Engine::Sqlite, &Crew::default()).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/rails");
        for name in ["gritstone_rails.rb", "errands.rb", "shop", "jobs.yaml"] {
            symlink(folder.join(name), site.folder().join(name)).unwrap();
        }
        let programs = gritstone().parent().unwrap().to_owned();
        let path = std::env::join_paths(
            std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        )
        .unwrap();
        Example { path: path.into_string().unwrap(), site }
    }

    fn file(&self, name: &str) -> String {
        self.site.folder().join(name).to_str().unwrap().to_owned()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PATH", self.path.clone()),
            ("JOURNAL", self.file("journal")),
            ("SHOP_DATABASE", self.file("shop.db")),
            ("GRITSTONE_QUEUE_URL", self.site.url.clone()),
        ]
    }

    /// The queue as the example's manifest has it.
    fn start(&self) -> Running {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.site.run_with(&["start", "-f", "jobs.yaml"], &environment)
    }

    /// Runs a program that has the example's jobs, and enqueues through the example's adapter; what it prints.
    fn ruby(&self, program: &str) -> String {
        let begin =
            "ActiveJob::Base.queue_adapter = GritstoneRails::EnqueueAdapter.new\nActiveJob::Base.logger = nil\n";
        let mut command = Command::new("ruby");
        command.args(["-r", "./gritstone_rails", "-r", "./errands", "-e"]).arg(format!("{begin}{program}"));
        command.current_dir(self.site.folder()).envs(self.environment()).env_remove("DATABASE_URL");
        let output = command.output().expect("Ruby is needed: scripts/install-test-languages installs it");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/install-test-languages installs what it needs; it says:\n{error}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Enqueues a job; its id.
    fn enqueue(&self, job: &str) -> String {
        self.ruby(&format!("puts {job}.job_id"))
    }

    async fn job(&self, id: &str) -> JobView {
        self.site.store.connect().await.unwrap().job(id).await.unwrap().unwrap_or_else(|| panic!("no job {id}"))
    }

    /// Waits until a job is there.
    async fn reached(&self, id: &str, state: JobState) -> JobView {
        until(&format!("job {id} is {state:?}"), async || Some(self.job(id).await).filter(|job| job.state == state))
            .await
    }

    /// What the jobs of the plain example have written down.
    fn journal(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn envelope(job: &JobView) -> Value {
    serde_json::from_str(job.envelope.as_deref().unwrap()).unwrap()
}

#[tokio::test]
async fn symbols_keywords_and_times_arrive_as_what_they_were_and_callbacks_run() {
    let example = Example::new().await;
    let job =
        "Errands::Post.perform_later('a', to: :joe, at: Time.utc(2026, 1, 2, 3, 4, 5), options: {fast: [1, nil]})";
    let id = example.enqueue(job);
    let mut running = example.start();
    let done = example.reached(&id, JobState::Finished).await;
    assert_eq!(done.class, "Errands::Post");
    let said = "Errands::Post 1 a to :joe, Time 2026-01-02T03:04:05Z, [[:fast, [1, nil]]]";
    assert_eq!(example.journal(), ["Errands::Post 1 begins", said, "Errands::Post 1 ends"]);
    assert!(running.stop().await.success());
}

#[tokio::test]
async fn a_job_with_retry_on_is_done_at_its_third_execution_in_the_row_it_had() {
    let example = Example::new().await;
    let id = example.enqueue("Errands::Call.perform_later('555')");
    let before = example.job(&id).await;
    let _running = example.start();
    let done = example.reached(&id, JobState::Finished).await;
    let runs = ["Errands::Call 1 begins", "Errands::Call 2 begins", "Errands::Call 3 begins", "Errands::Call 3 ends"];
    assert_eq!(example.journal(), runs);
    assert_eq!((done.job_id, example.site.count("jobs").await), (before.job_id, 1));
    // The two that asked for another; the one that was done is not written down, in Rails neither.
    let envelope = envelope(&done);
    assert_eq!(envelope["executions"], 2);
    assert_eq!(envelope["exception_executions"], json!({"[Errands::Busy]": 2}));
    assert_eq!(envelope["arguments"], json!(["555"]));
}

#[tokio::test]
async fn a_job_whose_retries_are_used_up_has_failed_as_rails_would_say_it() {
    let example = Example::new().await;
    let id = example.enqueue("Errands::CallInVain.perform_later(555)");
    let _running = example.start();
    let failed = example.reached(&id, JobState::Failed).await;
    assert_eq!(example.journal(), ["Errands::CallInVain 1 begins", "Errands::CallInVain 2 begins"]);
    let envelope = envelope(&failed);
    assert_eq!(envelope["executions"], 2);
    assert_eq!(envelope["exception_executions"], json!({"[Errands::Busy]": 2}));
    let error = failed.error.unwrap();
    assert_eq!((error.exception_class.as_str(), error.message.as_str()), ("Errands::Busy", "555 is busy"));
    assert!(error.backtrace.unwrap()[0].contains("errands.rb"));
}

#[tokio::test]
async fn a_job_that_nothing_takes_up_fails_at_once() {
    let example = Example::new().await;
    let left = example.enqueue("Errands::Leave.perform_later");
    let unknown = example.ruby("class Unknown < ActiveJob::Base; end; puts Unknown.perform_later.job_id");
    let _running = example.start();
    for (id, class) in [(&left, "SystemExit"), (&unknown, "NameError")] {
        let failed = example.reached(id, JobState::Failed).await;
        assert_eq!(failed.error.unwrap().exception_class, class);
    }
}

/// The example with more jobs: `Extra::Crash`, which kills its process, and `Extra::Move`, which asks for another queue when it fails. What
/// they enqueue goes into the journal.
async fn with_more_jobs() -> Example {
    let example = Example::new().await;
    let folder = example.site.folder();
    let jobs = r#"
require "active_job"
class Journal
  def enqueue_at(job, at)
    note = [job.job_id, job.queue_name, job.priority, job.executions, job.exception_executions.to_json, at > Time.now.to_f].join(" ")
    File.write(ENV.fetch("JOURNAL"), note + "\n", mode: "a")
  end
  def enqueue(job) = enqueue_at(job, 0)
  def enqueue_after_transaction_commit? = false
end
module Extra
  class Crash < ActiveJob::Base
    def perform = Process.kill(:KILL, Process.pid)
  end
  class Move < ActiveJob::Base
    self.queue_adapter = Journal.new
    retry_on ArgumentError, queue: :slow, priority: 9, wait: 60, attempts: 3
    def perform = raise(ArgumentError, "not here")
  end
end
"#;
    std::fs::write(folder.join("extra.rb"), jobs).unwrap();
    let manifests = std::fs::read_to_string(folder.join("jobs.yaml")).unwrap();
    std::fs::remove_file(folder.join("jobs.yaml")).unwrap();
    std::fs::write(folder.join("jobs.yaml"), manifests.replace("errands.rb,", "errands.rb, extra.rb,")).unwrap();
    example
}

#[tokio::test]
async fn a_job_that_kills_its_process_has_failed_the_third_time() {
    let example = with_more_jobs().await;
    let id = example.ruby("require './extra'\nputs Extra::Crash.perform_later.job_id");
    let _running = example.start();
    let failed = example.reached(&id, JobState::Failed).await;
    let envelope = envelope(&failed);
    assert_eq!(envelope["exception_executions"], json!({"[Gritstone::HandlerCrashed]": 3}));
    assert_eq!(failed.error.unwrap().exception_class, "Gritstone::HandlerCrashed");
}

#[tokio::test]
async fn a_job_that_asks_for_another_queue_is_enqueued_there_as_rails_would() {
    let example = with_more_jobs().await;
    let program = "require './extra'\nExtra::Move.queue_adapter = ActiveJob::Base.queue_adapter\nputs Extra::Move.perform_later.job_id";
    let id = example.ruby(program);
    let _running = example.start();
    let done = example.reached(&id, JobState::Finished).await;
    assert_eq!(done.queue, "default");
    assert_eq!(example.journal(), [format!("{id} slow 9 1 {{\"[ArgumentError]\":1}} true")]);
}

#[tokio::test]
async fn a_discarded_job_is_finished() {
    let example = Example::new().await;
    let id = example.enqueue("Errands::Shop.perform_later");
    let _running = example.start();
    example.reached(&id, JobState::Finished).await;
    assert_eq!(example.journal(), ["Errands::Shop 1 begins", "Errands::Shop 1 discarded: closed on Sundays"]);
}

#[tokio::test]
async fn what_a_job_prints_is_logged_and_is_no_answer() {
    let example = Example::new().await;
    let id = example.enqueue("Errands::Sing.perform_later");
    let running = example.start();
    example.reached(&id, JobState::Finished).await;
    assert_eq!(example.journal(), ["Errands::Sing 1 begins", "Errands::Sing 1 ends"]);
    for printed in ["tra la la", "hey ho"] {
        until(&format!("{printed:?} is in the log"), async || running.log().contains(printed).then_some(())).await;
    }
}

#[tokio::test]
async fn a_job_that_a_job_enqueues_is_run_too() {
    let example = Example::new().await;
    example.enqueue("Errands::Delegate.perform_later('a parcel')");
    let _running = example.start();
    example.site.finished(2).await;
    let said = "Errands::Post 1 a parcel to :joe, Time 2026-01-02T03:04:05Z, []";
    assert!(example.journal().contains(&said.to_owned()), "{:?}", example.journal());
    let rows = example.site.rows("select queue_name, priority from solid_queue_jobs order by id desc limit 1").await;
    assert_eq!(rows, [["post", "3"]]);
}

#[tokio::test]
async fn rails_own_files_are_started_as_they_are_and_retry_on_decides() {
    let example = Example::new().await;
    let config = example.site.folder().join("config");
    std::fs::create_dir(&config).unwrap();
    let queue = "default: &default\n  dispatchers: [{polling_interval: 0.1}]\n  workers:\n    - queues: \"*\"\n      threads: 2\n      \
                 processes: <%= ENV.fetch(\"JOB_CONCURRENCY\", 1) %>\nproduction:\n  <<: *default\n";
    std::fs::write(config.join("queue.yml"), queue).unwrap();
    let recurring =
        "production:\n  call:\n    class: Errands::Call\n    args: [ \"555\" ]\n    schedule: every second\n";
    std::fs::write(config.join("recurring.yml"), recurring).unwrap();
    let environment = example.environment();
    let mut environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    environment.extend([("RAILS_ENV", "production"), ("JOB_CONCURRENCY", "2")]);
    let arguments = ["start", "--rails", "--process", "ruby gritstone_rails.rb errands.rb"];
    let mut running = example.site.run_with(&arguments, &environment);
    example.site.listed("Worker", 2).await;
    example.site.finished(1).await;
    assert!(running.stop().await.success(), "{}", running.log());
    let finished = "select arguments from solid_queue_jobs where finished_at is not null order by id limit 1";
    let envelope: Value = serde_json::from_str(&example.site.rows(finished).await[0][0]).unwrap();
    assert_eq!((&envelope["job_class"], &envelope["executions"]), (&json!("Errands::Call"), &json!(2)));
    assert!(example.journal().contains(&"Errands::Call 3 ends".to_owned()), "{:?}", example.journal());
}

#[tokio::test]
async fn a_record_is_found_by_its_global_id_in_a_rails_application() {
    let example = Example::new().await;
    let shop =
        "require './shop/config/environment'\nActiveJob::Base.queue_adapter = GritstoneRails::EnqueueAdapter.new\n";
    let ids = example.ruby(&format!(
        "{shop}gone = Order.create!\norder = Order.create!\n\
         puts [order, gone].map {{ |one| ShipOrder.perform_later(one, by: :ann).job_id }}\ngone.destroy!"
    ));
    let ids: Vec<&str> = ids.lines().collect();
    let arguments = &envelope(&example.job(ids[0]).await)["arguments"];
    assert_eq!(arguments[0], json!({"_aj_globalid": "gid://shop/Order/2"}));
    let _running = example.start();
    for id in ids {
        example.reached(id, JobState::Finished).await;
    }
    assert_eq!(
        example.ruby(&format!("{shop}puts Order.all.map {{ |one| [one.id, one.state].inspect }}")),
        r#"[2, "shipped by ann"]"#
    );
}
