//! The statements that an administrator of a server gives.

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row, raw_sql};

use super::{Result, Server, ServerError};

/// The account of a private server's tests: an ordinary one, since superusers pass by read-only modes and connection limits.
pub const TENANT: &str = "app";

/// A superuser's session.
pub(super) struct Admin {
    server: Server,
    session: Session,
}

enum Session {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Admin {
    pub(super) async fn connect(server: Server, url: &str) -> Result<Self> {
        let session = match server {
            Server::Postgres => PgConnection::connect(url).await.map(Session::Postgres),
            Server::MariaDb | Server::MySql => MySqlConnection::connect(url).await.map(Session::MySql),
        };
        let session = session.map_err(|source| ServerError::Sql { doing: "connecting".into(), server, source })?;
        Ok(Admin { server, session })
    }

    /// Makes an empty database, `owner`'s if one is named.
    pub(super) async fn create_database(&mut self, name: &str, owner: Option<&str>) -> Result<()> {
        let name = self.quoted(name);
        let owner = match (self.server, owner) {
            (Server::Postgres, Some(owner)) => format!(" OWNER {owner}"),
            _ => String::new(),
        };
        self.execute(format!("CREATE DATABASE {name}{owner}")).await
    }

    /// Removes a database, and whoever is connected to it.
    pub(super) async fn drop_database(&mut self, name: &str) -> Result<()> {
        let quoted = self.quoted(name);
        match self.server {
            Server::Postgres => self.execute(format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await,
            Server::MariaDb | Server::MySql => {
                // A session in a transaction would hold the drop up for as long as it lives.
                self.kill_mysql_sessions(&format!("db = '{name}'")).await?;
                self.execute(format!("DROP DATABASE IF EXISTS {quoted}")).await
            }
        }
    }

    /// Makes [`TENANT`], who may do everything to databases and nothing to the server.
    pub(super) async fn create_tenant(&mut self) -> Result<()> {
        match self.server {
            Server::Postgres => self.execute(format!("CREATE ROLE {TENANT} LOGIN CREATEDB")).await,
            Server::MariaDb | Server::MySql => {
                self.execute(format!("CREATE USER '{TENANT}'@'localhost'")).await?;
                self.execute(format!("GRANT ALL ON `%`.* TO '{TENANT}'@'localhost'")).await
            }
        }
    }

    /// Ends all sessions but this one.
    pub(super) async fn disconnect_everyone(&mut self) -> Result<()> {
        match self.server {
            Server::Postgres => {
                let sessions = "backend_type = 'client backend' AND pid <> pg_backend_pid()";
                self.execute(format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {sessions}"))
                    .await
            }
            Server::MariaDb | Server::MySql => self.kill_mysql_sessions("user <> 'event_scheduler'").await,
        }
    }

    /// Makes the server refuse writes from all but superusers, or take them again.
    pub(super) async fn set_read_only(&mut self, read_only: bool) -> Result<()> {
        let value = if read_only { "on" } else { "off" };
        match self.server {
            Server::Postgres => {
                self.execute(format!("ALTER SYSTEM SET default_transaction_read_only = {value}")).await?;
                self.execute("SELECT pg_reload_conf()".into()).await?;
                // Each session hears of it in its own time; ours is as good as any to go by.
                while self.texts("SHOW default_transaction_read_only".into()).await? != [value] {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Server::MariaDb | Server::MySql => self.execute(format!("SET GLOBAL read_only = {value}")).await,
        }
    }

    /// Where the server keeps its data: tells it from another that has its port.
    pub(super) async fn data_folder(&mut self) -> Result<String> {
        let sql = if self.server.speaks_mysql() { "SELECT @@datadir" } else { "SHOW data_directory" };
        Ok(self.texts(sql.into()).await?.pop().unwrap_or_default())
    }

    /// Ends the other sessions that fit, and waits until they are gone: a killed one may still take a statement. Those that come
    /// meanwhile stay.
    async fn kill_mysql_sessions(&mut self, which: &str) -> Result<()> {
        let sessions = "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE";
        let doomed = self.texts(format!("{sessions} id <> CONNECTION_ID() AND {which}")).await?;
        for id in &doomed {
            // It may have ended by itself.
            let _ = self.execute(format!("KILL {id}")).await;
        }
        if doomed.is_empty() {
            return Ok(());
        }
        let left = format!("{sessions} id IN ({})", doomed.join(", "));
        while !self.texts(left.clone()).await?.is_empty() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn execute(&mut self, sql: String) -> Result<()> {
        let statement = raw_sql(AssertSqlSafe(sql.clone()));
        let done = match &mut self.session {
            Session::Postgres(session) => statement.execute(session).await.map(drop),
            Session::MySql(session) => statement.execute(session).await.map(drop),
        };
        done.map_err(|source| ServerError::Sql { doing: sql, server: self.server, source })
    }

    /// The first column of each row.
    async fn texts(&mut self, sql: String) -> Result<Vec<String>> {
        let statement = raw_sql(AssertSqlSafe(sql.clone()));
        let texts = match &mut self.session {
            Session::Postgres(session) => {
                statement.fetch_all(session).await.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
            }
            Session::MySql(session) => {
                statement.fetch_all(session).await.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
            }
        };
        texts.map_err(|source| ServerError::Sql { doing: sql, server: self.server, source })
    }

    fn quoted(&self, name: &str) -> String {
        let quote = if self.server.speaks_mysql() { "`" } else { "\"" };
        format!("{quote}{}{quote}", name.replace(quote, &quote.repeat(2)))
    }
}
