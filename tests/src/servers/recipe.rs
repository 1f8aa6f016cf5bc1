//! How a kind of server is set up and run: command lines, without touching anything.

use std::ffi::OsString;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{Result, Server, ServerOptions, mariadb, mysql, postgres};

/// The command lines of one server.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Makes the data folder, once.
    pub initialise: Vec<OsString>,
    /// Runs the server in the foreground. Settings may be appended, as `--name=value`.
    pub run: Vec<OsString>,
    /// Stops it cleanly: sessions are ended, everything is written.
    pub stop: Signal,
    /// Ends it at once when nobody wants its data any more.
    pub orphaned: Signal,
}

impl Recipe {
    /// Finds the server's programs and says how to run them in `folder`.
    pub(super) fn find(server: Server, folder: &Path) -> Result<Self> {
        match server {
            Server::Postgres => postgres::recipe(folder),
            Server::MariaDb => mariadb::recipe(folder),
            Server::MySql => mysql::recipe(folder),
        }
    }

    /// The command line that runs the server on `port`.
    pub(super) fn run_on(&self, server: Server, port: u16, options: &ServerOptions) -> Vec<OsString> {
        let durability = match server {
            Server::Postgres => postgres::durability(options.durable),
            Server::MariaDb | Server::MySql => mysql::durability(options.durable),
        };
        let ours = [("port", port.to_string()), ("max_connections", options.max_connections.to_string())];
        let settings = ours
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(durability.iter().copied())
            .chain(options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut line = self.run.clone();
        line.extend(settings.map(|(name, value)| OsString::from(format!("--{name}={value}"))));
        line
    }
}

/// `--name=path`, for paths that may not be UTF-8.
pub(super) fn path_argument(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe { initialise: vec![], run: vec!["server".into()], stop: Signal::SIGINT, orphaned: Signal::SIGQUIT }
    }

    #[test]
    fn a_tests_own_settings_come_last_and_so_win() {
        let options = ServerOptions::default().with("max_connections", "5");
        let line = recipe().run_on(Server::Postgres, 12_345, &options);
        assert_eq!(line[1], "--port=12345");
        assert_eq!(line.last().unwrap(), "--max_connections=5");
    }

    #[test]
    fn a_durable_server_waits_for_the_disk() {
        let postgres = recipe().run_on(Server::Postgres, 1, &ServerOptions::durable());
        assert!(postgres.contains(&"--fsync=on".into()));
        let mysql = recipe().run_on(Server::MySql, 1, &ServerOptions::durable());
        assert!(mysql.contains(&"--innodb_flush_log_at_trx_commit=1".into()));
    }
}
