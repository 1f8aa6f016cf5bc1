//! MariaDB, MySQL and SQLite: the same drain and enqueue beside raw SQL, run by a loop of our own instead of pgbench.

use crate::claim::{claim, register};
use crate::drain::{drain_with_worker, no_op};
use crate::enqueue::single;
use crate::figures::{Figures, Table};
use crate::latency::Latency;
use anyhow::{Result, bail};
use gritstone::store::{Commands, Mark, MigrateOptions, NewJob, Selection, Selector, Store, StoreOptions};
use gritstone_tests::servers::{PrivateServer, Server, ServerOptions};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _, SqliteConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Drains and enqueues on MariaDB, MySQL or SQLite, raw and by the engine, in turns.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Others {
    /// Which database
    database: Database,
    /// Jobs a run
    #[arg(long, default_value_t = 20_000)]
    jobs: u64,
    /// Jobs at a time in the worker
    #[arg(long, default_value_t = 200)]
    threads: u32,
    /// Jobs that raw SQL claims, or enqueues, at a time
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Pairs of runs
    #[arg(long, default_value_t = 7)]
    pairs: u32,
    /// Compare with our own drain of a fresh database, instead of raw SQL, with so many finished jobs in the table
    #[arg(long, default_value_t = 0)]
    finished: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Database {
    Mariadb,
    Mysql,
    Sqlite,
}

/// A connection for raw statements.
enum Raw {
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Raw {
    async fn connect(url: &str) -> Result<Self> {
        if url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(url).await?;
            connection.execute("pragma foreign_keys = on").await?;
            connection.execute("pragma synchronous = full").await?;
            return Ok(Raw::Sqlite(connection));
        }
        let mut connection = MySqlConnection::connect(url).await?;
        connection.execute("set session transaction isolation level read committed").await?;
        Ok(Raw::MySql(connection))
    }

    async fn run(&mut self, sql: String) -> Result<()> {
        match self {
            Raw::MySql(connection) => connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())?,
            Raw::Sqlite(connection) => connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Rows of two numbers.
    async fn pairs(&mut self, sql: String) -> Result<Vec<(i64, i64)>> {
        Ok(match self {
            Raw::MySql(connection) => {
                let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?
            }
            Raw::Sqlite(connection) => {
                let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?
            }
        })
    }

    fn is_mysql(&self) -> bool {
        matches!(self, Raw::MySql(_))
    }

    fn now(&self) -> &'static str {
        if self.is_mysql() { "utc_timestamp(6)" } else { "strftime('%Y-%m-%d %H:%M:%f000', 'now')" }
    }
}

/// Where databases are made.
struct Place {
    server: Option<PrivateServer>,
    folder: tempfile::TempDir,
    made: u32,
}

impl Place {
    /// A fresh database with the queue's tables.
    async fn queue(&mut self) -> Result<(String, Store)> {
        self.made += 1;
        let url = match &self.server {
            Some(server) => server.create_database(&format!("bench_{}", self.made)).await?,
            None => format!("sqlite://{}/{}.db", self.folder.path().display(), self.made),
        };
        let store = Store::open(&url, StoreOptions::default())?;
        store.migrate(MigrateOptions::default()).await?;
        Ok((url, store))
    }
}

impl Others {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        // What a server of production has: tests' own have a 64 MB cache, which a million jobs don't fit into.
        let options = ServerOptions::durable().with("innodb_buffer_pool_size", "1G");
        let server = match self.database {
            Database::Mariadb => {
                Some(PrivateServer::start(Server::MariaDb, options.with("innodb_log_file_size", "1G")).await?)
            }
            Database::Mysql => {
                Some(PrivateServer::start(Server::MySql, options.with("innodb_redo_log_capacity", "1G")).await?)
            }
            Database::Sqlite => None,
        };
        let mut place = Place { server, folder: tempfile::tempdir_in(".")?, made: 0 };
        if self.finished > 0 {
            return self.beside_finished(&mut place, table).await;
        }
        let (mut drains, mut enqueues) = (Vec::new(), Vec::new());
        for _ in 0..self.pairs {
            let mut rates = [0.0; 4];
            for (index, rate) in rates.iter_mut().enumerate() {
                let (url, store) = place.queue().await?;
                let took = match index {
                    0 => self.raw_enqueue(&url).await?,
                    1 => self.our_enqueue(&store).await?,
                    2 => {
                        self.our_enqueue(&store).await?;
                        self.raw_drain(&url).await?
                    }
                    _ => {
                        self.our_enqueue(&store).await?;
                        self.our_drain(&store, &url).await?
                    }
                };
                *rate = self.jobs as f64 / took.as_secs_f64();
                store.close().await;
            }
            enqueues.push((rates[0], rates[1]));
            drains.push((rates[2], rates[3]));
        }
        let title = self.title();
        table.rates(&format!("{title}: bulk enqueue, {} a call, 1 client", self.batch), "raw SQL", &enqueues);
        let drain = format!("{title}: drain, threads {}, raw batch {}, 1 client", self.threads, self.batch);
        table.rates(&drain, "raw SQL", &drains);
        self.one_at_a_time(&mut place, table).await
    }

    fn title(&self) -> String {
        format!("{:?}, {} jobs", self.database, self.jobs)
    }

    /// Single enqueues, single claims with an empty and with a long queue, and how long a job waits for its handler.
    async fn one_at_a_time(&self, place: &mut Place, table: &mut Table) -> Result<()> {
        const SINGLES: u32 = 1_000;
        let (url, store) = place.queue().await?;
        let raw = Others { jobs: SINGLES.into(), batch: 1, ..self.clone() }.raw_enqueue(&url).await?;
        let ours = single(&store, SINGLES).await?;
        let raw = raw.as_secs_f64() * 1e3 / f64::from(SINGLES);
        table.figure(
            &format!("{:?}: single enqueue, {SINGLES}; raw SQL's mean {raw:.3} ms", self.database),
            format!("median {:.3} ms, p99 {:.3} ms", ours.median() * 1e3, ours.quantile(0.99) * 1e3),
        );
        let (_, empty) = place.queue().await?;
        let (_, long) = place.queue().await?;
        self.our_enqueue(&long).await?;
        let any = Selection::Any { excluded: vec!["solid_queue_recurring".into()], mark: Mark::START };
        for (jobs, store) in [(0, &empty), (self.jobs, &long)] {
            let mut session = store.connect().await?;
            let process_id = register(&mut session).await?;
            let mut times = Vec::new();
            for _ in 0..SINGLES {
                times.push(claim(&mut session, process_id, &any, Commands::Leave, 1).await?.as_secs_f64());
            }
            let times = Figures::new(times);
            table.figure(
                &format!("{:?}: claim of 1 with {jobs} jobs ready, as its caller sees it", self.database),
                format!("median {:.3} ms, p99 {:.3} ms", times.median() * 1e3, times.quantile(0.99) * 1e3),
            );
        }
        let (url, store) = place.queue().await?;
        Latency { arrivals: 1_000, pause: 40 }.on(&store, &url, &format!("{:?}", self.database), table).await
    }

    async fn beside_finished(&self, place: &mut Place, table: &mut Table) -> Result<()> {
        let mut pairs = Vec::new();
        for _ in 0..self.pairs {
            let mut rates = [0.0; 2];
            for (index, rate) in rates.iter_mut().enumerate() {
                let (url, store) = place.queue().await?;
                if index == 1 {
                    self.fill_finished(&store, &url).await?;
                }
                self.our_enqueue(&store).await?;
                *rate = self.jobs as f64 / self.our_drain(&store, &url).await?.as_secs_f64();
                store.close().await;
            }
            pairs.push((rates[0], rates[1]));
        }
        let title = format!("{}: drain, {} finished jobs in the table", self.title(), self.finished);
        table.rates(&title, "undisturbed", &pairs);
        Ok(())
    }

    /// Doubles what is there until there is enough.
    async fn fill_finished(&self, store: &Store, url: &str) -> Result<()> {
        let mut raw = Raw::connect(url).await?;
        let now = raw.now();
        store.enqueue(&vec![NewJob::new("Hello", vec![json!("x".repeat(100))]); 1_000]).await?;
        raw.run("delete from solid_queue_ready_executions".into()).await?;
        raw.run(format!("update solid_queue_jobs set finished_at = {now}")).await?;
        let mut there = 1_000;
        while there < self.finished {
            raw.run(format!(
                "insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, scheduled_at, finished_at, created_at, updated_at) \
                 select queue_name, class_name, arguments, priority, active_job_id, scheduled_at, finished_at, created_at, updated_at \
                 from solid_queue_jobs limit {}",
                there.min(self.finished - there)
            ))
            .await?;
            there *= 2;
        }
        Ok(())
    }

    async fn raw_enqueue(&self, url: &str) -> Result<Duration> {
        let mut raw = Raw::connect(url).await?;
        let now = raw.now();
        let row = format!(
            "('default', 'Hello', '{}', 0, 'cd6eee7a-e427-472f-b7b9-cc5c5900fdb9', {now}, {now}, {now})",
            "x".repeat(300)
        );
        let rows = vec![row; self.batch].join(", ");
        let begin = if raw.is_mysql() { "begin" } else { "begin immediate" };
        let began = Instant::now();
        for _ in 0..self.jobs / self.batch as u64 {
            raw.run(begin.into()).await?;
            let last = if raw.is_mysql() {
                "cast(last_insert_id() as signed)"
            } else {
                "(select max(id) from solid_queue_jobs)"
            };
            raw.run(format!("insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, scheduled_at, created_at, updated_at) values {rows}")).await?;
            let first = raw.pairs(format!("select {last}, 0")).await?.first().map_or(0, |row| row.0);
            let (low, high) = if raw.is_mysql() {
                (first, first + self.batch as i64)
            } else {
                (first - self.batch as i64 + 1, first + 1)
            };
            raw.run(format!("insert into solid_queue_ready_executions (job_id, queue_name, priority, created_at) select id, queue_name, priority, {now} from solid_queue_jobs where id >= {low} and id < {high}")).await?;
            raw.run("commit".into()).await?;
        }
        Ok(began.elapsed())
    }

    async fn our_enqueue(&self, store: &Store) -> Result<Duration> {
        let batch = vec![NewJob::new("Hello", vec![json!(1), json!("two")]); self.batch];
        let began = Instant::now();
        for _ in 0..self.jobs / self.batch as u64 {
            store.enqueue(&batch).await?;
        }
        Ok(began.elapsed())
    }

    async fn raw_drain(&self, url: &str) -> Result<Duration> {
        let mut raw = Raw::connect(url).await?;
        let now = raw.now();
        let (begin, lock, share) = match raw.is_mysql() {
            true => ("begin", " for update skip locked", " lock in share mode"),
            false => ("begin immediate", "", ""),
        };
        raw.run(format!("insert into solid_queue_processes (id, kind, last_heartbeat_at, pid, name, created_at) values (1, 'Worker', {now}, 1, 'raw', {now})")).await?;
        let list = |ids: Vec<i64>| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let began = Instant::now();
        let mut done = 0;
        loop {
            raw.run(begin.into()).await?;
            raw.pairs(format!("select id, id from solid_queue_processes where id = 1{share}")).await?;
            let picked = raw
                .pairs(format!(
                    "select id, job_id from solid_queue_ready_executions order by priority, job_id limit {}{lock}",
                    self.batch
                ))
                .await?;
            if picked.is_empty() {
                raw.run("commit".into()).await?;
                break;
            }
            let jobs = list(picked.iter().map(|(_, job)| *job).collect());
            raw.run(format!(
                "delete from solid_queue_ready_executions where id in ({})",
                list(picked.iter().map(|(id, _)| *id).collect())
            ))
            .await?;
            raw.run(format!("insert into solid_queue_claimed_executions (job_id, process_id, created_at) select id, 1, {now} from solid_queue_jobs where id in ({jobs})")).await?;
            let claims = raw.pairs(format!("select c.id, length(j.arguments) from solid_queue_claimed_executions c join solid_queue_jobs j on j.id = c.job_id where c.job_id in ({jobs})")).await?;
            raw.run("commit".into()).await?;
            raw.run(begin.into()).await?;
            raw.run(format!(
                "delete from solid_queue_claimed_executions where id in ({})",
                list(claims.iter().map(|(id, _)| *id).collect())
            ))
            .await?;
            raw.run(format!(
                "update solid_queue_jobs set finished_at = {now}, updated_at = {now} where id in ({jobs})"
            ))
            .await?;
            raw.run("commit".into()).await?;
            done += claims.len() as u64;
        }
        if done < self.jobs {
            bail!("raw SQL drained {done} of {} jobs", self.jobs);
        }
        Ok(began.elapsed())
    }

    async fn our_drain(&self, store: &Store, url: &str) -> Result<Duration> {
        let url = url.to_owned();
        drain_with_worker(store, self.threads, vec![Selector::All], Arc::new(no_op()), self.jobs, || async move {
            let mut raw = Raw::connect(&url).await?;
            loop {
                let left = raw.pairs("select id, job_id from solid_queue_ready_executions limit 1".into()).await?;
                let held = raw.pairs("select id, job_id from solid_queue_claimed_executions limit 1".into()).await?;
                if left.is_empty() && held.is_empty() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}
