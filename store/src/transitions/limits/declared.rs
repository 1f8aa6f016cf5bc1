//! Limits that are rows in the database, and who says them.
//!
//! What a person sets goes before what manifests and programs declare. What a manifest declares is kept beside it, and holds
//! again when the person takes theirs back.

use crate::error::Error;
use crate::job::{Limit, OnConflict, UseLimit};
use crate::session::{Session, transaction};
use crate::sql::{Row, Value, values};
use std::collections::BTreeMap;
use std::time::Duration;

/// A limit that is declared for a key or a group of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLimit {
    /// The key, or the group: the text before the first `/`.
    pub name: String,
    /// What holds.
    pub limit: Limit,
    /// Who said so.
    pub by: DeclaredBy,
    /// The manifest that declares it too, and what it says.
    pub manifest: Option<(String, Limit)>,
}

/// Who declared a limit that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredBy {
    /// A person: manifests and programs leave it alone.
    Hand,
    /// A manifest, at the start of its workers.
    Manifest,
    /// A program, with its jobs.
    Program,
}

/// What taking a limit back has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsetLimit {
    /// There was none.
    None,
    /// Nothing is declared any more.
    Gone,
    /// What a manifest declares holds again.
    Manifest(String, Limit),
}

/// On whose behalf a limit is written.
#[derive(Clone, Copy)]
enum Word<'w> {
    Hand,
    Manifest(&'w str),
    Program,
}

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
            let limit = read_limit(row, 1)?;
            // The exact key comes before its group.
            if row.text(0)? == key {
                return Ok(Some(limit));
            }
            found = Some(limit);
        }
        Ok(found)
    }

    /// Writes down the limits that jobs bring along, where they are new or changed.
    pub(in crate::transitions) async fn declare_limits<'j>(
        &mut self,
        limits: impl IntoIterator<Item = &'j UseLimit>,
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<&str, Limit> = BTreeMap::new();
        for limit in limits {
            if let Some(declared) = limit.declare {
                wanted.insert(&limit.key, declared);
            }
        }
        for (key, limit) in wanted {
            if self.declared_limit(key).await? != Some(limit) {
                self.write_limit(key, limit, Word::Program).await?;
            }
        }
        Ok(())
    }

    /// The limits that are declared, by name, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declared_limits(&mut self, most: u32) -> Result<Vec<DeclaredLimit>, Error> {
        let sql = format!("{READ} order by name limit ?");
        self.query(&sql, &values![i64::from(most)]).await?.iter().map(read).collect()
    }

    /// Declares a limit for a key or a group, as a program does: one that was set by hand holds. Takes effect with the next change
    /// under the key, or the next sweep.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declare_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        transaction!(self, self.write_limit(name, limit, Word::Program).await).map(drop)
    }

    /// The same, as the manifest of this name does: what it says is remembered, though another limit was set by hand. What was
    /// declared before comes back, so that a manifest that says otherwise can be named.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declare_limit_of(
        &mut self,
        manifest: &str,
        name: &str,
        limit: Limit,
    ) -> Result<Option<DeclaredLimit>, Error> {
        transaction!(self, self.write_limit(name, limit, Word::Manifest(manifest)).await)
    }

    /// Sets a limit by hand: whatever manifests and programs declare, it holds until it is unset.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_limit(&mut self, name: &str, limit: Limit) -> Result<(), Error> {
        transaction!(self, self.write_limit(name, limit, Word::Hand).await).map(drop)
    }

    /// Takes back a limit, whoever declared it. What a manifest declares holds again where the limit was set by hand.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn unset_limit(&mut self, name: &str) -> Result<UnsetLimit, Error> {
        transaction!(self, self.unset_script(name).await)
    }

    async fn unset_script(&mut self, name: &str) -> Result<UnsetLimit, Error> {
        let Some(found) = self.lock_limit(name).await? else { return Ok(UnsetLimit::None) };
        match found.manifest {
            Some((manifest, limit)) if found.by == DeclaredBy::Hand => {
                let sql = "update gritstone_limits set capacity = ?, duration_micros = ?, on_conflict = ?, by_hand = ?, updated_at = ? \
                           where name = ?";
                let [capacity, duration, on_conflict] = columns(limit);
                self.execute(sql, &[capacity, duration, on_conflict, false.into(), Value::NOW, name.into()]).await?;
                Ok(UnsetLimit::Manifest(manifest, limit))
            }
            _ => {
                self.execute("delete from gritstone_limits where name = ?", &values![name]).await?;
                Ok(UnsetLimit::Gone)
            }
        }
    }

    async fn lock_limit(&mut self, name: &str) -> Result<Option<DeclaredLimit>, Error> {
        let sql = format!("{READ} where name = ?{}", self.dialect.for_update(false));
        self.query_one(&sql, &values![name]).await?.as_ref().map(read).transpose()
    }

    /// What was there before comes back.
    async fn write_limit(&mut self, name: &str, limit: Limit, word: Word<'_>) -> Result<Option<DeclaredLimit>, Error> {
        let found = self.lock_limit(name).await?;
        let held_by_hand = found.as_ref().is_some_and(|found| found.by == DeclaredBy::Hand);
        let holds = match (&found, word) {
            (Some(found), Word::Manifest(_) | Word::Program) if held_by_hand => found.limit,
            _ => limit,
        };
        let manifest = match (word, &found) {
            (Word::Manifest(manifest), _) => Some((manifest, limit)),
            (_, Some(found)) => found.manifest.as_ref().map(|(manifest, limit)| (manifest.as_str(), *limit)),
            (_, None) => None,
        };
        let by_hand = held_by_hand || matches!(word, Word::Hand);
        let changed = ["capacity", "duration_micros", "on_conflict", "by_hand"];
        let of_manifest = ["manifest", "manifest_capacity", "manifest_duration_micros", "manifest_on_conflict"];
        let sql = format!(
            "insert into gritstone_limits (name, {}, {}, created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?){}",
            changed.join(", "),
            of_manifest.join(", "),
            self.dialect.upsert("name", &[changed.as_slice(), &of_manifest, &["updated_at"]].concat())
        );
        let mut values: Vec<Value<'_>> = vec![name.into()];
        values.extend(columns(holds));
        values.push(by_hand.into());
        match manifest {
            Some((manifest, limit)) => {
                values.push(manifest.into());
                values.extend(columns(limit));
            }
            None => values.extend(values![None::<&str>, None::<i64>, None::<i64>, None::<&str>]),
        }
        values.extend([Value::NOW, Value::NOW]);
        self.execute(&sql, &values).await?;
        drop(values);
        Ok(found)
    }
}

