//! Jobs that are done, the overwhelming case: claim gone, job finished or deleted, slots and batches noted, in one statement.

use crate::error::Error;
use crate::session::Postgres;
use crate::transitions::Won;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Row as _};

/// Deletes the claims that are still there; those are the ones that count. `$1` are the claims.
const WON: &str = "with won as (delete from solid_queue_claimed_executions where id = any($1) returning id, job_id)";

/// Notes what finished jobs give back, and says what was written.
const NOTED: &str = ", signals as (
  insert into gritstone_signals (concurrency_key, created_at)
  select concurrency_key, (clock_timestamp() at time zone 'utc') from done where concurrency_key is not null),
slots as (delete from gritstone_slots s using done where s.job_id = done.id and done.concurrency_key is not null)
select array_agg(claim_id), bool_or(concurrency_key is not null)";

/// Finishes jobs. Without batch tables there is no `batch_id` to ask for.
pub(crate) async fn done(
    mut postgres: Postgres<'_>,
    claim_ids: &[i64],
    preserve: bool,
    batches: bool,
) -> Result<Won, Error> {
    let mut arguments = PgArguments::default();
    arguments.add(claim_ids).map_err(sqlx::Error::Encode)?;
    let rows = postgres.fetch(statement(preserve, batches), arguments).await?;
    let mut won = Won::default();
    for row in &rows {
        won.claim_ids = row.try_get::<Option<Vec<i64>>, _>(0)?.unwrap_or_default();
        won.signals = row.try_get::<Option<bool>, _>(1)?.unwrap_or_default();
        if batches {
            won.batch_ids = row.try_get::<Option<Vec<i64>>, _>(2)?.unwrap_or_default();
        }
    }
    Ok(won)
}

fn statement(preserve: bool, batches: bool) -> &'static str {
    use std::sync::LazyLock;
    static STATEMENTS: LazyLock<[String; 4]> =
        LazyLock::new(|| [write(false, false), write(false, true), write(true, false), write(true, true)]);
    &STATEMENTS[usize::from(preserve) * 2 + usize::from(batches)]
}

fn write(preserve: bool, batches: bool) -> String {
    let batch = if batches { ", j.batch_id" } else { "" };
    let done = if preserve {
        format!(
            ", done as (update solid_queue_jobs j set finished_at = (clock_timestamp() at time zone 'utc'),
               updated_at = (clock_timestamp() at time zone 'utc')
               from won where j.id = won.job_id returning won.id as claim_id, j.id, j.concurrency_key{batch})"
        )
    } else {
        format!(
            ", done as (delete from solid_queue_jobs j using won where j.id = won.job_id
               returning won.id as claim_id, j.id, j.concurrency_key{batch})"
        )
    };
    if !batches {
        return format!("{WON}{done}{NOTED} from done");
    }
    format!(
        "{WON}{done}, left_batch as (
           delete from solid_queue_batch_executions e using done where e.job_id = done.id and done.batch_id is not null
           returning e.batch_id),
         counted as (
           update solid_queue_batches b set completed_jobs = b.completed_jobs + n.n, updated_at = (clock_timestamp() at time zone 'utc')
           from (select batch_id, count(*) as n from left_batch group by batch_id) n where b.id = n.batch_id){NOTED},
         (select array_agg(distinct batch_id) from left_batch) from done"
    )
}
