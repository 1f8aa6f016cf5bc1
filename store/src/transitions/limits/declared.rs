//! Limits that are rows in the database.

use crate::error::Error;
use crate::job::{Limit, NewJob, OnConflict};
use crate::session::{Session, transaction};
use crate::sql::{Row, Value, values};
use std::collections::BTreeMap;
use std::time::Duration;

impl Session<'_> {
    /// The limit declared for a key, or else for its group.
    pub(super) async fn declared_limit(&mut self, key: &str) -> Result<Option<Limit>, Error> {
        let group = key.split('/').next().unwrap_or(key);
        let rows = self
            .query(
                "select name, capacity, duration_micros, on_conflict from gritstone_limits where name = ? or name = ?",
                &values![key, group],
            )
            .await?;
        let mut found = None;
        for row in &rows {
            let limit = read_limit(row)?;
            // The exact key comes before its group.
            if row.text(0)? == key {
                return Ok(Some(limit));
            }
            found = Some(limit);
        }
        Ok(found)
    }

    /// Writes down the limits that these jobs bring along, where they are new or changed.
    pub(in crate::transitions) async fn declare_limits<'j>(
        &mut self,
        jobs: impl IntoIterator<Item = &'j NewJob>,
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<&str, Limit> = BTreeMap::new();
        for limit in jobs.into_iter().filter_map(|job| job.limit.as_ref()) {
            if let Some(declared) = limit.declare {
                wanted.insert(&limit.key, declared);
            }
        }
        for (key, limit) in wanted {
            if self.declared_limit(key).await? != Some(limit) {
                self.write_limit(key, limit).await?;
            }
        }
        Ok(())
    }

    /// The limits that are declared, by name, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declared_limits(&mut self, most: u32) -> Result<Vec<(String, Limit)>, Error> {
        let sql = "select name, capacity, duration_micros, on_conflict from gritstone_limits order by name limit ?";
        let rows = self.query(sql, &values![i64::from(most)]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, read_limit(row)?))).collect()
    }

    /// Declares a limit for a key or a group. Takes effect with the next change under the key, or the next sweep.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declare_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        transaction!(self, self.write_limit(name, limit).await)
    }

    async fn write_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        let on_conflict = match limit.on_conflict {
            OnConflict::Block => "block",
            OnConflict::Discard => "discard",
        };
        let sql = format!(
            "insert into gritstone_limits (name, capacity, duration_micros, on_conflict, created_at, updated_at) values (?, ?, ?, ?, ?, ?){}",
            self.dialect.upsert("name", &["capacity", "duration_micros", "on_conflict", "updated_at"])
        );
        let values = [
            name.into(),
            i64::from(limit.to).into(),
            crate::sql::micros(limit.duration).into(),
            on_conflict.into(),
            Value::NOW,
            Value::NOW,
        ];
        self.execute(&sql, &values).await?;
        Ok(())
    }
}

fn read_limit(row: &Row) -> Result<Limit, Error> {
    Ok(Limit {
        to: row.int(1)?.clamp(0, i64::from(u32::MAX)) as u32,
        duration: Duration::from_micros(row.int(2)?.max(0) as u64),
        on_conflict: if row.text(3)? == "discard" { OnConflict::Discard } else { OnConflict::Block },
    })
}
