//! The claim: gate, pick, delete, insert and read in one [`statement`].

mod statement;

use crate::clock;
use crate::error::Error;
use crate::job::ClaimedJob;
use crate::session::Postgres;
use crate::transitions::{Claim, Claimed, Mark, Selection};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, Row as _};
use std::collections::HashMap;

/// Claims as [`Session::claim`](crate::Session::claim) says.
pub(crate) async fn claim(mut postgres: Postgres<'_>, claim: &Claim<'_>) -> Result<Claimed, Error> {
    let mut arguments = PgArguments::default();
    let mut add = || -> Result<(), sqlx::error::BoxDynError> {
        arguments.add(claim.process_id)?;
        arguments.add(i64::from(claim.limit))?;
        match claim.selection {
            Selection::Any { excluded, mark } => {
                arguments.add(mark.priority)?;
                arguments.add(mark.job_id)?;
                arguments.add(excluded)?;
            }
            Selection::Queues(queues) => {
                arguments.add(queues.iter().map(|(name, _)| name.as_str()).collect::<Vec<&str>>())?;
                arguments.add(queues.iter().map(|(_, mark)| mark.priority).collect::<Vec<i32>>())?;
                arguments.add(queues.iter().map(|(_, mark)| mark.job_id).collect::<Vec<i64>>())?;
            }
            Selection::Rows(rows) => arguments.add(rows.iter().map(|row| row.id).collect::<Vec<i64>>())?,
        }
        if let Some(classes) = claim.classes.filter(|_| !matches!(claim.selection, Selection::Rows(_))) {
            arguments.add(classes)?;
        }
        if let Some(ahead) = &claim.ahead {
            arguments.add(ahead.kept)?;
            arguments.add(i64::from(ahead.starting))?;
        }
        Ok(())
    };
    add().map_err(sqlx::Error::Encode)?;
    let Some(statement) = statement::of(claim) else { return Ok(Claimed::default()) };
    let rows = postgres.fetch(statement, arguments).await?;
    let jobs = rows.iter().filter_map(|row| read(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    let mut claimed = Claimed { met_commands: jobs.len() < rows.len(), jobs };
    let jobs = &mut claimed.jobs;
    match claim.selection {
        Selection::Any { .. } => jobs.sort_unstable_by_key(key),
        Selection::Queues(queues) if queues.len() == 1 => jobs.sort_unstable_by_key(key),
        Selection::Queues(queues) => {
            let position: HashMap<&str, usize> =
                queues.iter().enumerate().map(|(position, (name, _))| (name.as_str(), position)).collect();
            jobs.sort_by_cached_key(|job| (position.get(job.queue.as_str()).copied(), key(job)));
        }
        Selection::Rows(rows) => {
            let position: HashMap<i64, usize> = rows.iter().enumerate().map(|(n, row)| (row.job_id, n)).collect();
            jobs.sort_unstable_by_key(|job| position.get(&job.job_id).copied());
        }
    }
    Ok(claimed)
}

fn key(job: &ClaimedJob) -> Mark {
    Mark { priority: job.priority, job_id: job.job_id }
}

/// None for a job that was left.
fn read(row: &PgRow) -> Result<Option<ClaimedJob>, Error> {
    let Some(claim_id) = row.try_get(0)? else { return Ok(None) };
    Ok(Some(ClaimedJob {
        claim_id,
        job_id: row.try_get(1)?,
        queue: row.try_get(2)?,
        class: row.try_get(3)?,
        priority: row.try_get(4)?,
        envelope: row.try_get(5)?,
        active_job_id: row.try_get(6)?,
        scheduled_at: row.try_get::<Option<_>, _>(7)?.map(clock::from_naive),
        created_at: clock::from_naive(row.try_get(8)?),
        concurrency_key: row.try_get(9)?,
        interruptions: row.try_get::<Option<i32>, _>(10)?.map_or(0, |n| n.max(0) as u32),
        attempts: row.try_get::<Option<i32>, _>(11)?.map(|n| n.max(1) as u32),
    }))
}
