//! How a command ends when it doesn't end well: one message that says what was being done, to what, and what to do next.

use gritstone_store::{DatabaseUrl, EnqueueError, Error};
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

/// Why a command failed, with its exit code.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exit {
    /// 1: what was asked for was refused, or failed.
    #[error("{0}")]
    Refused(String),
    /// 1: several lines of reasons.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    /// 1: everything has been said already.
    #[error("")]
    Said,
    /// 2: the command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// 3: the database can't be used.
    #[error("{0}")]
    Database(Trouble),
    /// 0: whoever read our output has seen enough (`gritstone jobs list | head`).
    #[error("")]
    NobodyReads,
}

/// What went wrong with the database, and during what.
#[derive(Debug)]
pub(super) struct Trouble {
    error: Error,
    /// `listing jobs in postgres://localhost/app`.
    during: Option<String>,
}

impl Exit {
    /// Says why on stderr; the code to end with.
    pub(super) fn report(self) -> ExitCode {
        // Not `eprintln!`: it panics when nobody reads stderr any more.
        let mut err = std::io::stderr().lock();
        let code = match self {
            Exit::NobodyReads => return ExitCode::SUCCESS,
            Exit::Refused(_) | Exit::Problems(_) | Exit::Said => 1,
            Exit::Usage(_) => 2,
            Exit::Database(_) => 3,
        };
        let _ = match &self {
            Exit::Said => Ok(()),
            Exit::Problems(problems) => writeln!(err, "{}", problems.join("\n")),
            Exit::Usage(text) => writeln!(err, "gritstone: {text}\nFor more, add --help."),
            other => writeln!(err, "gritstone: {other}"),
        };
        ExitCode::from(code)
    }

    /// Adds what was being done, and to which database, where that isn't said yet.
    pub(super) fn during(self, doing: &str, database: &DatabaseUrl) -> Self {
        match self {
            Exit::Database(Trouble { error, during: None }) => {
                Exit::Database(Trouble { error, during: Some(format!("{doing} in {database}")) })
            }
            other => other,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(during) = &self.during {
            write!(out, "{during}: ")?;
        }
        write!(out, "{}", self.error)?;
        match advice(&self.error) {
            "" => Ok(()),
            advice => write!(out, "\n  {advice}"),
        }
    }
}

/// What a person does next, where the error doesn't say so itself.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Unavailable(text) if is_crowded(text) => {
            "All connections are taken: stop other programs that use the database, or raise its limit (max_connections)."
        }
        Error::Unavailable(_) => "See that the database runs, and that --database (or DATABASE_URL) names it.",
        Error::Conflict(_) => "Run the command again.",
        Error::Unwritable(_) => {
            "Make room on its disk, or make it writable, or name the primary instead of a standby; then run the command again."
        }
        Error::Denied(_) => {
            "Grant this user the rights on the tables, or use another user in --database (or DATABASE_URL)."
        }
        Error::Other(text) if text.contains("SQLSTATE 3D000") || text.contains("error 1049") => {
            "Create that database first (CREATE DATABASE ...), or name another one in --database (or DATABASE_URL)."
        }
        Error::Other(text) if text.contains("SQLSTATE 28") => {
            "See that the user and the password in --database (or DATABASE_URL) are right."
        }
        Error::Other(text) if text.contains("SQLite result 26") => "Name another file in --database (or DATABASE_URL).",
        _ => "",
    }
}

/// PostgreSQL and MySQL word it differently; neither is about a server that is down.
fn is_crowded(text: &str) -> bool {
    let text = text.to_lowercase();
    ["too many", "connection slots", "max_user_connections"].iter().any(|words| text.contains(words))
}

impl From<Error> for Exit {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(error) => Exit::Usage(format!("the database: {error}")),
            Error::Refused(text) => Exit::Refused(text),
            Error::Data(_) | Error::Duplicate(_) => Exit::Refused(error.to_string()),
            error => Exit::Database(Trouble { error, during: None }),
        }
    }
}

impl From<EnqueueError> for Exit {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Store(error) => match Exit::from(error) {
                Exit::Refused(text) if text.contains("too long for column 'arguments'") => Exit::Refused(format!(
                    "the job was not enqueued: {text}\n  MySQL keeps at most 65,535 bytes of a job: keep large arguments elsewhere, and \
                     enqueue where they are."
                )),
                Exit::Refused(text) => Exit::Refused(format!("the job was not enqueued: {text}")),
                other => other,
            },
            invalid => Exit::Refused(invalid.to_string()),
        }
    }
}

impl From<std::io::Error> for Exit {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Exit::NobodyReads,
            _ => Exit::Refused(format!("reading or writing failed: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_database_is_not_taken_for_one_that_is_down() {
        let crowded = Error::Unavailable("sorry, too many clients already".into());
        assert!(advice(&crowded).contains("max_connections"));
        assert!(!advice(&Error::Unavailable("Connection refused".into())).contains("max_connections"));
    }

    #[test]
    fn the_first_to_say_what_was_done_is_right() {
        let url = DatabaseUrl::parse("sqlite:///q.db").unwrap();
        let exit = Exit::from(Error::Conflict("x".into())).during("listing jobs", &url).during("another", &url);
        assert!(exit.to_string().starts_with("listing jobs in sqlite:///q.db: another transaction"), "{exit}");
    }
}
