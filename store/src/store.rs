//! The way in: a URL becomes a store, a store gives sessions.

use crate::error::Error;
use crate::session::{CONFLICT_RETRIES, Caller, Features, Held, Session, Wire, pause_before_retry};
use crate::sql::Dialect;
use crate::transitions::KnownClasses;
use crate::url::{DatabaseUrl, Synchronous};
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// A queue database. Cheap to clone; clones share one small pool.
///
/// Making one connects to nothing, so it works while the database is away.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.url)
    }
}

struct Inner {
    url: DatabaseUrl,
    pool: Pool,
    /// What connections found out: flags. Without `KNOWN` there were no tables yet, and the next one looks again.
    found: AtomicU8,
    connect_timeout: Duration,
    /// SQLite: this process's turn to write.
    writer: Arc<Mutex<()>>,
    /// The defaults of classes, as last read.
    known_classes: Arc<KnownClasses>,
    notifier: crate::notify::Notifier,
}

enum Pool {
    Postgres(sqlx::PgPool, PgConnectOptions),
    MySql(sqlx::MySqlPool, MySqlConnectOptions),
    Sqlite(sqlx::SqlitePool, SqliteConnectOptions),
}

const KNOWN: u8 = 1;
const BATCHES: u8 = 2;
const MARIADB: u8 = 4;

/// How a store connects.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most connections that the pool holds at a time. Dedicated connections are not counted.
    pub max_connections: u32,
    /// How long connecting, or waiting for a connection of the pool, may take.
    pub connect_timeout: Duration,
    /// What the connections are called in `pg_stat_activity`.
    pub application_name: String,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            max_connections: 4,
            connect_timeout: Duration::from_secs(10),
            application_name: "gritstone".into(),
        }
    }
}

impl Store {
    /// A store for the database that `url` names. Connects on first use.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL can't be read.
    pub fn open(url: &str, options: StoreOptions) -> Result<Self, Error> {
        Self::open_at(DatabaseUrl::parse(url)?, options)
    }

    /// The same, for a URL that was read already.
    ///
    /// # Errors
    /// [`Error::Url`] when its parameters make no sense to the driver.
    pub fn open_at(url: DatabaseUrl, options: StoreOptions) -> Result<Self, Error> {
        let unreadable = |e: sqlx::Error| Error::Url(crate::url::UrlError::Unreadable { reason: e.to_string() });
        let pool = match &url {
            DatabaseUrl::Postgres(url) => {
                let connect = PgConnectOptions::from_url(url)
                    .map_err(unreadable)?
                    .application_name(&options.application_name)
                    // A client that vanished in the middle of a transaction would hold its locks for ever.
                    .options([("idle_in_transaction_session_timeout", "60s")])
                    .disable_statement_logging();
                Pool::Postgres(
                    PgPoolOptions::new()
                        .max_connections(options.max_connections)
                        .acquire_timeout(options.connect_timeout)
                        .test_before_acquire(false)
                        .connect_lazy_with(connect.clone()),
                    connect,
                )
            }
            DatabaseUrl::MySql(url) => {
                let connect = MySqlConnectOptions::from_url(url).map_err(unreadable)?.disable_statement_logging();
                // sqlx prefers TLS; a server on this machine rarely has a certificate that would verify.
                let connect = match url.query_pairs().any(|(name, _)| name.starts_with("ssl")) {
                    true => connect,
                    false => connect.ssl_mode(MySqlSslMode::Preferred),
                };
                Pool::MySql(
                    MySqlPoolOptions::new()
                        .max_connections(options.max_connections)
                        .acquire_timeout(options.connect_timeout)
                        .test_before_acquire(false)
                        .after_connect(|connection, _| Box::pin(prepare_mysql(connection)))
                        .connect_lazy_with(connect.clone()),
                    connect,
                )
            }
            DatabaseUrl::Sqlite { path, synchronous } => {
                let connect = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .foreign_keys(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(match synchronous {
                        Synchronous::Full => SqliteSynchronous::Full,
                        Synchronous::Normal => SqliteSynchronous::Normal,
                    })
                    .busy_timeout(Duration::from_secs(5))
                    .disable_statement_logging();
                Pool::Sqlite(
                    SqlitePoolOptions::new()
                        .max_connections(options.max_connections)
                        .acquire_timeout(options.connect_timeout)
                        .test_before_acquire(false)
                        .connect_lazy_with(connect.clone()),
                    connect,
                )
            }
        };
        let inner = Inner {
            url,
            pool,
            connect_timeout: options.connect_timeout,
            found: AtomicU8::new(0),
            writer: Arc::default(),
            known_classes: Arc::default(),
            notifier: crate::notify::Notifier::default(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The database's address, without a password.
    pub fn url(&self) -> &DatabaseUrl {
        &self.inner.url
    }

    /// A connection lent by the pool, for whatever isn't a hot loop.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none to be had in time.
    pub async fn session(&self) -> Result<Session<'static>, Error> {
        let wire = match &self.inner.pool {
            Pool::Postgres(pool, _) => Wire::Postgres(Held::Pooled(pool.acquire().await?)),
            Pool::MySql(pool, _) => Wire::MySql(Held::Pooled(pool.acquire().await?)),
            Pool::Sqlite(pool, _) => Wire::Sqlite(Held::Pooled(pool.acquire().await?)),
        };
        self.welcome(wire).await
    }

    /// A connection of its own, for a hot loop: the pool would check and return it at each use.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database can't be reached.
    pub async fn connect(&self) -> Result<Session<'static>, Error> {
        let connect = async {
            // The first connections to a new SQLite file all want to make it write ahead, for which SQLite waits for nobody.
            let mut tries = 0;
            loop {
                match self.connect_once().await {
                    Err(error) if error.is_conflict() && tries < CONFLICT_RETRIES => {
                        tries += 1;
                        pause_before_retry(tries).await;
                    }
                    result => break result,
                }
            }
        };
        let limit = self.inner.connect_timeout;
        tokio::time::timeout(limit, connect)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable(format!("{} did not answer within {limit:?}", self.inner.url))))
    }

