//! A connection, whoever owns it: the one thing that every transition runs on.

use crate::error::Error;
use crate::sql::{Dialect, Row, Statement, Value, render};
use crate::transitions::KnownClasses;
use futures::StreamExt as _;
use sqlx::mysql::MySqlArguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use sqlx::{MySqlConnection, PgConnection, SqliteConnection, pool::PoolConnection};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A connection to the queue database on which transitions run.
///
/// It is a connection of its own ([`Store::connect`](crate::Store::connect)), one lent by the pool
/// ([`Store::session`](crate::Store::session)), or the caller's own, inside the caller's transaction
/// ([`Store::within`](crate::Store::within)); then nothing is committed here.
///
/// A future that is dropped halfway leaves its connection in an unknown state. Such a session refuses further work,
/// and its connection is closed instead of going back to the pool.
pub struct Session<'c> {
    wire: Wire<'c>,
    pub(crate) dialect: Dialect,
    pub(crate) features: Features,
    /// True from before a statement is sent until its answer was read whole.
    busy: bool,
    transaction: Transaction,
    writer: Arc<Mutex<()>>,
    pub(crate) known_classes: Arc<KnownClasses>,
}

/// What a database has beyond the tables that every version of Solid Queue makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// The batch tables and `solid_queue_jobs.batch_id` (Solid Queue 1.7, or our own migration).
    pub(crate) batches: bool,
}

/// A connection of one of the drivers: owned, lent by a pool, or borrowed from a caller.
pub(crate) enum Wire<'c> {
    Postgres(Held<'c, sqlx::Postgres>),
    MySql(Held<'c, sqlx::MySql>),
    Sqlite(Held<'c, sqlx::Sqlite>),
}

pub(crate) enum Held<'c, DB: sqlx::Database> {
    Owned(Box<DB::Connection>),
    Pooled(PoolConnection<DB>),
    Borrowed(&'c mut DB::Connection),
}

impl<DB: sqlx::Database> Held<'_, DB> {
    fn get(&mut self) -> &mut DB::Connection {
        match self {
            Held::Owned(connection) => connection,
            Held::Pooled(connection) => connection,
            Held::Borrowed(connection) => connection,
        }
    }

    fn is_borrowed(&self) -> bool {
        matches!(self, Held::Borrowed(_))
    }

    fn never_reuse(&mut self) {
        if let Held::Pooled(connection) = self {
            connection.close_on_drop();
        }
    }
}

/// A caller's own connection, usually in the middle of a transaction: `&mut *tx` of any of the three drivers.
pub struct Caller<'c>(pub(crate) Wire<'c>);

impl<'c> From<&'c mut PgConnection> for Caller<'c> {
    fn from(connection: &'c mut PgConnection) -> Self {
        Caller(Wire::Postgres(Held::Borrowed(connection)))
    }
}

impl<'c> From<&'c mut MySqlConnection> for Caller<'c> {
    fn from(connection: &'c mut MySqlConnection) -> Self {
        Caller(Wire::MySql(Held::Borrowed(connection)))
    }
}

impl<'c> From<&'c mut SqliteConnection> for Caller<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Caller(Wire::Sqlite(Held::Borrowed(connection)))
    }
}

enum Transaction {
    None,
    /// Ours, from `begin` to `commit`. SQLite's also holds this process's turn to write.
    Open(#[expect(dead_code, reason = "held, never read")] Option<OwnedMutexGuard<()>>),
    /// A savepoint inside the caller's transaction.
    Savepoint,
}

/// Runs `$work` on one driver's connection, whichever it is, with that driver's types as `Arguments` and `Kind`.
macro_rules! each_driver {
    ($wire:expr, $connection:ident => $work:expr) => {
        each_driver!(@ $wire, $connection, $work, Postgres PgArguments, MySql MySqlArguments, Sqlite SqliteArguments)
    };
    (@ $wire:expr, $connection:ident, $work:expr, $($driver:ident $arguments:ident),*) => {
        match $wire {
            $(Wire::$driver(held) => {
                #[allow(dead_code, reason = "not every piece of work names both")]
                type Arguments = $arguments;
                #[allow(unused_imports, reason = "not every piece of work names both")]
                use Row::$driver as Kind;
                let $connection = held.get();
                $work
            })*
        }
    };
}

impl<'c> Session<'c> {
    pub(crate) fn new(
        wire: Wire<'c>,
        dialect: Dialect,
        writer: Arc<Mutex<()>>,
        known_classes: Arc<KnownClasses>,
    ) -> Self {
        let features = Features::default();
        Session { wire, dialect, features, busy: false, transaction: Transaction::None, writer, known_classes }
    }

