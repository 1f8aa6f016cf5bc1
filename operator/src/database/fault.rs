//! What keeps a database from being used, and what to do about it.

use gritstone_store::Error;

/// Why the database that an object names can't be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseFault {
    /// There is no Secret of that name.
    #[error("there is no Secret {name}: create it, with the database's URL under the key {key}")]
    NoSecret { name: String, key: String },
    /// It doesn't have the key, or nothing under it.
    #[error("the Secret {name} has nothing under the key {key}: put the database's URL there")]
    NoKey { name: String, key: String },
    /// What is there is none. The words repeat nothing of it: it may be a password.
    #[error(
        "what the Secret {name} has under the key {key} is no URL of a database ({why}): put one there, as postgres://user:password@host:5432/name"
    )]
    NotAUrl { name: String, key: String, why: String },
    /// A file, which in a cluster is one pod's alone.
    #[error(
        "the Secret {name} names a SQLite file under the key {key}: a file of one pod is no other's; use PostgreSQL, MySQL or MariaDB"
    )]
    AFile { name: String, key: String },
    /// A file of the operator's pod that isn't the namespace's to use.
    #[error(
        "the Secret {name} names under the key {key} {words}; have it mounted there, in the operator's pod by operator.databaseFiles of the chart \
         and in the others by their `template`, and name that path"
    )]
    FileNotAllowed { name: String, key: String, words: String },
    /// Nobody has looked yet.
    #[error("the database is being looked at for the first time")]
    Connecting,
    /// It can't be reached, doesn't answer, or lets nobody in.
    #[error("{url} can't be used: {words}")]
    Unreachable { url: String, words: String },
    /// It has none of the tables, or not all.
    #[error(
        "{url} is no queue yet: {words}; set `migrate: true` on a Dispatcher of this database, or run `gritstone migrate` on it"
    )]
    NotMigrated { url: String, words: String },
    /// It belongs to a newer program.
    #[error("{url} is too new for this operator: {words}")]
    SchemaTooNew { url: String, words: String },
    /// A Dispatcher asks for the tables, and they can't be made.
    #[error("the tables of {url} could not be brought up to date, as a Dispatcher with `migrate` asks: {words}")]
    MigrationFailed { url: String, words: String },
}

impl DatabaseFault {
    /// What the database at `url` said to a look. `words` is what the error says, without a password.
    pub(super) fn said(url: String, error: &Error, words: String) -> Self {
        match error {
            Error::Schema(said) => DatabaseFault::NotMigrated { url, words: said.clone() },
            Error::TooOld { .. } => DatabaseFault::SchemaTooNew { url, words },
            _ => DatabaseFault::Unreachable { url, words },
        }
    }

    /// A word in CamelCase, as conditions and Events have them.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            DatabaseFault::NoSecret { .. } => "NoSecret",
            DatabaseFault::NoKey { .. } => "NoKey",
            DatabaseFault::NotAUrl { .. } => "NotAUrl",
            DatabaseFault::AFile { .. } => "FileInCluster",
            DatabaseFault::FileNotAllowed { .. } => "FileNotAllowed",
            DatabaseFault::Connecting => "Connecting",
            DatabaseFault::Unreachable { .. } => "Unreachable",
            DatabaseFault::NotMigrated { .. } => "NotMigrated",
            DatabaseFault::SchemaTooNew { .. } => "SchemaTooNew",
            DatabaseFault::MigrationFailed { .. } => "MigrationFailed",
        }
    }
}
