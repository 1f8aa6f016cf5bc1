//! The claim: gate, pick, delete, insert and read in one statement.

use crate::clock;
use crate::error::Error;
use crate::job::{ClaimedJob, SHELL_CLASS};
use crate::session::Postgres;
use crate::transitions::{Claim, Claimed, Commands, Mark, Selection};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, Row as _};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The statements, one for each combination of what a claim can ask for, made at first use.
static STATEMENTS: LazyLock<HashMap<Shape, String>> = LazyLock::new(|| {
    let flags = (0..8).map(|bits| [1, 2, 4].map(|bit| bits & bit != 0));
    let kinds = flags.flat_map(|flags| Filter::ALL.map(|filter| (flags, filter)));
    let shapes = kinds.flat_map(|([named, skip_locked, ahead], filter)| {
        WINDOWS.map(|window| Shape { named, filter, skip_locked, ahead, window })
    });
    shapes.map(|shape| (shape, shape.statement())).collect()
});

/// How many rows a statement looks at, at most, written into its text.
///
/// The planner takes `limit $2` for a tenth of the table, which may make sorting it look cheaper than going along the
/// index. It believes a number that it can read. Rows are locked only as far as `$2` asks for them.
const WINDOWS: [u32; 3] = [32, 1_024, u32::MAX];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    /// Queues by name, in order, instead of all but some.
    named: bool,
    filter: Filter,
    skip_locked: bool,
    /// With a list of what has not started.
    ahead: bool,
    window: u32,
}

/// Which classes are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Filter {
    All,
    /// Those that are listed.
    Listed,
    /// All but shells' texts, of which none is expected.
    LeaveCommands,
    /// The same where some are.
    PassOverCommands,
}

impl Filter {
    const ALL: [Filter; 4] = [Filter::All, Filter::Listed, Filter::LeaveCommands, Filter::PassOverCommands];

    /// What picking joins with.
    fn join(self) -> String {
        let jobs = "join solid_queue_jobs j on j.id = r.job_id and j.class_name";
        match self {
            Filter::All | Filter::LeaveCommands => String::new(),
            Filter::Listed => format!("{jobs} = any($6)"),
            Filter::PassOverCommands => format!("{jobs} <> '{SHELL_CLASS}'"),
        }
    }

    /// What the look whether there is anything joins with.
    fn gate_join(self) -> String {
        if self == Filter::PassOverCommands { self.join() } else { String::new() }
    }
}

impl Shape {
    fn of(claim: &Claim<'_>) -> Shape {
        Shape {
            named: matches!(claim.selection, Selection::Queues(_)),
            filter: match (claim.classes, claim.commands) {
                (Some(_), _) => Filter::Listed,
                (None, Commands::Take) => Filter::All,
                (None, Commands::Leave) => Filter::LeaveCommands,
                (None, Commands::PassOver) => Filter::PassOverCommands,
            },
            skip_locked: claim.skip_locked,
            ahead: claim.ahead.is_some(),
            window: WINDOWS.into_iter().find(|window| claim.limit <= *window).unwrap_or(u32::MAX),
        }
    }

