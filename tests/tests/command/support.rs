//! What the cases stand on: a folder and a database of their own, and the command run in it.

use gritstone_store::{
    Claim, ClaimedJob, Commands, Finish, Identity, JobError, JobState, JobView, Mark, NewProcess, Selection, Session,
    Store, StoreOptions, Verdict,
};
use gritstone_tests::rig;
use gritstone_tests::servers::{Engine, TestDatabase};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A folder to work in, and a database.
pub struct Home {
    folder: TempDir,
    url: String,
    _database: Option<TestDatabase>,
}

/// What a run of the command left.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Home {
    /// A SQLite file with tables.
    pub fn new() -> Home {
        let home = Home::empty();
        home.run(&["migrate"]).ok();
        home
    }

    /// The name of a SQLite file that isn't there yet.
    pub fn empty() -> Home {
        let folder = tempfile::Builder::new().prefix("gritstone-command-").tempdir().unwrap();
        let url = format!("sqlite://{}?synchronous=normal", folder.path().join("queue.db").display());
        Home { folder, url, _database: None }
    }

    /// A database with tables on any engine.
    pub async fn on(engine: Engine) -> Home {
        let database = TestDatabase::create(engine).await.unwrap_or_else(|error| panic!("{error}"));
        let home = Home::at(&database.url);
        home.run(&["migrate"]).ok();
        Home { _database: Some(database), ..home }
    }

    /// A database that someone else looks after.
    pub fn at(url: &str) -> Home {
        Home { url: url.to_owned(), ..Home::empty() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A path in its folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into its folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The command, in its folder and on its database, with nothing else in its environment that it would read.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(rig::gritstone());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DATABASE_URL", &self.url)
            .env_remove("GRITSTONE_LOG")
            .env_remove("GRITSTONE_LOG_FORMAT")
            .env_remove("RAILS_ENV")
            .env_remove("RACK_ENV")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments))
    }

    /// Runs it with something to read.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // It may end before it has read everything.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran::new(output)
    }

    /// Starts a command that runs on.
    pub fn start(&self, arguments: &[&str]) -> Started {
        let file = tempfile::Builder::new().prefix("log-").tempfile_in(self.folder.path()).unwrap();
        let (file, log) = file.keep().unwrap();
        let process = self.command(arguments).stderr(file).stdout(Stdio::null()).spawn().unwrap();
        Started { process, log }
    }

    /// Waits until a job is in this state.
    pub async fn becomes(&self, job_id: i64, state: JobState) {
        let what = format!("job {job_id} is {}", state.name());
        rig::until(&what, async || self.state(job_id).await.filter(|now| *now == state)).await;
    }

    pub async fn store(&self) -> Store {
        Store::open(&self.url, StoreOptions::default()).unwrap()
    }

    pub async fn session(&self) -> Session<'static> {
        self.store().await.connect().await.unwrap()
    }

    pub async fn job(&self, job_id: i64) -> Option<JobView> {
        self.session().await.job(&job_id.to_string()).await.unwrap()
    }

    pub async fn state(&self, job_id: i64) -> Option<JobState> {
        self.job(job_id).await.map(|job| job.state)
    }

    /// Enqueues so many jobs of a class; their row ids are the next ones.
    pub fn enqueue(&self, class: &str, count: u32) {
        self.run(&["enqueue", class, "--count", &count.to_string()]).ok();
    }

    /// A worker that claims so many of the ready jobs.
    pub async fn claim(&self, count: u32) -> (i64, Vec<ClaimedJob>) {
        let mut session = self.session().await;
        let process_id = session.register(&worker()).await.unwrap().process_id;
        let selection = Selection::Any { excluded: vec![], mark: Mark::START };
        let claim = Claim {
            process_id,
            selection: &selection,
            limit: count,
            classes: None,
            skip_locked: true,
            commands: Commands::Take,
            ahead: None,
        };
        (process_id, session.claim(&claim).await.unwrap().jobs)
    }

    /// Lets a worker claim so many jobs and end them so.
    pub async fn end(&self, count: u32, verdict: Verdict) {
        let (process_id, jobs) = self.claim(count).await;
        assert_eq!(jobs.len(), count as usize);
        let mut session = self.session().await;
        let finishes: Vec<Finish> = jobs
            .iter()
            .map(|job| Finish { claim_id: job.claim_id, job_id: job.job_id, verdict: verdict.clone() })
            .collect();
        let settled = session.finish(&finishes, true).await.unwrap();
        session.signal().await.unwrap();
        session.complete_batches(&settled.batch_ids).await.unwrap();
        session.deregister(process_id).await.unwrap();
    }

    /// Fails so many of the ready jobs.
    pub async fn fail(&self, count: u32) {
        let error = JobError::new("Oops", "it broke\nbadly");
        self.end(count, Verdict::Fail { error, envelope: None }).await;
    }
}

/// A command that runs on, and is killed with its test.
pub struct Started {
    process: Child,
    log: PathBuf,
}

impl Started {
    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// Waits until it has logged this.
    pub async fn says(&self, text: &str) {
        rig::until(&format!("the log says {text}"), async || self.log().contains(text).then_some(())).await;
    }

    /// Stops it gracefully.
    pub fn stop(mut self) {
        rig::processes::send(self.pid(), rig::Signal::SIGTERM);
        self.process.wait().unwrap();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A worker under a name of its own.
fn worker() -> NewProcess {
    NewProcess {
        kind: "Worker".into(),
        name: format!("worker-{}", uuid::Uuid::new_v4().simple()),
        pid: std::process::id(),
        hostname: "host".into(),
        supervisor_id: None,
        metadata: serde_json::json!({"queues": "default,mail*"}),
        identity: Identity { incarnation: uuid::Uuid::new_v4().to_string(), ..Identity::default() },
        max_interruptions: 3,
    }
}

impl Ran {
    pub fn of(mut command: Command) -> Ran {
        Ran::new(command.output().unwrap())
    }

    pub fn new(output: std::process::Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It went well.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.code(0)
    }

    /// It ended with this code, and didn't panic.
    #[track_caller]
    pub fn code(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        assert!(self.err.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Stdout has this text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Ran {
        assert!(self.out.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
