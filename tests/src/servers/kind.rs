//! Which databases there are.

use std::fmt;

/// A database server that tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// Oracle's MySQL.
    MySql,
}

/// Where a queue can live: on a server, or in a SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// A database on a server.
    Server(Server),
    /// A SQLite file.
    Sqlite,
}

impl Server {
    /// Every server, in the order that `with-servers` starts them.
    pub const ALL: [Server; 3] = [Server::Postgres, Server::MariaDb, Server::MySql];

    /// The environment variable whose URL (of an account that may create databases) is used in place of starting a server.
    pub fn variable(self) -> &'static str {
        match self {
            Server::Postgres => "GRITSTONE_TEST_POSTGRES",
            Server::MariaDb => "GRITSTONE_TEST_MARIADB",
            Server::MySql => "GRITSTONE_TEST_MYSQL",
        }
    }

    /// Whether it speaks MySQL's protocol, and so its SQL.
    pub fn speaks_mysql(self) -> bool {
        matches!(self, Server::MariaDb | Server::MySql)
    }

    /// The account that may do everything.
    pub(super) fn superuser(self) -> &'static str {
        if self.speaks_mysql() { "root" } else { "postgres" }
    }

    /// The database that is always there, for an administrator to connect to.
    pub(super) fn home_database(self) -> &'static str {
        if self.speaks_mysql() { "mysql" } else { "postgres" }
    }

    /// The URL of a database on a loopback port.
    pub(super) fn url(self, user: &str, port: u16, database: &str) -> String {
        let scheme = if self.speaks_mysql() { "mysql" } else { "postgres" };
        format!("{scheme}://{user}@127.0.0.1:{port}/{database}")
    }
}

impl Engine {
    /// Everything that the conformance suite runs on.
    pub const ALL: [Engine; 4] = [
        Engine::Server(Server::Postgres),
        Engine::Server(Server::MariaDb),
        Engine::Server(Server::MySql),
        Engine::Sqlite,
    ];
}

impl From<Server> for Engine {
    fn from(server: Server) -> Self {
        Engine::Server(server)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Server::Postgres => "postgres",
            Server::MariaDb => "mariadb",
            Server::MySql => "mysql",
        })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Engine::Server(server) => server.fmt(f),
            Engine::Sqlite => f.write_str("sqlite"),
        }
    }
}
