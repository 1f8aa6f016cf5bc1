//! Plain SQL on a connection of a test's own, everything read as text.

use gritstone_tests::servers::Engine;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _, raw_sql};
use sqlx::{mysql::MySqlConnection, postgres::PgConnection, sqlite::SqliteConnection};

/// A connection that knows nothing of the store.
pub enum Raw {
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// Runs `$work` on whichever connection it is.
macro_rules! each {
    ($raw:expr, $connection:ident => $work:expr) => {
        match $raw {
            Raw::Postgres($connection) => $work,
            Raw::MySql($connection) => $work,
            Raw::Sqlite($connection) => $work,
        }
    };
}

impl Raw {
    pub async fn connect(engine: Engine, url: &str) -> Raw {
        match engine {
            Engine::Server(server) if server.speaks_mysql() => Raw::MySql(MySqlConnection::connect(url).await.unwrap()),
            Engine::Server(_) => Raw::Postgres(PgConnection::connect(url).await.unwrap()),
            Engine::Sqlite => {
                let file = url.split('?').next().unwrap();
                let mut connection = SqliteConnection::connect(&format!("{file}?mode=rwc")).await.unwrap();
                sqlx::query("pragma busy_timeout = 30000").execute(&mut connection).await.unwrap();
                Raw::Sqlite(connection)
            }
        }
    }

    /// Runs one or more statements.
    pub async fn run(&mut self, sql: &str) {
        let sql = sql.to_owned();
        each!(self, connection => raw_sql(AssertSqlSafe(sql.clone())).execute(connection).await.map(drop))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// All rows of a query, all columns as text.
    pub async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let text = sql.to_owned();
        each!(self, connection => {
            let rows = raw_sql(AssertSqlSafe(text)).fetch_all(connection).await;
            let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
            rows.iter()
                .map(|row| row.columns().iter().map(|c| row.try_get_unchecked(c.ordinal()).unwrap()).collect())
                .collect()
        })
    }

    /// The first column of each row.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let rows = self.rows(sql).await;
        rows.into_iter().map(|mut row| row.remove(0).unwrap_or_else(|| "null".into())).collect()
    }

    /// The first column of the only row.
    pub async fn text(&mut self, sql: &str) -> String {
        let mut texts = self.texts(sql).await;
        assert_eq!(texts.len(), 1, "{sql}");
        texts.remove(0)
    }

    /// A number.
    pub async fn int(&mut self, sql: &str) -> i64 {
        let text = self.text(sql).await;
        text.parse().unwrap_or_else(|_| panic!("{sql} gave {text}"))
    }
}