    async fn connect_once(&self) -> Result<Session<'static>, Error> {
        let wire = match &self.inner.pool {
            Pool::Postgres(_, options) => {
                let connection = options.connect().await.map_err(|error| self.unconnected(error))?;
                Wire::Postgres(Held::Owned(Box::new(connection)))
            }
            Pool::MySql(_, options) => {
                let mut connection = options.connect().await.map_err(|error| self.unconnected(error))?;
                prepare_mysql(&mut connection).await?;
                Wire::MySql(Held::Owned(Box::new(connection)))
            }
            Pool::Sqlite(_, options) => Wire::Sqlite(Held::Owned(Box::new(options.connect().await?))),
        };
        self.welcome(wire).await
    }

    /// Why there is no connection. The drivers don't say which file it was that they could not read.
    fn unconnected(&self, error: sqlx::Error) -> Error {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let file = match &error {
            sqlx::Error::Io(error) if matches!(error.kind(), NotFound | PermissionDenied) => {
                self.inner.url.unreadable_file()
            }
            _ => None,
        };
        file.map_or_else(|| error.into(), Error::Unavailable)
    }

    /// A session on the caller's own connection: what it does belongs to the caller's transaction.
    ///
    /// # Errors
    /// [`Error::Refused`] when the connection is of another kind of database than this store;
    /// [`Error::Unavailable`] when the database must be asked what it is, and can't be.
    pub async fn within<'c>(&self, connection: impl Into<Caller<'c>>) -> Result<Session<'c>, Error> {
        let Caller(wire) = connection.into();
        let same = matches!(
            (&wire, &self.inner.pool),
            (Wire::Postgres(_), Pool::Postgres(..))
                | (Wire::MySql(_), Pool::MySql(..))
                | (Wire::Sqlite(_), Pool::Sqlite(..))
        );
        if !same {
            return Err(Error::Refused("the connection is not to the kind of database that this store is for".into()));
        }
        self.welcome(wire).await
    }

    /// Forgets what was found out about the database, after a migration changed it.
    pub fn forget_schema(&self) {
        self.inner.found.store(0, Ordering::Release);
    }

    /// Closes the pool's connections. Sessions that are out keep theirs until dropped.
    pub async fn close(&self) {
        match &self.inner.pool {
            Pool::Postgres(pool, _) => pool.close().await,
            Pool::MySql(pool, _) => pool.close().await,
            Pool::Sqlite(pool, _) => pool.close().await,
        }
    }

    pub(crate) fn notifier(&self) -> &crate::notify::Notifier {
        &self.inner.notifier
    }

    /// A pool of one connection for whoever listens on PostgreSQL: a listener keeps its connection, and the store's own
    /// pool is small.
    pub(crate) fn listening_pool(&self) -> Option<sqlx::PgPool> {
        match &self.inner.pool {
            Pool::Postgres(_, options) => Some(
                PgPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(self.inner.connect_timeout)
                    .connect_lazy_with(options.clone()),
            ),
            _ => None,
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.inner.pool, Pool::Postgres(..))
    }

    async fn welcome<'c>(&self, wire: Wire<'c>) -> Result<Session<'c>, Error> {
        let mut found = self.inner.found.load(Ordering::Acquire);
        let dialect = match (&wire, found & MARIADB != 0) {
            (Wire::Postgres(_), _) => Dialect::Postgres,
            (Wire::MySql(_), false) => Dialect::MySql,
            (Wire::MySql(_), true) => Dialect::MariaDb,
            (Wire::Sqlite(_), _) => Dialect::Sqlite,
        };
        let (writer, classes) = (Arc::clone(&self.inner.writer), Arc::clone(&self.inner.known_classes));
        let mut session = Session::new(wire, dialect, writer, classes);
        if found & KNOWN == 0 {
            found = explore(&mut session).await?;
            self.inner.found.store(found, Ordering::Release);
            if found & MARIADB != 0 {
                session.dialect = Dialect::MariaDb;
            }
        }
        session.features = Features { batches: found & BATCHES != 0 };
        Ok(session)
    }
}

/// Each connection to MySQL: READ COMMITTED, since REPEATABLE READ locks the gaps between rows and deadlocks queues;
/// and strict, since otherwise a server may be set to cut what is too long.
async fn prepare_mysql(connection: &mut sqlx::MySqlConnection) -> Result<(), sqlx::Error> {
    use sqlx::Executor as _;
    connection.execute("set session transaction isolation level read committed").await?;
    connection.execute("set session sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES')").await?;
    Ok(())
}

async fn explore(session: &mut Session<'_>) -> Result<u8, Error> {
    let mut found = 0;
    if session.dialect.is_mysql()
        && let Some(row) = session.query_one("select version()", &[]).await?
        && row.text(0)?.to_lowercase().contains("mariadb")
    {
        found |= MARIADB;
    }
    if crate::migrate::has_column(session, "solid_queue_jobs", "batch_id").await? {
        found |= KNOWN | BATCHES;
    } else if crate::migrate::has_column(session, "solid_queue_jobs", "id").await? {
        found |= KNOWN;
    }
    Ok(found)
}
