//! The servers that the other tests stand on.

use std::time::Duration;

use gritstone_tests::servers::{Engine, PrivateServer, Server, ServerError, ServerOptions, TestDatabase, admin_url};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, raw_sql};
use tokio::time::timeout;

/// A session of any of the databases; every statement here is understood by all of them.
enum Session {
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Session {
    async fn open(url: &str) -> sqlx::Result<Self> {
        if url.starts_with("mysql:") {
            return MySqlConnection::connect(url).await.map(Session::MySql);
        }
        PgConnection::connect(url).await.map(Session::Postgres)
    }

    async fn of(database: &TestDatabase) -> Self {
        let Some(path) = database.path() else { return Self::open(&database.url).await.unwrap() };
        Session::Sqlite(SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap())
    }

    async fn execute(&mut self, sql: &str) -> sqlx::Result<()> {
        let sql = raw_sql(AssertSqlSafe(sql));
        match self {
            Session::Postgres(session) => sql.execute(session).await.map(drop),
            Session::MySql(session) => sql.execute(session).await.map(drop),
            Session::Sqlite(session) => sql.execute(session).await.map(drop),
        }
    }

    async fn count(&mut self, sql: &str) -> sqlx::Result<i64> {
        let sql = raw_sql(AssertSqlSafe(sql));
        match self {
            Session::Postgres(session) => sql.fetch_one(session).await?.try_get(0),
            Session::MySql(session) => sql.fetch_one(session).await?.try_get(0),
            Session::Sqlite(session) => sql.fetch_one(session).await?.try_get(0),
        }
    }

    /// Makes a table with one row.
    async fn make_table(&mut self) -> sqlx::Result<()> {
        self.execute("CREATE TABLE things (id BIGINT PRIMARY KEY)").await?;
        self.execute("INSERT INTO things VALUES (1)").await
    }

    async fn rows(&mut self) -> sqlx::Result<i64> {
        self.count("SELECT COUNT(*) FROM things").await
    }
}

/// A private server, and a database on it with one row.
async fn server_with_a_row(server: Server) -> (PrivateServer, String) {
    let private = PrivateServer::start(server, ServerOptions::default()).await.unwrap();
    let url = private.create_database("app").await.unwrap();
    Session::open(&url).await.unwrap().make_table().await.unwrap();
    (private, url)
}

async fn two_databases_are_apart(engine: Engine) {
    let (one, other) = (TestDatabase::create(engine).await.unwrap(), TestDatabase::create(engine).await.unwrap());
    for database in [&one, &other] {
        let mut session = Session::of(database).await;
        session.make_table().await.unwrap();
        assert_eq!(session.rows().await.unwrap(), 1);
        assert_eq!(database.engine(), engine);
    }
}

async fn a_dropped_database_is_gone(server: Server) {
    let database = TestDatabase::create(server).await.unwrap();
    let name = database.url.rsplit('/').next().unwrap().to_owned();
    let mut busy = Session::of(&database).await;
    busy.make_table().await.unwrap();
    busy.execute("BEGIN").await.unwrap();
    assert_eq!(busy.rows().await.unwrap(), 1);

    drop(database);

    let mut admin = Session::open(admin_url(server).await.unwrap().as_str()).await.unwrap();
    let left = if server.speaks_mysql() {
        format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{name}'")
    } else {
        format!("SELECT COUNT(*) FROM pg_database WHERE datname = '{name}'")
    };
    assert_eq!(admin.count(&left).await.unwrap(), 0);
}

async fn what_was_committed_survives_a_kill(server: Server) {
    let (mut private, url) = server_with_a_row(server).await;
    let mut open = Session::open(&url).await.unwrap();

    private.kill().await.unwrap();
    assert!(open.rows().await.is_err());
    assert!(Session::open(&url).await.is_err());

    private.start_again().await.unwrap();
    assert_eq!(Session::open(&url).await.unwrap().rows().await.unwrap(), 1);
}

async fn a_stopped_server_starts_again_with_new_settings(server: Server) {
    let (mut private, url) = server_with_a_row(server).await;
    private.stop().await.unwrap();
    assert!(matches!(private.stop().await, Err(ServerError::NotRunning(_))));

    private.set("max_connections", "12");
    private.start_again().await.unwrap();
    assert!(matches!(private.start_again().await, Err(ServerError::Running(_))));

    let mut first = Session::open(&url).await.unwrap();
    let mut sessions = Vec::new();
    while let Ok(session) = Session::open(&url).await {
        sessions.push(session);
        assert!(sessions.len() < 12, "the limit isn't in force");
    }
    assert_eq!(first.rows().await.unwrap(), 1);
}

async fn a_read_only_server_refuses_writes(server: Server) {
    let (private, url) = server_with_a_row(server).await;

    private.set_read_only(true).await.unwrap();
    let mut session = Session::open(&url).await.unwrap();
    assert!(session.execute("INSERT INTO things VALUES (2)").await.is_err());
    assert_eq!(session.rows().await.unwrap(), 1);

    private.set_read_only(false).await.unwrap();
    Session::open(&url).await.unwrap().execute("INSERT INTO things VALUES (2)").await.unwrap();
}

async fn a_paused_server_answers_when_it_is_resumed(server: Server) {
    let (private, url) = server_with_a_row(server).await;
    let mut session = Session::open(&url).await.unwrap();

    private.pause().unwrap();
    let mut question = std::pin::pin!(session.rows());
    timeout(Duration::from_millis(200), &mut question).await.expect_err("a frozen server answered");

    private.resume().unwrap();
    assert_eq!(question.await.unwrap(), 1);
}

async fn everyone_is_disconnected(server: Server) {
    let (private, url) = server_with_a_row(server).await;
    let mut session = Session::open(&url).await.unwrap();
    private.disconnect_everyone().await.unwrap();
    assert!(session.rows().await.is_err());
    assert_eq!(Session::open(&url).await.unwrap().rows().await.unwrap(), 1);
}

macro_rules! on_every_server {
    ($($behaviour:ident),* $(,)?) => {
        mod postgres { $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Server::Postgres).await })* }
        mod mariadb { $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Server::MariaDb).await })* }
        mod mysql { $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Server::MySql).await })* }
    };
}

on_every_server!(
    a_dropped_database_is_gone,
    what_was_committed_survives_a_kill,
    a_stopped_server_starts_again_with_new_settings,
    a_read_only_server_refuses_writes,
    a_paused_server_answers_when_it_is_resumed,
    everyone_is_disconnected,
);

#[tokio::test]
async fn databases_are_apart_on_every_engine() {
    for engine in Engine::ALL {
        two_databases_are_apart(engine).await;
    }
}

#[tokio::test]
async fn a_durable_server_starts() {
    let private = PrivateServer::start(Server::Postgres, ServerOptions::durable()).await.unwrap();
    let mut session = Session::open(&private.create_database("app").await.unwrap()).await.unwrap();
    assert_eq!(
        session.count("SELECT COUNT(*) FROM pg_settings WHERE name = 'fsync' AND setting = 'on'").await.unwrap(),
        1
    );
}

#[tokio::test]
async fn a_server_that_refuses_to_start_says_why() {
    let options = ServerOptions::default().with("no_such_setting", "1");
    let error = PrivateServer::start(Server::Postgres, options).await.unwrap_err();
    assert!(matches!(&error, ServerError::Ended { log, .. } if log.contains("no_such_setting")), "{error}");
}
