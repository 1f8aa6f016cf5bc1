//! Looks at what is ready that lock nothing: whether a claim is worth making, and which rows it would be for.

use super::claim::{Claim, Selection};
use crate::error::Error;
use crate::job::SHELL_CLASS;
use crate::session::Session;
use crate::sql::{Value, values};
use std::collections::HashMap;

/// A job that is ready, as [`Selection::Rows`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyRow {
    /// The row's own id. It is a new one, higher than all before, each time that the job becomes ready.
    pub id: i64,
    /// The job's row.
    pub job_id: i64,
}

/// Jobs of some classes that are ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyRows {
    /// The jobs, in the order in which they are to be claimed.
    pub rows: Vec<ReadyRow>,
    /// The row that all of them are no younger than: whoever has dealt with them goes on after it. None when there were more than asked for.
    pub newest: Option<i64>,
}

impl Session<'_> {
    /// Whether a claim on SQLite or MySQL may find something.
    pub(super) async fn anything_ready(&mut self, claim: &Claim<'_>) -> Result<bool, Error> {
        let named: Vec<String>;
        let (operator, names) = match claim.selection {
            Selection::Any { excluded, .. } => {
                named = with_a_member(excluded);
                ("not in", &named)
            }
            Selection::Queues(queues) => {
                named = queues.iter().map(|(name, _)| name.clone()).collect();
                ("in", &named)
            }
            // They were there a moment ago.
            Selection::Rows(_) => return Ok(true),
        };
        let (filter, classes) = class_filter(claim);
        let sql = format!(
            "select 1 from solid_queue_ready_executions r where r.queue_name {operator} ? \
             and r.queue_name not in (select queue_name from solid_queue_pauses){filter} limit 1"
        );
        let mut values = values![names].to_vec();
        values.extend(classes.map(Value::from));
        Ok(self.query_one(&sql, &values).await?.is_some())
    }

    /// At most `limit` jobs of these classes that are ready on the queues of a selection and that became ready after the row `after`;
    /// of all without one. Marks are not regarded.
    ///
    /// What is in the way of a claim that asks for classes is stepped over at each poll, since no index has the class: after a look at
    /// everything, looks at what is new since cost next to nothing. A transaction that was open meanwhile may bring a lower row:
    /// that is seen by another look at everything.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ready_rows(
        &mut self,
        selection: &Selection,
        classes: &[String],
        after: Option<i64>,
        limit: u32,
    ) -> Result<ReadyRows, Error> {
        // Before the look itself: what comes in between is found twice instead of never.
        let newest = self.query_one("select max(id) from solid_queue_ready_executions", &[]).await?;
        let newest = newest.map_or(Ok(None), |row| row.opt_int(0))?.unwrap_or(0);
        let rows = match after {
            Some(after) if newest <= after => Vec::new(),
            Some(after) => self.new_rows(selection, classes, after, limit).await?,
            None => self.all_rows(selection, classes, limit).await?,
        };
        let newest = (rows.len() < limit as usize).then_some(newest.max(after.unwrap_or(0)));
        Ok(ReadyRows { rows, newest })
    }

    /// They are few, so they are put in order here. The database goes along the rows' ids.
    async fn new_rows(
        &mut self,
        selection: &Selection,
        classes: &[String],
        after: i64,
        limit: u32,
    ) -> Result<Vec<ReadyRow>, Error> {
        let (operator, names) = match selection {
            Selection::Any { excluded, .. } => ("not in", with_a_member(excluded)),
            Selection::Queues(queues) => ("in", queues.iter().map(|(name, _)| name.clone()).collect()),
            Selection::Rows(rows) => return Ok(rows.clone()),
        };
        let sql = format!(
            "select r.id, r.job_id, r.priority, r.queue_name from solid_queue_ready_executions r \
             where r.id > ? and r.queue_name {operator} ?{OF_CLASSES} order by r.id limit ?"
        );
        let position: HashMap<&str, usize> = match selection {
            Selection::Queues(queues) => queues.iter().enumerate().map(|(n, (name, _))| (name.as_str(), n)).collect(),
            _ => HashMap::new(),
        };
        let mut found = Vec::new();
        for row in self.query(&sql, &values![after, &names, classes, i64::from(limit)]).await? {
            let (id, job_id) = (row.int(0)?, row.int(1)?);
            found.push(((position.get(row.text(3)?.as_str()).copied(), row.int(2)?, job_id), ReadyRow { id, job_id }));
        }
        found.sort_unstable_by_key(|(key, _)| *key);
        Ok(found.into_iter().map(|(_, row)| row).collect())
    }

    async fn all_rows(
        &mut self,
        selection: &Selection,
        classes: &[String],
        limit: u32,
    ) -> Result<Vec<ReadyRow>, Error> {
        let mut found = Vec::new();
        match selection {
            Selection::Any { excluded, .. } => {
                // Hidden in a `coalesce` as in the claim on PostgreSQL, so that the planner goes along the index.
                let sql = format!(
                    "select r.id, r.job_id from solid_queue_ready_executions r \
                     where coalesce(r.queue_name not in ?, true){OF_CLASSES} order by r.priority, r.job_id limit ?"
                );
                let excluded = with_a_member(excluded);
                for row in self.query(&sql, &values![&excluded, classes, i64::from(limit)]).await? {
                    found.push(ReadyRow { id: row.int(0)?, job_id: row.int(1)? });
                }
            }
            Selection::Queues(queues) => {
                let sql = format!(
                    "select r.id, r.job_id from solid_queue_ready_executions r \
                     where r.queue_name = ?{OF_CLASSES} order by r.priority, r.job_id limit ?"
                );
                for (queue, _) in queues {
                    let left = i64::from(limit) - found.len() as i64;
                    if left == 0 {
                        break;
                    }
                    for row in self.query(&sql, &values![queue, classes, left]).await? {
                        found.push(ReadyRow { id: row.int(0)?, job_id: row.int(1)? });
                    }
                }
            }
            Selection::Rows(rows) => found.extend_from_slice(rows),
        }
        Ok(found)
    }
}

/// Rows of `r` whose jobs are of listed classes.
const OF_CLASSES: &str = " and exists (select 1 from solid_queue_jobs j where j.id = r.job_id and j.class_name in ?)";

/// The condition on rows of `r` that a claim's classes make, and its value.
pub(super) fn class_filter<'c>(claim: &Claim<'c>) -> (String, Option<&'c [String]>) {
    match claim.classes {
        None if claim.passes_over() => {
            let job = "select 1 from solid_queue_jobs j where j.id = r.job_id";
            (format!(" and exists ({job} and j.class_name <> '{SHELL_CLASS}')"), None)
        }
        None => (String::new(), None),
        Some(classes) => (OF_CLASSES.into(), Some(classes)),
    }
}

/// `not in ()` is no SQL; the empty text names no queue.
pub(super) fn with_a_member(names: &[String]) -> Vec<String> {
    if names.is_empty() { vec![String::new()] } else { names.to_vec() }
}