const READ: &str = "select name, capacity, duration_micros, on_conflict, by_hand, manifest, manifest_capacity, \
                    manifest_duration_micros, manifest_on_conflict from gritstone_limits";

fn read(row: &Row) -> Result<DeclaredLimit, Error> {
    let limit = read_limit(row, 1)?;
    let manifest = match (row.opt_text(5)?, row.opt_int(6)?) {
        (Some(manifest), Some(_)) => Some((manifest, read_limit(row, 6)?)),
        _ => None,
    };
    let by = match &manifest {
        _ if row.int(4)? != 0 => DeclaredBy::Hand,
        Some((_, declared)) if *declared == limit => DeclaredBy::Manifest,
        _ => DeclaredBy::Program,
    };
    Ok(DeclaredLimit { name: row.text(0)?, limit, by, manifest })
}

/// Capacity, duration, what happens on a conflict.
fn columns(limit: Limit) -> [Value<'static>; 3] {
    let on_conflict = match limit.on_conflict {
        OnConflict::Block => "block",
        OnConflict::Discard => "discard",
    };
    [i64::from(limit.to).into(), crate::sql::micros(limit.duration).into(), on_conflict.into()]
}

/// The same three, from the column `first` on.
fn read_limit(row: &Row, first: usize) -> Result<Limit, Error> {
    Ok(Limit {
        to: row.int(first)?.clamp(0, i64::from(u32::MAX)) as u32,
        duration: Duration::from_micros(row.int(first + 1)?.max(0) as u64),
        on_conflict: if row.text(first + 2)? == "discard" { OnConflict::Discard } else { OnConflict::Block },
    })
}