    /// Runs a statement; how many rows it changed (MySQL: how many it matched).
    pub(crate) async fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.refuse_if_abandoned()?;
        let done = each_driver!(&mut self.wire, connection => {
            let Statement { sql, arguments } = render::<Arguments>(sql, values)?;
            self.busy = true;
            connection.execute(sqlx::query_with(AssertSqlSafe(sql), arguments)).await.map(|done| done.rows_affected())
        });
        self.busy = false;
        Ok(done?)
    }

    /// Runs one statement as a transaction of its own, again when another transaction was in the way.
    pub(crate) async fn write(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        match self.dialect {
            // Not without this process's turn: see `begin`.
            Dialect::Sqlite if !self.is_borrowed() => transaction!(self, self.execute(sql, values).await),
            _ => until_no_conflict!(self, self.execute(sql, values).await),
        }
    }

    /// The clause for a plain read that must see what others have committed by now.
    ///
    /// Our own transactions are READ COMMITTED, where every statement does; inside a caller's on MySQL, which is
    /// REPEATABLE READ unless the caller says otherwise, only a locking read does.
    pub(crate) fn latest(&self) -> &'static str {
        if self.dialect.is_mysql() && self.is_borrowed() { self.dialect.for_share() } else { "" }
    }

    /// Runs a statement and reads all its rows.
    pub(crate) async fn query(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.refuse_if_abandoned()?;
        let rows = each_driver!(&mut self.wire, connection => {
            let Statement { sql, arguments } = render::<Arguments>(sql, values)?;
            self.busy = true;
            let rows = connection.fetch_all(sqlx::query_with(AssertSqlSafe(sql), arguments)).await;
            rows.map(|rows| rows.into_iter().map(Kind).collect())
        });
        self.busy = false;
        Ok(rows?)
    }

    /// Runs a statement that gives at most one row.
    pub(crate) async fn query_one(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// Runs one or more statements without values and without preparing them.
    pub(crate) async fn run(&mut self, sql: String) -> Result<(), Error> {
        self.refuse_if_abandoned()?;
        self.busy = true;
        let done = each_driver!(&mut self.wire, connection => {
            let mut results = connection.execute_many(sqlx::raw_sql(AssertSqlSafe(sql)));
            loop {
                match results.next().await {
                    None => break Ok(()),
                    Some(Err(error)) => break Err(error),
                    Some(Ok(_)) => {}
                }
            }
        });
        self.busy = false;
        Ok(done?)
    }

    /// PostgreSQL's own connection, for statements that only it can run; the flag says that it is in use.
    pub(crate) fn postgres(&mut self) -> Option<Postgres<'_>> {
        match &mut self.wire {
            Wire::Postgres(held) => Some(Postgres { connection: held.get(), busy: &mut self.busy }),
            _ => None,
        }
    }

    fn refuse_if_abandoned(&self) -> Result<(), Error> {
        if self.busy { Err(abandoned()) } else { Ok(()) }
    }

    /// Starts a transaction, or a savepoint inside the caller's.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        if self.is_borrowed() {
            self.run("savepoint gritstone".into()).await?;
            self.transaction = Transaction::Savepoint;
            return Ok(());
        }
        // SQLite's own waiting for the write lock is a poll with growing pauses, which starves one of many writers in
        // a process; they queue up here instead, first come, first served.
        let turn = match self.dialect {
            Dialect::Sqlite => Some(Arc::clone(&self.writer).lock_owned().await),
            _ => None,
        };
        self.transaction = Transaction::Open(turn);
        let begin = if self.dialect == Dialect::Sqlite { "begin immediate" } else { "begin" };
        let begun = self.run(begin.into()).await;
        if begun.is_err() {
            self.transaction = Transaction::None;
        }
        begun
    }

    /// Ends the transaction that [`begin`](Self::begin) started: commits it when `result` is good, else undoes it.
    pub(crate) async fn end<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        let sql = match (&self.transaction, result.is_ok()) {
            (Transaction::None, _) => return result,
            (Transaction::Savepoint, true) => "release savepoint gritstone",
            (Transaction::Savepoint, false) => "rollback to savepoint gritstone; release savepoint gritstone",
            (Transaction::Open(_), true) => "commit",
            (Transaction::Open(_), false) => "rollback",
        };
        let ended = self.run(sql.into()).await;
        match ended {
            Ok(()) => self.transaction = Transaction::None,
            // SQLite keeps the transaction open when COMMIT fails (disk full, busy).
            Err(_) if result.is_ok() => {
                if self.run("rollback".into()).await.is_ok() {
                    self.transaction = Transaction::None;
                }
            }
            Err(_) => {}
        }
        match result {
            Ok(value) => ended.map(|()| value),
            Err(error) => Err(error),
        }
    }

    /// True inside the caller's own transaction, which only the caller can run again.
    pub(crate) fn is_borrowed(&self) -> bool {
        match &self.wire {
            Wire::Postgres(held) => held.is_borrowed(),
            Wire::MySql(held) => held.is_borrowed(),
            Wire::Sqlite(held) => held.is_borrowed(),
        }
    }

    /// True when the connection can't be used any more.
    pub fn is_broken(&self) -> bool {
        self.busy || !matches!(self.transaction, Transaction::None)
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when none comes back.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.refuse_if_abandoned()?;
        self.busy = true;
        let done = each_driver!(&mut self.wire, connection => connection.ping().await);
        self.busy = false;
        Ok(done?)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.is_broken() {
            match &mut self.wire {
                Wire::Postgres(held) => held.never_reuse(),
                Wire::MySql(held) => held.never_reuse(),
                Wire::Sqlite(held) => held.never_reuse(),
            }
        }
    }
}

