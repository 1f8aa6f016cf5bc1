//! A database, a folder, and what runs there.

use super::{Crew, Ledger, Running, Sql, gritstone, program, until};
use crate::servers::{Engine, TestDatabase};
use gritstone_store::{MigrateOptions, NewJob, Store, StoreOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

const HANDLER: &str = include_str!("handler.py");

/// A migrated queue and a crew for it.
pub struct Site {
    /// Where the database is.
    pub url: String,
    /// What it is a database of.
    pub engine: Engine,
    /// What handlers wrote down.
    pub ledger: Ledger,
    /// A store on it, of the test's own.
    pub store: Store,
    // Ends before the folder does.
    _database: Option<TestDatabase>,
    folder: TempDir,
    started: AtomicU32,
}

impl Site {
    /// On a database of its own.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn new(engine: impl Into<Engine>, crew: &Crew) -> Site {
        let database = TestDatabase::create(engine).await.unwrap_or_else(|error| panic!("{error}"));
        let (url, engine) = (database.url.clone(), database.engine());
        Site::at(engine, url, Some(database), crew).await
    }

    /// On a database that the test has made.
    ///
    /// # Panics
    /// When the tables can't be made there.
    pub async fn on(engine: impl Into<Engine>, url: String, crew: &Crew) -> Site {
        Site::at(engine.into(), url, None, crew).await
    }

    async fn at(engine: Engine, url: String, database: Option<TestDatabase>, crew: &Crew) -> Site {
        let folder = tempfile::Builder::new().prefix("gritstone-rig-").tempdir().expect("a folder for the rig");
        let store = Store::open(&url, StoreOptions::default()).expect("a store");
        store.migrate(MigrateOptions::default()).await.expect("the tables");
        let ledger = Ledger::at(folder.path().join("ledger"));
        let site = Site { url, engine, ledger, store, _database: database, folder, started: AtomicU32::new(0) };
        site.man(crew);
        site
    }

    /// Writes the crew's manifests; what starts from now on goes by them.
    ///
    /// # Panics
    /// When the folder can't be written to.
    pub fn man(&self, crew: &Crew) {
        let folder = self.folder.path();
        let script = folder.join("handler.py");
        std::fs::write(&script, HANDLER).expect("the handler");
        let command = [program::python(), &script.to_string_lossy(), &self.ledger.path().to_string_lossy()];
        let manifests = folder.join("manifests");
        std::fs::create_dir_all(&manifests).expect("the manifests' folder");
        for (name, text) in crew.manifests(&command) {
            std::fs::write(manifests.join(name), text).expect("a manifest");
        }
    }

    /// A place for a test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `gritstone start` on the manifests, as `async` or `fork`.
    pub fn start(&self, mode: &str) -> Running {
        self.run(&["start", "--mode", mode, "--file", &self.manifests(), "--shutdown-timeout", "5s"])
    }

    /// Starts `gritstone work` on the manifests.
    pub fn work(&self) -> Running {
        self.run(&["work", "--file", &self.manifests()])
    }

    /// Starts `gritstone work` as a container would, in a PID namespace of its own and told which pod it is in. Killed, all of it goes.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn work_in_pod(&self, uid: &str) -> Running {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(gritstone())
            .args(["work", "--file", &self.manifests()])
            .envs([("GRITSTONE_CLUSTER_ID", "here"), ("GRITSTONE_NAMESPACE", "shop")])
            .envs([("GRITSTONE_POD", "mail-1"), ("GRITSTONE_POD_UID", uid)])
            .envs([("DATABASE_URL", self.url.as_str()), ("GRITSTONE_LOG", "info")])
            .current_dir(self.folder());
        let log = self.folder.path().join(format!("{number:03}-pod.log"));
        Running::start(command, &log).expect("unshare and the gritstone command")
    }

    /// Starts `gritstone dispatch` on the manifests.
    pub fn dispatch(&self) -> Running {
        self.run(&["dispatch", "--file", &self.manifests()])
    }

    /// The folder of the manifests, as an argument.
    pub fn manifests(&self) -> String {
        self.folder.path().join("manifests").to_string_lossy().into_owned()
    }

    /// Starts the command with these arguments.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Running {
        self.run_with(arguments, &[])
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(gritstone());
        command.args(arguments).env("DATABASE_URL", &self.url).env("GRITSTONE_LOG", "info").current_dir(self.folder());
        command.envs(environment.iter().copied());
        let log = self.folder.path().join(format!("{number:03}-{}.log", arguments[0]));
        Running::start(command, &log).expect("the gritstone command")
    }

    /// Enqueues jobs that take so many seconds each; their ids.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue(&self, seconds: &[f64]) -> Vec<String> {
        self.enqueue_all(seconds.iter().map(|seconds| vec![json!(seconds)])).await
    }

    /// Enqueues one job with arguments for the handler; its id.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_one(&self, arguments: Vec<Value>) -> String {
        self.enqueue_all([arguments]).await.remove(0)
    }

    /// The same, before all others in the queue.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_first(&self, arguments: Vec<Value>) -> String {
        self.enqueue_jobs(&[NewJob::new("Work", arguments).priority(-1)]).await.remove(0)
    }

    async fn enqueue_all(&self, arguments: impl IntoIterator<Item = Vec<Value>>) -> Vec<String> {
        let jobs: Vec<NewJob> = arguments.into_iter().map(|arguments| NewJob::new("Work", arguments)).collect();
        self.enqueue_jobs(&jobs).await
    }

    /// Enqueues any jobs for the handler; their ids.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_jobs(&self, jobs: &[NewJob]) -> Vec<String> {
        let mut ids = Vec::new();
        for batch in jobs.chunks(500) {
            ids.extend(self.store.enqueue(batch).await.expect("the jobs").into_iter().map(|job| job.id));
        }
        ids
    }

    /// A connection for plain SQL.
    ///
    /// # Panics
    /// When the database can't be reached.
    pub async fn sql(&self) -> Sql {
        Sql::connect(self.engine, &self.url).await.unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }

    /// All rows of a query, as text.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.sql().await.rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// A number out of the database.
    ///
    /// # Panics
    /// When it isn't one.
    pub async fn int(&self, sql: &str) -> i64 {
        self.rows(sql).await[0][0].parse().unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Waits until that many jobs have finished.
    pub async fn finished(&self, count: usize) {
        let sql = "select count(*) from solid_queue_jobs where finished_at is not null";
        until(&format!("{count} jobs have finished"), async || (self.int(sql).await >= count as i64).then_some(()))
            .await;
    }

    /// Waits until the handler has begun that many runs.
    pub async fn begun(&self, count: usize) {
        until(&format!("{count} runs have begun"), async || (self.ledger.runs().len() >= count).then_some(())).await;
    }

    /// Waits until there are that many processes of a kind (`%` for any text) in the list; their pids.
    pub async fn listed(&self, kind: &str, count: usize) -> Vec<i32> {
        let sql = format!("select pid from solid_queue_processes where kind like '{kind}' order by id");
        until(&format!("{count} processes like {kind} are listed"), async || {
            let rows = self.rows(&sql).await;
            (rows.len() == count).then(|| rows.iter().filter_map(|row| row[0].parse().ok()).collect())
        })
        .await
    }

    /// How many rows a table has.
    ///
    /// # Panics
    /// When there is no such table.
    pub async fn count(&self, table: &str) -> i64 {
        self.int(&format!("select count(*) from solid_queue_{table}")).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut logs: Vec<_> =
            self.folder.path().read_dir().into_iter().flatten().flatten().map(|e| e.path()).collect();
        logs.sort();
        for log in logs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- {}\n{}", log.display(), lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
