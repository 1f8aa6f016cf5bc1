//! Ready jobs into a worker's hands.

use super::ready_rows::{ReadyRow, class_filter, with_a_member};
use crate::error::Error;
use crate::job::{ClaimedJob, SHELL_CLASS};
use crate::session::{Session, transaction, until_no_conflict};
use crate::sql::{Dialect, Row, Value, values};
use std::collections::{HashMap, HashSet};

/// Where in the order of (priority, job id) a claim begins: rows at or below it were seen to be gone.
///
/// On PostgreSQL a transaction held open anywhere keeps every claimed job's index entry in place, for each claim to step over:
/// claims from the start then slowed from 67,000 to 7,000 jobs a second, claims from a mark stayed at 57,000.
/// A mark is only a hint about speed: whoever keeps one looks from the start now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The last claimed job's priority.
    pub priority: i32,
    /// Its id.
    pub job_id: i64,
}

impl Mark {
    /// Before every job.
    pub const START: Mark = Mark { priority: i32::MIN, job_id: i64::MIN };
}

/// Which queues a claim looks into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All but these, by priority across queues.
    Any {
        /// Queues to leave alone.
        excluded: Vec<String>,
        /// Where to begin.
        mark: Mark,
    },
    /// These, one after the other; order beats priority.
    Queues(Vec<(String, Mark)>),
    /// No queue, but rows that [`ready_rows`](Session::ready_rows) found, in this order, as far as they are still there and their
    /// queues aren't paused. Their classes are not asked for again.
    Rows(Vec<ReadyRow>),
}

impl Selection {
    fn is_empty(&self) -> bool {
        match self {
            Selection::Any { .. } => false,
            Selection::Queues(queues) => queues.is_empty(),
            Selection::Rows(rows) => rows.is_empty(),
        }
    }
}

/// A claim to be made.
#[derive(Debug, Clone)]
pub struct Claim<'c> {
    /// The claiming process's row; it must not be cordoned or gone.
    pub process_id: i64,
    /// Where to look.
    pub selection: &'c Selection,
    /// The most jobs to take.
    pub limit: u32,
    /// Only jobs of these classes, when given.
    pub classes: Option<&'c [String]>,
    /// What to do about jobs of class `Command` where no classes are given.
    pub commands: Commands,
    /// Pass over rows that others hold, or wait for them.
    pub skip_locked: bool,
    /// What is written of jobs that are claimed ahead of their run.
    pub ahead: Option<Ahead<'c>>,
}

/// What a claim does about jobs of class [`SHELL_CLASS`], in whatever queue they lie: a text for the shell is for those alone that may run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commands {
    /// They are claimed like others.
    Take,
    /// None is claimed. They are told apart only once they are picked, which costs nothing while there are none, and each uses up one of
    /// the claim's limit: [`Claimed::met_commands`] then says so.
    Leave,
    /// None is claimed or picked: for whoever met some. Each job that is looked at costs a look at its row.
    PassOver,
}

/// What a claim got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The jobs, in order.
    pub jobs: Vec<ClaimedJob>,
    /// Jobs of class `Command` were in the way, and left there.
    pub met_commands: bool,
}

/// Which claims of a worker have not started: written in the transaction of a claim, so that a worker's death is counted against
/// the jobs that it was running and no others.
///
/// Written only by a claim that finds something; after another one [`write_unstarted`](Session::write_unstarted) says the same.
#[derive(Debug, Clone, Copy)]
pub struct Ahead<'c> {
    /// Those from earlier claims.
    pub kept: &'c [i64],
    /// How many of the new ones may start before the list is written again: the first, by their claims' ids.
    pub starting: u32,
}

impl Ahead<'_> {
    /// The claims that have not started once `claims` have been made.
    pub fn unstarted(&self, claims: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut new: Vec<i64> = claims.collect();
        new.sort_unstable();
        self.kept.iter().copied().chain(new.into_iter().skip(self.starting as usize)).collect()
    }
}

