//! How a command ends when it doesn't end well.

use gritstone_store::{EnqueueError, Error};
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
    /// 2: the command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// 3: the database can't be used.
    #[error("{0}")]
    Database(Error),
    /// 0: whoever read our output has seen enough (`gritstone jobs list | head`).
    #[error("")]
    NobodyReads,
}

impl Exit {
    /// Says why on stderr; the code to end with.
    pub(super) fn report(self) -> ExitCode {
        let code = match &self {
            Exit::NobodyReads => return ExitCode::SUCCESS,
            Exit::Refused(_) | Exit::Problems(_) => 1,
            Exit::Usage(_) => 2,
            Exit::Database(_) => 3,
        };
        match &self {
            Exit::Problems(problems) => problems.iter().for_each(|problem| eprintln!("{problem}")),
            other => eprintln!("gritstone: {other}"),
        }
        ExitCode::from(code)
    }
}

impl From<Error> for Exit {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(error) => Exit::Usage(format!("--database: {error}")),
            Error::Refused(text) => Exit::Refused(text),
            Error::Data(_) | Error::Duplicate(_) => Exit::Refused(error.to_string()),
            other => Exit::Database(other),
        }
    }
}

impl From<EnqueueError> for Exit {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Store(error) => match Exit::from(error) {
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
