//! Plain SQL, past the store.

use crate::servers::Engine;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _, raw_sql};
use sqlx::{mysql::MySqlConnection, postgres::PgConnection, sqlite::SqliteConnection};

/// A connection that knows nothing of the store. Everything is read as text.
pub enum Sql {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// MySQL and MariaDB.
    MySql(MySqlConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// Runs `$work` on whichever connection it is.
macro_rules! each {
    ($sql:expr, $connection:ident => $work:expr) => {
        match $sql {
            Sql::Postgres($connection) => $work,
            Sql::MySql($connection) => $work,
            Sql::Sqlite($connection) => $work,
        }
    };
}

impl Sql {
    /// Connects.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn connect(engine: Engine, url: &str) -> sqlx::Result<Sql> {
        match engine {
            Engine::Server(server) if server.speaks_mysql() => MySqlConnection::connect(url).await.map(Sql::MySql),
            Engine::Server(_) => PgConnection::connect(url).await.map(Sql::Postgres),
            Engine::Sqlite => {
                let file = url.split('?').next().unwrap_or(url);
                let mut connection = SqliteConnection::connect(&format!("{file}?mode=rwc")).await?;
                sqlx::query("pragma busy_timeout = 30000").execute(&mut connection).await?;
                Ok(Sql::Sqlite(connection))
            }
        }
    }

    /// Runs one or more statements.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(&mut self, sql: &str) -> sqlx::Result<()> {
        let sql = sql.to_owned();
        each!(self, connection => raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop))
    }

    /// All rows of a query; null is the empty text.
    ///
    /// # Errors
    /// The database's.
    pub async fn rows(&mut self, sql: &str) -> sqlx::Result<Vec<Vec<String>>> {
        let sql = sql.to_owned();
        each!(self, connection => {
            let rows = raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
            rows.iter()
                .map(|row| {
                    let texts = row.columns().iter().map(|c| row.try_get_unchecked::<Option<String>, _>(c.ordinal()));
                    texts.map(|text| Ok(text?.unwrap_or_default())).collect()
                })
                .collect()
        })
    }
}
