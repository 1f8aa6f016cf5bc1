//! The PostgreSQL that is measured on, and raw SQL by pgbench.

use anyhow::{Context as _, Result, bail};
use gritstone::store::{MigrateOptions, Store, StoreOptions};
use gritstone_tests::servers::{PrivateServer, Server, ServerOptions, TENANT};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

pub(crate) struct Bench {
    pub(crate) server: PrivateServer,
    databases: u32,
}

/// A fresh database with the queue's tables.
pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) store: Store,
}

impl Bench {
    /// A durable server: fsync on, a log large enough that checkpoints don't fall into the measurement.
    pub(crate) async fn start() -> Result<Self> {
        let options = ServerOptions::durable()
            .with("shared_buffers", "1GB")
            .with("max_wal_size", "8GB")
            .with("checkpoint_timeout", "30min")
            .with("autovacuum", "off")
            .with("shared_preload_libraries", "pg_stat_statements");
        let server = PrivateServer::start(Server::Postgres, options).await?;
        let mut admin = PgConnection::connect(&server.admin_url()).await?;
        admin.execute(AssertSqlSafe(format!("grant pg_checkpoint to {TENANT}"))).await?;
        Ok(Bench { server, databases: 0 })
    }

    /// Starts counting statements anew.
    pub(crate) async fn count_statements(&self) -> Result<()> {
        let mut admin = PgConnection::connect(&self.server.admin_url()).await?;
        admin.execute("create extension if not exists pg_stat_statements").await?;
        admin.execute("select pg_stat_statements_reset()").await?;
        Ok(())
    }

    /// The statements that took the most time since: calls, mean microseconds, rows, text.
    pub(crate) async fn statements(&self, containing: &str) -> Result<Vec<(i64, f64, i64, String)>> {
        let mut admin = PgConnection::connect(&self.server.admin_url()).await?;
        let sql = "select calls, mean_exec_time * 1000, rows, query from pg_stat_statements \
                   where query like '%' || $1 || '%' order by total_exec_time desc limit 8";
        Ok(sqlx::query_as(sql).bind(containing).fetch_all(&mut admin).await?)
    }

    /// A fresh database without tables; its URL.
    pub(crate) async fn database(&mut self) -> Result<String> {
        self.databases += 1;
        Ok(self.server.create_database(&format!("bench_{}", self.databases)).await?)
    }

    pub(crate) async fn queue(&mut self) -> Result<Queue> {
        let url = self.database().await?;
        let store = Store::open(&url, StoreOptions::default())?;
        store.migrate(MigrateOptions::default()).await?;
        Ok(Queue { url, store })
    }
}

impl Queue {
    /// Runs a statement, by psql.
    pub(crate) async fn psql(&self, sql: &str) -> Result<String> {
        psql(&self.url, ["-c", sql]).await
    }

    /// Fills the queue with ready jobs and settles the tables.
    pub(crate) async fn fill(&self, jobs: u64) -> Result<()> {
        let envelope = r#"{"job_class":"Hello","job_id":"cd6eee7a-e427-472f-b7b9-cc5c5900fdb9","provider_job_id":null,"queue_name":"default","priority":null,"arguments":[],"executions":0,"exception_executions":{},"locale":"en","timezone":"UTC","enqueued_at":"2026-11-21T21:49:07.743679217Z","scheduled_at":"2026-11-21T21:49:07.743104217Z"}"#;
        self.psql(&format!(
            "with j as (insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, created_at, updated_at, scheduled_at) \
             select 'default', 'Hello', '{envelope}', 0, gen_random_uuid(), now(), now(), now() from generate_series(1, {jobs}) returning id) \
             insert into solid_queue_ready_executions (job_id, queue_name, priority, created_at) select id, 'default', 0, now() from j order by id"
        ))
        .await?;
        settle(&self.url).await
    }

    /// Puts finished jobs into the table.
    pub(crate) async fn fill_finished(&self, jobs: u64) -> Result<()> {
        self.psql(&format!(
            "insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, created_at, updated_at, scheduled_at, finished_at) \
             select 'default', 'Hello', repeat('x', 300), 0, gen_random_uuid(), now(), now(), now(), now() from generate_series(1, {jobs})"
        ))
        .await?;
        Ok(())
    }

    /// Writes everything down, so that nobody measures the one before.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        self.psql("checkpoint").await?;
        Ok(())
    }

    /// Processes for raw claims to claim for: pgbench has no other name than its client's number.
    pub(crate) async fn register_clients(&self, clients: u32) -> Result<()> {
        self.psql(&format!(
            "insert into solid_queue_processes (id, kind, last_heartbeat_at, pid, name, created_at) \
             select n, 'Worker', now(), 1, 'raw-' || n, now() from generate_series(1, {clients}) n"
        ))
        .await?;
        Ok(())
    }

    /// Runs a script of `benches/raw` in two clients, so many times in each; the time it took.
    pub(crate) async fn pgbench(&self, script: &str, batch: u32, transactions: u64) -> Result<Duration> {
        let began = Instant::now();
        let output = Command::new(pgbench()?)
            .args(["-n", "-M", "prepared", "-c", "2", "-j", "1"])
            .args(["-D", &format!("batch={batch}"), "-t", &transactions.to_string()])
            .arg("-f")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("raw").join(script))
            .arg(&self.url)
            .output()
            .await?;
        if !output.status.success() {
            bail!("pgbench {script}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(began.elapsed())
    }
}

/// Statistics of full tables, and everything written down, as before every drain that is measured.
pub(crate) async fn settle(url: &str) -> Result<()> {
    psql(url, ["-c", "vacuum analyze"]).await?;
    psql(url, ["-c", "checkpoint"]).await?;
    Ok(())
}

/// Runs a statement (`-c`) or a file of them (`-f`) on a database, by psql; what it printed.
pub(crate) async fn psql(url: &str, what: [&str; 2]) -> Result<String> {
    let arguments = ["-XAtq", "-v", "ON_ERROR_STOP=1", what[0], what[1], url];
    let output = Command::new("psql").args(arguments).output().await.context("psql")?;
    if !output.status.success() {
        bail!("{}: {}", what[1], String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn pgbench() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let mut found: Vec<PathBuf> =
        versions.flatten().map(|version| version.path().join("bin/pgbench")).filter(|p| p.exists()).collect();
    found.sort();
    found.pop().context("pgbench is not installed: run scripts/install-test-servers")
}
