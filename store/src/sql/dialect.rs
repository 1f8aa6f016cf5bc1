//! In what the databases differ, named in one place.

/// The SQL that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    MySql,
    /// MySQL's protocol and most of its SQL: no `FOR SHARE`, no `AS new ON DUPLICATE KEY`.
    MariaDb,
    Sqlite,
}

impl Dialect {
    /// The clause that locks the rows of a `SELECT` and passes over those that others hold.
    ///
    /// SQLite has one writer at a time: within `BEGIN IMMEDIATE` everything is locked already.
    pub(crate) fn for_update(self, skip_locked: bool) -> &'static str {
        match (self, skip_locked) {
            (Dialect::Sqlite, _) => "",
            (_, true) => " for update skip locked",
            (_, false) => " for update",
        }
    }

    /// The clause that keeps the rows of a `SELECT` from being changed until we commit.
    pub(crate) fn for_share(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::MariaDb => " lock in share mode",
            Dialect::Postgres | Dialect::MySql => " for share",
        }
    }

    /// The tail of an `insert` that leaves a row as it is that is there already; it is locked then. `column` is any
    /// column.
    ///
    /// Unlike `insert ignore`, MySQL's cuts nothing that is too long, and locks at once for writing: shared locks, as those
    /// of `insert ignore`, are what two writers deadlock on.
    pub(crate) fn unless_there(self, column: &str) -> String {
        match self {
            Dialect::Postgres | Dialect::Sqlite => " on conflict do nothing".into(),
            Dialect::MySql | Dialect::MariaDb => format!(" on duplicate key update {column} = {column}"),
        }
    }

    /// The tail of an `insert` that overwrites `columns` of the row that has the same `key`.
    pub(crate) fn upsert(self, key: &str, columns: &[&str]) -> String {
        let list = |form: &dyn Fn(&str) -> String| columns.iter().map(|c| form(c)).collect::<Vec<_>>().join(", ");
        match self {
            Dialect::Postgres | Dialect::Sqlite => {
                format!(" on conflict ({key}) do update set {}", list(&|c| format!("{c} = excluded.{c}")))
            }
            // `values()` is deprecated in MySQL but the one spelling that MariaDB understands too.
            Dialect::MySql | Dialect::MariaDb => {
                format!(" on duplicate key update {}", list(&|c| format!("{c} = values({c})")))
            }
        }
    }

    /// The column `key` of semaphores and recurring tasks is a reserved word in MySQL.
    pub(crate) fn key_column(self) -> &'static str {
        match self {
            Dialect::MySql | Dialect::MariaDb => "`key`",
            Dialect::Postgres | Dialect::Sqlite => "\"key\"",
        }
    }

    /// True for MySQL and MariaDB.
    pub(crate) fn is_mysql(self) -> bool {
        matches!(self, Dialect::MySql | Dialect::MariaDb)
    }
}
