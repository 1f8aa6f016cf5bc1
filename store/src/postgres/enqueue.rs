//! Jobs without limit, batch or chosen id: the rows of `solid_queue_jobs` and their executions in one statement.

use crate::error::Error;
use crate::job::{Due, Enqueued, Placed};
use crate::session::Postgres;
use crate::transitions::prepare::Prepared;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Row as _};

/// `delay` is in microseconds from now; `at` is absolute and wins. Both null: now.
const ENQUEUE: &str = "\
with clock as materialized (select (clock_timestamp() at time zone 'utc')::timestamp(6) as now),
input as (
  select * from unnest($1::text[], $2::text[], $3::text[], $4::int4[], $5::text[], $6::timestamp[], $7::int8[])
    with ordinality as t(queue_name, class_name, arguments, priority, active_job_id, at, delay, position)
),
jobs as (
  insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, scheduled_at, created_at, updated_at)
  select queue_name, class_name, arguments, priority, active_job_id,
         coalesce(at, clock.now + delay * interval '1 microsecond', clock.now), clock.now, clock.now
  from input, clock order by position
  returning id, queue_name, priority, active_job_id, scheduled_at
),
ready as (
  insert into solid_queue_ready_executions (job_id, queue_name, priority, created_at)
  select id, queue_name, priority, clock.now from jobs, clock where scheduled_at <= clock.now
),
scheduled as (
  insert into solid_queue_scheduled_executions (job_id, queue_name, priority, scheduled_at, created_at)
  select id, queue_name, priority, scheduled_at, clock.now from jobs, clock where scheduled_at > clock.now
)
select id, scheduled_at <= clock.now from jobs, clock order by id";

/// Jobs in one statement: beyond it nothing gets faster, and the message stays small.
pub(crate) const CHUNK: usize = 5_000;

/// Writes the jobs, each [`CHUNK`] of them in a statement: more than one want a transaction around them.
pub(crate) async fn enqueue(mut postgres: Postgres<'_>, prepared: &[Prepared<'_>]) -> Result<Vec<Enqueued>, Error> {
    let mut enqueued = Vec::with_capacity(prepared.len());
    for part in prepared.chunks(CHUNK) {
        enqueued.extend(chunk(&mut postgres, part).await?);
    }
    Ok(enqueued)
}

async fn chunk(postgres: &mut Postgres<'_>, prepared: &[Prepared<'_>]) -> Result<Vec<Enqueued>, Error> {
    let mut arguments = PgArguments::default();
    let mut add = || -> Result<(), sqlx::error::BoxDynError> {
        let column = |read: for<'p> fn(&'p Prepared<'_>) -> &'p str| -> Vec<String> {
            prepared.iter().map(|p| read(p).to_owned()).collect()
        };
        arguments.add(column(|p| &p.queue))?;
        arguments.add(column(|p| &p.job.class))?;
        arguments.add(column(|p| &p.envelope))?;
        arguments.add(prepared.iter().map(|p| p.priority).collect::<Vec<i32>>())?;
        arguments.add(column(|p| &p.id))?;
        arguments.add(
            prepared
                .iter()
                .map(|p| match p.job.due {
                    Due::At(time) => Some(crate::clock::to_naive(time)),
                    Due::Now | Due::After(_) => None,
                })
                .collect::<Vec<_>>(),
        )?;
        arguments.add(
            prepared
                .iter()
                .map(|p| match p.job.due {
                    Due::After(delay) => Some(crate::sql::micros(delay)),
                    Due::Now | Due::At(_) => None,
                })
                .collect::<Vec<Option<i64>>>(),
        )
    };
    add().map_err(sqlx::Error::Encode)?;
    let rows = postgres.fetch(ENQUEUE, arguments).await?;
    rows.iter()
        .zip(prepared)
        .map(|(row, p)| {
            let placed = if row.try_get(1)? { Placed::Ready } else { Placed::Scheduled };
            Ok(Enqueued { job_id: row.try_get(0)?, id: p.id.clone(), queue: p.queue.to_string(), placed })
        })
        .collect()
}
