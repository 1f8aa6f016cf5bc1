//! What comes back from a query, read by position.

use crate::clock;
use crate::error::Error;
use jiff::Timestamp;
use sqlx::{Column as _, Row as _, TypeInfo as _};

/// A row of any of the databases.
pub(crate) enum Row {
    Postgres(sqlx::postgres::PgRow),
    MySql(sqlx::mysql::MySqlRow),
    Sqlite(sqlx::sqlite::SqliteRow),
}

impl Row {
    /// A whole number of any width.
    pub(crate) fn opt_int(&self, index: usize) -> Result<Option<i64>, Error> {
        match self {
            Row::Postgres(row) => Ok(match row.try_column(index)?.type_info().name() {
                "INT4" => row.try_get::<Option<i32>, _>(index)?.map(i64::from),
                "INT2" => row.try_get::<Option<i16>, _>(index)?.map(i64::from),
                "BOOL" => row.try_get::<Option<bool>, _>(index)?.map(i64::from),
                _ => row.try_get(index)?,
            }),
            Row::MySql(row) => Ok(match row.try_column(index)?.type_info().name() {
                "BIGINT UNSIGNED" => row.try_get::<Option<u64>, _>(index)?.map(|n| n as i64),
                _ => row.try_get(index)?,
            }),
            Row::Sqlite(row) => Ok(row.try_get(index)?),
        }
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64, Error> {
        self.opt_int(index)?.ok_or_else(|| missing(index))
    }

    pub(crate) fn opt_text(&self, index: usize) -> Result<Option<String>, Error> {
        Ok(match self {
            Row::Postgres(row) => row.try_get(index)?,
            Row::MySql(row) => row.try_get(index)?,
            Row::Sqlite(row) => row.try_get(index)?,
        })
    }

    pub(crate) fn text(&self, index: usize) -> Result<String, Error> {
        self.opt_text(index)?.ok_or_else(|| missing(index))
    }

    /// A moment; the queue's columns have no time zone and mean UTC.
    pub(crate) fn opt_time(&self, index: usize) -> Result<Option<Timestamp>, Error> {
        match self {
            Row::Postgres(row) => Ok(row.try_get::<Option<chrono::NaiveDateTime>, _>(index)?.map(clock::from_naive)),
            Row::MySql(row) => Ok(row.try_get::<Option<chrono::NaiveDateTime>, _>(index)?.map(clock::from_naive)),
            Row::Sqlite(row) => {
                let text: Option<String> = row.try_get(index)?;
                text.map(|text| clock::from_sqlite(&text)).transpose()
            }
        }
    }

    pub(crate) fn time(&self, index: usize) -> Result<Timestamp, Error> {
        self.opt_time(index)?.ok_or_else(|| missing(index))
    }
}

fn missing(index: usize) -> Error {
    Error::Other(format!("column {} is null where it never should be", index + 1))
}
