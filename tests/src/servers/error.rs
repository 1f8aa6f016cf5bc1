//! What can go wrong on the way to a database for a test.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::Server;

/// Why there is no server, or no database on it.
///
/// Tests `unwrap` it, which prints `Debug`: so that says what `Display` says, and the causes.
#[derive(thiserror::Error)]
pub enum ServerError {
    /// A program that the server needs isn't on this machine.
    #[error(
        "{program} not found (looked in {searched}): run scripts/install-test-servers, or set {} to the URL of a running server",
        .server.variable()
    )]
    NotInstalled {
        /// The server that was asked for.
        server: Server,
        /// The missing program.
        program: String,
        /// Where it was looked for.
        searched: String,
    },
    /// Root needs an account to run servers as, and there is none.
    #[error(
        "there is no account {0:?} to run database servers as (they refuse to run as root): create it, or don't be root"
    )]
    NoAccount(&'static str),
    /// The account that servers run as can't enter a folder.
    #[error("the account {account:?} can't enter {}, where {what} is: set {variable} to a folder that everyone may enter", .path.display())]
    Unreachable {
        /// Who can't enter.
        account: &'static str,
        /// What is in there.
        what: &'static str,
        /// The first folder on the way that is closed.
        path: PathBuf,
        /// The environment variable that moves it.
        variable: &'static str,
    },
    /// The operating system said no.
    #[error("{doing} failed")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data folder couldn't be made.
    #[error("{server} couldn't make its data folder:\n{output}")]
    Initialise {
        /// Which server.
        server: Server,
        /// What the program that makes it printed.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("{server} ended while starting; the end of its log:\n{log}")]
    Ended {
        /// Which server.
        server: Server,
        /// The last lines of its log.
        log: String,
    },
    /// The server started and doesn't answer.
    #[error("{server} took no connection within {seconds} s of its start ({last}); the end of its log:\n{log}")]
    NotReady {
        /// Which server.
        server: Server,
        /// How long we waited.
        seconds: u64,
        /// What the last attempt to connect gave.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// The server was told to end and didn't.
    #[error(
        "{server} (process {pid}) was still there {seconds} s after it was told to end; the end of its log:\n{log}"
    )]
    NotEnded {
        /// Which server.
        server: Server,
        /// Its process.
        pid: i32,
        /// How long we waited.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
    /// Something was asked of a private server that isn't running.
    #[error("{0} isn't running: call start_again() first")]
    NotRunning(Server),
    /// A private server was started twice.
    #[error("{0} is running already: call stop() or kill() first")]
    Running(Server),
    /// The environment variable that names a server can't be read.
    #[error(
        "{variable} isn't a URL; it should look like postgres://user@host:5432/postgres or mysql://user@host:3306/mysql"
    )]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Why not.
        source: url::ParseError,
    },
    /// The server refused a statement, or the connection.
    #[error("{doing} on {server} failed")]
    Sql {
        /// What was being done.
        doing: String,
        /// Which server.
        server: Server,
        /// What the driver said.
        source: sqlx::Error,
    },
}

impl ServerError {
    /// For `map_err`: names what was being done.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| ServerError::Io { doing: doing.into(), source }
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