impl Session<'_> {
    /// Claims at most `limit` jobs of queues that aren't paused, in order. Empty too when the process is cordoned or gone.
    ///
    /// # Errors
    /// Those of the database; then nothing was claimed, unless the answer was lost on the way
    /// ([`claims_of`](Self::claims_of) tells).
    pub async fn claim(&mut self, claim: &Claim<'_>) -> Result<Claimed, Error> {
        if claim.limit == 0 || claim.selection.is_empty() {
            return Ok(Claimed::default());
        }
        if self.dialect == Dialect::Postgres {
            return until_no_conflict!(self, self.claim_on_postgres(claim).await);
        }
        // An idle poll must not take SQLite's write lock, nor lock rows on MySQL.
        if !self.anything_ready(claim).await? {
            return Ok(Claimed::default());
        }
        transaction!(self, self.claim_script(claim).await)
    }

    async fn claim_on_postgres(&mut self, claim: &Claim<'_>) -> Result<Claimed, Error> {
        match self.postgres() {
            Some(postgres) => crate::postgres::claim::claim(postgres, claim).await,
            None => Err(Error::Other("this session is not PostgreSQL's".into())),
        }
    }

    async fn claim_script(&mut self, claim: &Claim<'_>) -> Result<Claimed, Error> {
        let gate = format!(
            "select process_id from gritstone_processes where process_id = ? and (cordoned_until is null or cordoned_until <= ?){}",
            // A shared lock that is then written through would deadlock with whoever waits for it.
            if claim.ahead.is_some() { self.dialect.for_update(false) } else { self.dialect.for_share() }
        );
        if self.query_one(&gate, &[claim.process_id.into(), Value::NOW]).await?.is_none() {
            return Ok(Claimed::default());
        }
        let picked = self.pick(claim).await?;
        if picked.is_empty() {
            return Ok(Claimed::default());
        }
        let job_ids: Vec<i64> = picked.iter().map(|(_, job_id)| *job_id).collect();
        let left = match (claim.classes, claim.commands) {
            (None, Commands::Leave) => format!(" and class_name <> '{SHELL_CLASS}'"),
            _ => String::new(),
        };
        self.execute(
            &format!(
                "insert into solid_queue_claimed_executions (job_id, process_id, created_at) \
                 select id, ?, ? from solid_queue_jobs where id in ?{left} order by id"
            ),
            &[claim.process_id.into(), Value::NOW, (&job_ids).into()],
        )
        .await?;
        let rows = self.query(&format!("{CLAIMED} where c.job_id in ?"), &values![&job_ids]).await?;
        let mut jobs = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if jobs.is_empty() {
            return Ok(Claimed { jobs, met_commands: true });
        }
        let mut position: HashMap<i64, usize> = HashMap::with_capacity(picked.len());
        position.extend(job_ids.iter().enumerate().map(|(position, job_id)| (*job_id, position)));
        let taken: HashSet<i64> = jobs.iter().map(|job| job.job_id).collect();
        let executions = picked.iter().filter(|(_, job_id)| taken.contains(job_id));
        let executions: Vec<i64> = executions.map(|(id, _)| *id).collect();
        self.execute("delete from solid_queue_ready_executions where id in ?", &values![&executions]).await?;
        if let Some(ahead) = &claim.ahead {
            let unstarted = ahead.unstarted(jobs.iter().map(|job| job.claim_id));
            self.set_unstarted(claim.process_id, &unstarted).await?;
        }
        jobs.sort_by_key(|job| position.get(&job.job_id).copied());
        Ok(Claimed { met_commands: jobs.len() < picked.len(), jobs })
    }

    /// Locks the rows to take: pairs of execution id and job id, in order.
    async fn pick(&mut self, claim: &Claim<'_>) -> Result<Vec<(i64, i64)>, Error> {
        let lock = self.dialect.for_update(claim.skip_locked);
        let (class_filter, classes) = class_filter(claim);
        let tail = format!("{class_filter} order by r.priority, r.job_id limit ?{lock}");
        let mut picked = Vec::new();
        match claim.selection {
            Selection::Any { excluded, .. } => {
                let excluded = with_a_member(excluded);
                let sql = format!(
                    "select r.id, r.job_id from solid_queue_ready_executions r where r.queue_name not in ? \
                     and r.queue_name not in (select queue_name from solid_queue_pauses){tail}"
                );
                let mut values = vec![Value::from(&excluded)];
                values.extend(classes.map(Value::from));
                values.push(i64::from(claim.limit).into());
                for row in self.query(&sql, &values).await? {
                    picked.push((row.int(0)?, row.int(1)?));
                }
            }
            Selection::Queues(queues) => {
                let paused = self.paused_queues().await?;
                let sql =
                    format!("select r.id, r.job_id from solid_queue_ready_executions r where r.queue_name = ?{tail}");
                for (queue, _) in queues.iter().filter(|(queue, _)| !paused.contains(queue)) {
                    let left = claim.limit as usize - picked.len();
                    if left == 0 {
                        break;
                    }
                    let mut values = vec![Value::from(queue)];
                    values.extend(classes.map(Value::from));
                    values.push((left as i64).into());
                    for row in self.query(&sql, &values).await? {
                        picked.push((row.int(0)?, row.int(1)?));
                    }
                }
            }
            Selection::Rows(rows) => {
                let paused: Vec<String> = self.paused_queues().await?.into_iter().collect();
                let paused = with_a_member(&paused);
                let sql = format!(
                    "select r.id, r.job_id from solid_queue_ready_executions r where r.id in ? and r.queue_name not in ? \
                     order by r.id{lock}"
                );
                let mut left = rows.as_slice();
                while !left.is_empty() && picked.len() < claim.limit as usize {
                    let (these, others) = left.split_at(left.len().min(claim.limit as usize - picked.len()));
                    let ids: Vec<i64> = these.iter().map(|row| row.id).collect();
                    let mut found = HashSet::new();
                    for row in self.query(&sql, &values![&ids, &paused]).await? {
                        found.insert(row.int(0)?);
                    }
                    picked.extend(these.iter().filter(|row| found.contains(&row.id)).map(|row| (row.id, row.job_id)));
                    left = others;
                }
            }
        }
        Ok(picked)
    }

    /// The claims that a process holds.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn claim_ids_of(&mut self, process_id: i64) -> Result<Vec<i64>, Error> {
        let sql = "select id from solid_queue_claimed_executions where process_id = ?";
        self.query(sql, &values![process_id]).await?.iter().map(|row| row.int(0)).collect()
    }

    /// The jobs that a process holds: what it really got when the answer to a claim was lost.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn claims_of(&mut self, process_id: i64) -> Result<Vec<ClaimedJob>, Error> {
        let sql = format!("{CLAIMED} where c.process_id = ? order by c.id");
        self.query(&sql, &values![process_id]).await?.iter().map(read).collect()
    }
}

