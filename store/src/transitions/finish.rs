//! The end of a run: done, retry later, failed, released.

use crate::error::Error;
use crate::job::{Finish, JobError, Verdict};
use crate::session::{Session, transaction, until_no_conflict};
use crate::sql::{Dialect, Value, values};
use std::collections::{HashMap, HashSet};

/// What [`Session::finish`] wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Claims that were no longer there: somebody else took the job over, and nothing was written for these.
    pub gone: Vec<i64>,
    /// Slots were given back: [`Session::signal`] hands them on.
    pub signals: bool,
    /// Batches that lost a member: [`Session::complete_batches`] sees whether they are finished.
    pub batch_ids: Vec<i64>,
}

/// The claims that were still there, and what they leave to do.
#[derive(Debug, Default)]
pub(crate) struct Won {
    pub(crate) claim_ids: Vec<i64>,
    pub(crate) signals: bool,
    pub(crate) batch_ids: Vec<i64>,
}

/// MySQL's `text` holds 65,535 bytes; an error is cut to fit, as Solid Queue does.
const MYSQL_ERROR_LIMIT: usize = 65_535 - 256;

impl Session<'_> {
    /// Writes how runs ended, all in one transaction. `preserve` keeps finished jobs' rows.
    ///
    /// Each is fenced by its claim: where that is gone, nothing is written.
    ///
    /// # Errors
    /// Those of the database; then nothing was written, unless the answer was lost on the way.
    pub async fn finish(&mut self, finishes: &[Finish], preserve: bool) -> Result<Settled, Error> {
        if finishes.is_empty() {
            return Ok(Settled::default());
        }
        let all_done = finishes.iter().all(|finish| finish.verdict == Verdict::Done);
        let won = if all_done && self.dialect == Dialect::Postgres {
            let claim_ids: Vec<i64> = finishes.iter().map(|finish| finish.claim_id).collect();
            let batches = self.features.batches;
            until_no_conflict!(self, self.done_on_postgres(&claim_ids, preserve, batches).await)?
        } else {
            transaction!(self, self.finish_script(finishes, preserve).await)?
        };
        let kept: HashSet<i64> = won.claim_ids.iter().copied().collect();
        let gone = finishes.iter().map(|finish| finish.claim_id).filter(|id| !kept.contains(id)).collect();
        Ok(Settled { gone, signals: won.signals, batch_ids: won.batch_ids })
    }

    async fn done_on_postgres(&mut self, claim_ids: &[i64], preserve: bool, batches: bool) -> Result<Won, Error> {
        match self.postgres() {
            Some(postgres) => crate::postgres::finish::done(postgres, claim_ids, preserve, batches).await,
            None => Err(Error::Other("this session is not PostgreSQL's".into())),
        }
    }

    async fn finish_script(&mut self, finishes: &[Finish], preserve: bool) -> Result<Won, Error> {
        let claim_ids: Vec<i64> = finishes.iter().map(|finish| finish.claim_id).collect();
        let lock = self.dialect.for_update(false);
        let sql = format!("select id, job_id from solid_queue_claimed_executions where id in ? order by id{lock}");
        let rows = self.query(&sql, &values![&claim_ids]).await?;
        let mut held = HashMap::with_capacity(rows.len());
        for row in &rows {
            held.insert(row.int(0)?, row.int(1)?);
        }
        let mut won = Won::default();
        let (mut done, mut failed, mut back) = (Vec::new(), Vec::new(), Vec::new());
        // By job id, so that two transactions lock the jobs' rows in the same order.
        let mut winners: Vec<(i64, &Finish)> =
            finishes.iter().filter_map(|finish| Some((held.remove(&finish.claim_id)?, finish))).collect();
        winners.sort_unstable_by_key(|(job_id, _)| *job_id);
        let (mut released, mut scheduled) = (Vec::new(), Vec::new());
        for (job_id, finish) in winners {
            won.claim_ids.push(finish.claim_id);
            match &finish.verdict {
                Verdict::Done => {
                    done.push(job_id);
                    back.push(job_id);
                }
                Verdict::Fail { error, envelope } => {
                    self.write_failure(job_id, error, envelope.as_deref()).await?;
                    failed.push(job_id);
                    back.push(job_id);
                }
                Verdict::Retry { delay, envelope } => {
                    self.reschedule(job_id, *delay, Some(envelope)).await?;
                    scheduled.push(job_id);
                    back.push(job_id);
                }
                Verdict::Interrupt => {
                    self.count_interruption(job_id).await?;
                    released.push(job_id);
                }
                Verdict::Release { delay: Some(delay), envelope } => {
                    self.reschedule(job_id, *delay, envelope.as_ref()).await?;
                    scheduled.push(job_id);
                    back.push(job_id);
                }
                // It keeps its slot: the next run takes it over.
                Verdict::Release { delay: None, envelope } => {
                    if let Some(envelope) = envelope {
                        self.write_envelope(job_id, envelope).await?;
                    }
                    released.push(job_id);
                }
            }
        }
        self.insert_scheduled(&scheduled).await?;
        self.insert_ready(&released).await?;
        match released.as_slice() {
            [] => {}
            [job_id] => tracing::debug!(job_id, "release_claimed"),
            many => tracing::debug!(size = many.len(), "release_many_claimed"),
        }
        won.batch_ids = self.leave_batches(&done, true).await?;
        won.batch_ids.extend(self.leave_batches(&failed, false).await?);
        won.signals = self.note_signals(&back).await?;
        if !won.claim_ids.is_empty() {
            self.execute("delete from solid_queue_claimed_executions where id in ?", &values![&won.claim_ids]).await?;
        }
        if !done.is_empty() {
            match preserve {
                true => {
                    self.execute(
                        "update solid_queue_jobs set finished_at = ?, updated_at = ? where id in ?",
                        &[Value::NOW, Value::NOW, (&done).into()],
                    )
                    .await?
                }
                false => self.execute("delete from solid_queue_jobs where id in ?", &values![&done]).await?,
            };
        }
        Ok(won)
    }

    /// Records a failure; a second one of the same job replaces the first.
    pub(super) async fn write_failure(
        &mut self,
        job_id: i64,
        error: &JobError,
        envelope: Option<&str>,
    ) -> Result<(), Error> {
        let limit = self.dialect.is_mysql().then_some(MYSQL_ERROR_LIMIT);
        let sql = format!(
            "insert into solid_queue_failed_executions (job_id, error, created_at) values (?, ?, ?){}",
            self.dialect.upsert("job_id", &["error"])
        );
        self.execute(&sql, &[job_id.into(), error.to_column(limit).into(), Value::NOW]).await?;
        match envelope {
            Some(envelope) => self.write_envelope(job_id, envelope).await,
            None => Ok(()),
        }
    }

    async fn write_envelope(&mut self, job_id: i64, envelope: &str) -> Result<(), Error> {
        self.execute("update solid_queue_jobs set arguments = ? where id = ?", &values![envelope, job_id]).await?;
        Ok(())
    }

    async fn reschedule(
        &mut self,
        job_id: i64,
        delay: std::time::Duration,
        envelope: Option<&String>,
    ) -> Result<(), Error> {
        match envelope {
            Some(envelope) => {
                self.execute(
                    "update solid_queue_jobs set scheduled_at = ?, arguments = ? where id = ?",
                    &[Value::now_plus(delay), envelope.into(), job_id.into()],
                )
                .await?
            }
            None => {
                self.execute(
                    "update solid_queue_jobs set scheduled_at = ? where id = ?",
                    &[Value::now_plus(delay), job_id.into()],
                )
                .await?
            }
        };
        Ok(())
    }
}
