//! A database of a case's own.

use super::Raw;
use gritstone_store::{JobFilter, JobState, JobView, MigrateOptions, Session, Store, StoreOptions};
use gritstone_tests::servers::{Engine, Server, TestDatabase};
use std::collections::BTreeMap;
use std::time::Duration;

/// A database, and a store on it.
pub struct Db {
    pub store: Store,
    pub engine: Engine,
    database: TestDatabase,
}

impl Db {
    /// A migrated database.
    pub async fn new(engine: Engine) -> Db {
        let db = Db::empty(engine).await;
        db.store.migrate(MigrateOptions::default()).await.unwrap();
        db
    }

    /// A database without a single table.
    pub async fn empty(engine: Engine) -> Db {
        let database = TestDatabase::create(engine).await.unwrap_or_else(|error| panic!("{error}"));
        let store = Store::open(&database.url, StoreOptions::default()).unwrap();
        Db { store, engine, database }
    }

    /// A database into which Rails loaded its schema, and nothing of ours.
    pub async fn rails(engine: Engine) -> Db {
        let db = Db::empty(engine).await;
        let schema = match engine {
            Engine::Sqlite => include_str!("../../../fixtures/rails/schema.sqlite.sql"),
            Engine::Server(Server::Postgres) => include_str!("../../../fixtures/rails/schema.postgres.sql"),
            Engine::Server(_) => include_str!("../../../fixtures/rails/schema.mysql.sql"),
        };
        // MariaDB doesn't know MySQL's default collation.
        let schema = match engine {
            Engine::Server(Server::MariaDb) => schema.replace("utf8mb4_0900_ai_ci", "utf8mb4_unicode_ci"),
            _ => schema.to_owned(),
        };
        let keys_off = if db.is_mysql() { "set foreign_key_checks = 0; " } else { "" };
        db.run(&format!("{keys_off}{schema}")).await;
        db.run("insert into schema_migrations values ('1')").await;
        db
    }

    pub fn url(&self) -> &str {
        &self.database.url
    }

    pub fn is_mysql(&self) -> bool {
        matches!(self.engine, Engine::Server(server) if server.speaks_mysql())
    }

    pub fn is_sqlite(&self) -> bool {
        self.engine == Engine::Sqlite
    }

    pub fn is_postgres(&self) -> bool {
        self.engine == Engine::Server(Server::Postgres)
    }

    /// A store of another process: it shares nothing with this one but the database.
    pub fn other_store(&self) -> Store {
        Store::open(self.url(), StoreOptions { max_connections: 2, ..StoreOptions::default() }).unwrap()
    }

    pub async fn session(&self) -> Session<'static> {
        self.store.connect().await.unwrap()
    }

    pub async fn raw(&self) -> Raw {
        Raw::connect(self.engine, self.url()).await
    }

    pub async fn run(&self, sql: &str) {
        self.raw().await.run(sql).await;
    }

    pub async fn int(&self, sql: &str) -> i64 {
        self.raw().await.int(sql).await
    }

    pub async fn text(&self, sql: &str) -> String {
        self.raw().await.text(sql).await
    }

    /// SQL for a moment so many seconds from now, as this database keeps it.
    pub fn seconds_from_now(&self, seconds: i64) -> String {
        match self.engine {
            Engine::Sqlite => format!("strftime('%Y-%m-%d %H:%M:%f000', 'now', '{seconds} seconds')"),
            Engine::Server(Server::Postgres) => {
                format!("((clock_timestamp() at time zone 'utc') + {seconds} * interval '1 second')")
            }
            Engine::Server(_) => format!("(utc_timestamp(6) + interval {seconds} second)"),
        }
    }

    /// Rows of `solid_queue_<name>`.
    pub async fn count(&self, name: &str) -> i64 {
        self.int(&format!("select count(*) from solid_queue_{name}")).await
    }

    /// How many jobs are in each state that any job is in.
    pub async fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states = BTreeMap::new();
        for job in self.jobs().await {
            *states.entry(job.state.name()).or_default() += 1;
        }
        states
    }

    /// All jobs, by id.
    pub async fn jobs(&self) -> Vec<JobView> {
        let filter = JobFilter { limit: 100_000, ..JobFilter::default() };
        self.session().await.jobs(&filter).await.unwrap().jobs
    }

    pub async fn job(&self, job_id: i64) -> Option<JobView> {
        self.session().await.job(&job_id.to_string()).await.unwrap()
    }

    pub async fn state(&self, job_id: i64) -> Option<JobState> {
        self.job(job_id).await.map(|job| job.state)
    }

    /// Makes the time of scheduled jobs come.
    pub async fn let_time_pass(&self) {
        let past = self.seconds_from_now(-3600);
        self.run(&format!("update solid_queue_scheduled_executions set scheduled_at = {past}")).await;
    }

    /// Sessions on this database; SQLite has no such list.
    async fn sessions(&self, raw: &mut Raw) -> i64 {
        match self.engine {
            Engine::Sqlite => 0,
            Engine::Server(Server::Postgres) => {
                raw.int(
                    "select count(*) from pg_stat_activity \
                     where datname = current_database() and backend_type = 'client backend'",
                )
                .await
            }
            Engine::Server(_) => {
                raw.int("select count(*) from information_schema.processlist where db = database()").await
            }
        }
    }

    /// Waits until `raw` is the only session left: what an abandoned one was doing is then undone or done. The store's
    /// pool must not have been used.
    pub async fn wait_to_be_alone(&self, raw: &mut Raw) {
        while self.sessions(raw).await > 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if self.is_sqlite() {
            // Whoever still writes has the lock.
            raw.run("begin immediate; rollback").await;
        }
        if self.is_mysql() {
            // MySQL lists a session no more that is still being undone: its locks tell.
            for table in ["claimed", "ready", "scheduled", "blocked", "failed", "batch"] {
                raw.int(&format!("select count(*) from solid_queue_{table}_executions for update")).await;
            }
            raw.int("select count(*) from gritstone_signals for update").await;
        }
    }
}
