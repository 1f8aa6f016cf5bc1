//! What is wrong with a file, and where.

use std::fmt;

/// Something wrong with a file, at a place.
///
/// Reads `worker.yaml:12: spec.pollingIntervall: unknown field; did you mean pollingInterval?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named when reading.
    pub file: String,
    /// The line, from 1. None when it is about the file as a whole.
    pub line: Option<u64>,
    /// The column in characters, from 1.
    pub column: Option<u64>,
    /// The field at fault, such as `spec.queues[2]`. Empty when it is about a document as a whole.
    pub path: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl Problem {
    /// About a file as a whole.
    pub(crate) fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), line: None, column: None, path: String::new(), message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(out, ": {}", self.path)?;
        }
        write!(out, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}