    /// `$1` is the process, `$2` the most jobs to take.
    ///
    /// The gate locks the process's own row first, so that whoever cordons or prunes the process waits for this claim
    /// and then sees it. It is locked only when there is something to take: a row lock is a write, and an idle poll must not
    /// cost a flush of the log.
    fn statement(self) -> String {
        let (gate, pick) = if self.named { self.named_queues() } else { self.any_queue() };
        let (lock, list) = if self.ahead { ("for no key update", self.list()) } else { ("for share", String::new()) };
        let claimed = match self.filter {
            Filter::LeaveCommands => Self::all_but_commands(&list),
            Filter::All | Filter::Listed | Filter::PassOverCommands => Self::all_picked(&list),
        };
        format!(
            "with gate as materialized (
               select process_id from gritstone_processes
               where process_id = $1 and (cordoned_until is null or cordoned_until <= (clock_timestamp() at time zone 'utc'))
                 and {gate} {lock}),
             picked as materialized ({pick}),
             {claimed}"
        )
    }

    fn all_picked(list: &str) -> String {
        format!(
            "gone as (delete from solid_queue_ready_executions r using picked where r.id = picked.id),
             claimed as (
               insert into solid_queue_claimed_executions (job_id, process_id, created_at)
               select job_id, $1, (clock_timestamp() at time zone 'utc') from picked returning id, job_id){list}
             select c.id, j.id, j.queue_name, j.class_name, j.priority, j.arguments, j.active_job_id, j.scheduled_at,
               j.created_at, j.concurrency_key, g.interruptions, g.attempts
             from claimed c join solid_queue_jobs j on j.id = c.job_id left join gritstone_jobs g on g.job_id = c.job_id"
        )
    }

    /// The jobs' rows are read once here as well, only sooner: before the claim instead of after it. What is left has no claim.
    fn all_but_commands(list: &str) -> String {
        format!(
            "found as materialized (
               select p.id as execution_id, j.id, j.queue_name, j.class_name, j.priority, j.arguments, j.active_job_id,
                 j.scheduled_at, j.created_at, j.concurrency_key
               from picked p join solid_queue_jobs j on j.id = p.job_id),
             gone as (
               delete from solid_queue_ready_executions r using found f
               where r.id = f.execution_id and f.class_name <> '{SHELL_CLASS}'),
             claimed as (
               insert into solid_queue_claimed_executions (job_id, process_id, created_at)
               select id, $1, (clock_timestamp() at time zone 'utc') from found where class_name <> '{SHELL_CLASS}'
               returning id, job_id){list}
             select c.id, f.id, f.queue_name, f.class_name, f.priority, f.arguments, f.active_job_id, f.scheduled_at,
               f.created_at, f.concurrency_key, g.interruptions, g.attempts
             from found f left join claimed c on c.job_id = f.id left join gritstone_jobs g on g.job_id = f.id"
        )
    }

    /// All but some, by priority across queues: `$3`, `$4` are the mark, `$5` the queues to leave alone, `$6` the classes.
    ///
    /// The pauses are an array made once: written as an anti-join, the planner may hash it and sort the whole table. The
    /// `coalesce` says nothing that the planner understands, on purpose: where all jobs are of one queue it takes `<> all` for
    /// true of no row, and so again sorts the table instead of going along the index.
    fn any_queue(self) -> (String, String) {
        let Shape { filter, window, .. } = self;
        let (class, gate_class) = (filter.join(), filter.gate_join());
        let gate = format!(
            "(select r.id from solid_queue_ready_executions r {gate_class} where (r.priority, r.job_id) > ($3, $4)
             and coalesce(r.queue_name <> all($5), true) order by r.priority, r.job_id limit 1) is not null"
        );
        let pick = format!(
            "select id, job_id from (
               select r.id, r.job_id from solid_queue_ready_executions r {class}
               where exists (select 1 from gate) and (r.priority, r.job_id) > ($3, $4) and coalesce(r.queue_name <> all($5), true)
                 and coalesce(r.queue_name <> all(array(select queue_name from solid_queue_pauses)), true)
               order by r.priority, r.job_id limit {window} {}) r
             limit $2",
            self.lock()
        );
        (gate, pick)
    }

    /// Queues in their order: `$3` names, `$4`, `$5` their marks, `$6` the classes.
    ///
    /// One statement for any number of queues: the lateral is a nested loop that goes on to the next queue only while
    /// rows are missing, and locks no row that it doesn't return.
    fn named_queues(self) -> (String, String) {
        let Shape { filter, window, .. } = self;
        let (class, gate_class) = (filter.join(), filter.gate_join());
        let gate = format!(
            "exists (select 1 from unnest($3::text[], $4::int4[], $5::int8[]) q(name, p, m)
             where (select r.id from solid_queue_ready_executions r {gate_class}
                    where r.queue_name = q.name and (r.priority, r.job_id) > (q.p, q.m)
                    order by r.priority, r.job_id limit 1) is not null)"
        );
        let pick = format!(
            "select r.id, r.job_id from unnest($3::text[], $4::int4[], $5::int8[]) with ordinality q(name, p, m, position),
             lateral (select r.id, r.job_id from solid_queue_ready_executions r {class}
                      where exists (select 1 from gate) and r.queue_name = q.name and (r.priority, r.job_id) > (q.p, q.m)
                        and q.name <> all(array(select queue_name from solid_queue_pauses))
                      order by r.priority, r.job_id limit {window} {}) r
             limit $2",
            self.lock()
        );
        (gate, pick)
    }

    /// Lists what has not started: the claims kept from before, and all but the first few of the new ones.
    fn list(self) -> String {
        let (kept, starting) = if self.filter == Filter::Listed { ("$7", "$8") } else { ("$6", "$7") };
        format!(
            ",
             listed as (
               update gritstone_processes set unstarted = (
                 select coalesce(json_agg(id), '[]')::text
                 from (select unnest({kept}::int8[]) as id union all (select id from claimed order by id offset {starting})) u)
               where process_id = $1 and exists (select 1 from claimed))"
        )
    }

    fn lock(self) -> &'static str {
        if self.skip_locked { "for update of r skip locked" } else { "for update of r" }
    }
}

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
        }
        if let Some(classes) = claim.classes {
            arguments.add(classes)?;
        }
        if let Some(ahead) = &claim.ahead {
            arguments.add(ahead.kept)?;
            arguments.add(i64::from(ahead.starting))?;
        }
        Ok(())
    };
    add().map_err(sqlx::Error::Encode)?;
    let Some(statement) = STATEMENTS.get(&Shape::of(claim)) else { return Ok(Claimed::default()) };
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