impl Claim<'_> {
    pub(super) fn passes_over(&self) -> bool {
        self.classes.is_none() && self.commands == Commands::PassOver
    }
}

pub(super) const CLAIMED: &str = "select c.id, j.id, j.queue_name, j.class_name, j.priority, j.arguments, j.active_job_id, \
     j.scheduled_at, j.created_at, j.concurrency_key, g.interruptions, g.attempts \
     from solid_queue_claimed_executions c join solid_queue_jobs j on j.id = c.job_id \
     left join gritstone_jobs g on g.job_id = j.id";

pub(super) fn read(row: &Row) -> Result<ClaimedJob, Error> {
    Ok(ClaimedJob {
        claim_id: row.int(0)?,
        job_id: row.int(1)?,
        queue: row.text(2)?,
        class: row.text(3)?,
        priority: row.int(4)? as i32,
        envelope: row.opt_text(5)?,
        active_job_id: row.opt_text(6)?,
        scheduled_at: row.opt_time(7)?,
        created_at: row.time(8)?,
        concurrency_key: row.opt_text(9)?,
        interruptions: row.opt_int(10)?.map_or(0, |n| n.max(0) as u32),
        attempts: row.opt_int(11)?.map(|n| n.clamp(1, i64::from(u32::MAX)) as u32),
    })
}
