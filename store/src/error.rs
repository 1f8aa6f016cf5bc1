//! What can go wrong between us and a database, told apart by what the caller can do about it.

use sqlx::error::DatabaseError;

/// An error of the store.
///
/// The variants are reactions, not causes: wait and try again, run the same thing again at once, split the batch,
/// or tell a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database can't be reached, is starting, shutting down, or out of connections. Waiting helps.
    #[error("the database is away: {0}")]
    Unavailable(String),
    /// Another transaction was in the way (deadlock, serialization, busy). Running the same thing again helps.
    #[error("another transaction was in the way: {0}")]
    Conflict(String),
    /// The database refuses what it was given (too long, a NUL byte, bad UTF-8). Sending the same thing again doesn't help.
    #[error("the database refuses the data: {0}")]
    Data(String),
    /// A unique key is already taken.
    #[error("it is already there: {0}")]
    Duplicate(String),
    /// The tables are missing or too old.
    #[error("{0}; run `gritstone migrate` on this database")]
    Schema(String),
    /// This binary is too old for the database.
    #[error(
        "the database needs at least schema version {min_compatible}, this program knows up to {known}; use a newer gritstone"
    )]
    TooOld {
        /// The oldest version that may still use the schema.
        min_compatible: i32,
        /// The newest version this program knows.
        known: i32,
    },
    /// The database refuses to write: it is read-only, a standby, or its disk is full.
    #[error("the database can't be written to: {0}")]
    Unwritable(String),
    /// The user of the database may not do this.
    #[error("permission denied by the database: {0}")]
    Denied(String),
    /// A URL that names no database we know.
    #[error(transparent)]
    Url(#[from] crate::url::UrlError),
    /// What was asked for isn't there, or isn't in a state that allows it.
    #[error("{0}")]
    Refused(String),
    /// Everything else, in the database's own words.
    #[error("the database answered: {0}")]
    Other(String),
}

impl Error {
    /// True when waiting for the database to come back is the right reaction.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::Unavailable(_))
    }

    /// True when nothing was written and running the same transaction again may succeed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Conflict(_))
    }

    /// True when the database refuses the values themselves.
    pub fn is_data(&self) -> bool {
        matches!(self, Error::Data(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(&*error),
            sqlx::Error::Io(error) => Error::Unavailable(error.to_string()),
            sqlx::Error::Tls(error) => Error::Unavailable(format!("TLS: {error}")),
            sqlx::Error::PoolTimedOut => Error::Unavailable(
                "no connection became free in time (is the pool, or the server's limit, too small?)".into(),
            ),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Error::Unavailable(error.to_string()),
            // sqlx reports a connection that broke in the middle of a message as a protocol error.
            sqlx::Error::Protocol(text) => Error::Unavailable(text),
            sqlx::Error::Encode(error) => Error::Data(error.to_string()),
            other => Error::Other(other.to_string()),
        }
    }
}

fn from_database(error: &dyn DatabaseError) -> Error {
    let text = error.message().to_owned();
    if error.is_unique_violation() {
        return Error::Duplicate(text);
    }
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return from_sqlstate(error.code(), text);
    }
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return from_mysql(error.number(), text);
    }
    from_sqlite(error.code().and_then(|code| code.parse().ok()).unwrap_or(0), text)
}

/// PostgreSQL's SQLSTATE classes (appendix A of its manual).
fn from_sqlstate(code: &str, text: String) -> Error {
    match code {
        "40001" | "40P01" | "55P03" => Error::Conflict(text),
        "25006" => Error::Unwritable(text),
        // The server ended a transaction that idled, and the session with it.
        "25P03" => Error::Unavailable(text),
        "42P01" | "42703" | "3F000" => Error::Schema(text),
        "42501" => Error::Denied(text),
        // 22: data exceptions; 23: integrity; 54000: a row or index entry too large.
        _ if code.starts_with("22") || code.starts_with("23") || code == "54000" => Error::Data(text),
        // 53100 is "disk full"; the rest of class 53 is connections and memory.
        "53100" => Error::Unwritable(text),
        _ if ["08", "53", "57", "58"].contains(&&code[..2.min(code.len())]) => Error::Unavailable(text),
        _ => Error::Other(format!("{text} (SQLSTATE {code})")),
    }
}

/// MySQL's and MariaDB's error numbers.
fn from_mysql(number: u16, text: String) -> Error {
    match number {
        // 1467: MariaDB, when the lock that it met a deadlock over was that of an auto-increment.
        1205 | 1213 | 1020 | 1467 => Error::Conflict(text),
        1021 | 1114 | 1290 | 1792 | 1836 | 3100 | 1028 => Error::Unwritable(text),
        1146 | 1054 => Error::Schema(text),
        1044 | 1045 | 1142 | 1143 | 1227 => Error::Denied(text),
        1264 | 1366 | 1406 | 1452 | 1048 | 1265 | 1292 | 3140 | 1105 | 1153 | 1267 | 1300 | 3854 => Error::Data(text),
        1040 | 1053 | 1152 | 1158..=1161 | 1184 | 1203 | 1226 | 1317 | 1927 | 2006 | 2013 | 3169 => {
            Error::Unavailable(text)
        }
        _ => Error::Other(format!("{text} (error {number})")),
    }
}

/// SQLite's extended result codes; the low byte is the primary one.
fn from_sqlite(code: i32, text: String) -> Error {
    match code & 0xff {
        5 | 6 => Error::Conflict(text),
        8 | 13 => Error::Unwritable(text),
        10 | 14 => Error::Unavailable(text),
        3 => Error::Denied(text),
        18..=20 => Error::Data(text),
        1 if text.contains("no such table") || text.contains("no such column") || text.contains("has no column") => {
            Error::Schema(text)
        }
        _ => Error::Other(format!("{text} (SQLite result {code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_the_caller_can_do() {
        assert!(from_sqlstate("40P01", String::new()).is_conflict());
        assert!(from_sqlstate("57P01", String::new()).is_unavailable());
        assert!(from_sqlstate("53300", String::new()).is_unavailable());
        assert!(matches!(from_sqlstate("53100", String::new()), Error::Unwritable(_)));
        assert!(from_sqlstate("22021", String::new()).is_data());
        assert!(from_mysql(1213, String::new()).is_conflict());
        assert!(from_mysql(1406, String::new()).is_data());
        assert!(from_mysql(1040, String::new()).is_unavailable());
        assert!(from_sqlite(261, String::new()).is_conflict());
        assert!(matches!(from_sqlite(13, String::new()), Error::Unwritable(_)));
        assert!(matches!(from_sqlite(1, "no such table: x".into()), Error::Schema(_)));
    }
}