fn abandoned() -> Error {
    Error::Unavailable("an earlier statement on this connection was abandoned halfway".into())
}

/// PostgreSQL's connection together with the session's mark that it is in use.
pub(crate) struct Postgres<'s> {
    connection: &'s mut PgConnection,
    busy: &'s mut bool,
}

impl Postgres<'_> {
    /// Runs a prepared statement and reads all its rows.
    pub(crate) async fn fetch(
        &mut self,
        sql: &'static str,
        arguments: PgArguments,
    ) -> Result<Vec<sqlx::postgres::PgRow>, Error> {
        if *self.busy {
            return Err(abandoned());
        }
        *self.busy = true;
        let rows = self.connection.fetch_all(sqlx::query_with(sql, arguments)).await;
        *self.busy = false;
        Ok(rows?)
    }
}

/// Runs a script as one transaction, again when another transaction was in the way.
///
/// `$script` is an expression that yields `Result<T, Error>` and uses `$session`. It must have no effects
/// outside the database, since it may run several times.
macro_rules! transaction {
    ($session:ident, $script:expr) => {
        $crate::session::until_no_conflict!(
            $session,
            match $session.begin().await {
                Ok(()) => {
                    let result = $script;
                    $session.end(result).await
                }
                Err(error) => Err(error),
            }
        )
    };
}
pub(crate) use transaction;

/// Runs what is a transaction by itself, again when another transaction was in the way. Inside the caller's own
/// transaction it runs once: only the caller can run that again.
macro_rules! until_no_conflict {
    ($session:ident, $work:expr) => {{
        let mut tries = 0;
        loop {
            match $work {
                Err(error) if error.is_conflict() && tries < $crate::session::CONFLICT_RETRIES && !$session.is_borrowed() => {
                    tries += 1;
                    tracing::debug!(tries, %error, "running a transaction again");
                    $crate::session::pause_before_retry(tries).await;
                }
                result => break result,
            }
        }
    }};
}
pub(crate) use until_no_conflict;

/// How often a transaction that met another one is tried again before the error reaches the caller.
pub(crate) const CONFLICT_RETRIES: u32 = 20;

/// Waits a random moment that grows with the number of tries, so that two that met don't meet again.
pub(crate) async fn pause_before_retry(tries: u32) {
    let most = 2u64 << tries.min(6);
    tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(1..=most))).await;
}
