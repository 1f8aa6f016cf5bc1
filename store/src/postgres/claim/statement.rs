//! The text of the claim, for each combination of what one can ask for.

use crate::job::SHELL_CLASS;
use crate::transitions::{Claim, Commands, Selection};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The statements, one for each combination of what a claim can ask for, made at first use.
static STATEMENTS: LazyLock<HashMap<Shape, String>> = LazyLock::new(|| {
    let flags = (0..4).map(|bits| [1, 2].map(|bit| bits & bit != 0));
    let kinds = flags.flat_map(|flags| Place::ALL.map(|place| (flags, place)));
    let filtered = kinds.flat_map(|(flags, place)| Filter::ALL.map(|filter| (flags, place, filter)));
    let shapes = filtered.flat_map(|([skip_locked, ahead], place, filter)| {
        WINDOWS.map(|window| Shape { place, filter, skip_locked, ahead, window })
    });
    shapes.map(|shape| (shape, shape.statement())).collect()
});

/// The statement for a claim.
pub(super) fn of(claim: &Claim<'_>) -> Option<&'static str> {
    STATEMENTS.get(&Shape::of(claim)).map(String::as_str)
}

/// How many rows a statement looks at, at most, written into its text.
///
/// The planner takes `limit $2` for a tenth of the table, which may make sorting it look cheaper than going along the
/// index. It believes a number that it can read. Rows are locked only as far as `$2` asks for them.
const WINDOWS: [u32; 3] = [32, 1_024, u32::MAX];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    place: Place,
    filter: Filter,
    skip_locked: bool,
    /// With a list of what has not started.
    ahead: bool,
    window: u32,
}

/// Where a claim looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// All queues but some.
    Any,
    /// Queues by name, in order.
    Queues,
    /// Rows by id, in order.
    Rows,
}

impl Place {
    const ALL: [Place; 3] = [Place::Any, Place::Queues, Place::Rows];
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
}

impl Shape {
    fn of(claim: &Claim<'_>) -> Shape {
        Shape {
            place: match claim.selection {
                Selection::Any { .. } => Place::Any,
                Selection::Queues(_) => Place::Queues,
                Selection::Rows(_) => Place::Rows,
            },
            filter: match (claim.classes, claim.commands) {
                // Rows were found by their classes.
                (Some(_), _) if matches!(claim.selection, Selection::Rows(_)) => Filter::All,
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
        let (gate, pick) = match self.place {
            Place::Any => self.any_queue(),
            Place::Queues => self.named_queues(),
            Place::Rows => self.rows(),
        };
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
        let class = filter.join();
        let gate = format!(
            "(select r.id from solid_queue_ready_executions r {class} where (r.priority, r.job_id) > ($3, $4)
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
        let class = filter.join();
        let gate = format!(
            "exists (select 1 from unnest($3::text[], $4::int4[], $5::int8[]) q(name, p, m)
             where (select r.id from solid_queue_ready_executions r {class}
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

    /// Rows by their ids, `$3`, in this order. A nested loop again, which looks at no more of them than are missing.
    fn rows(self) -> (String, String) {
        let gate = "exists (select 1 from solid_queue_ready_executions r where r.id = any($3))".to_owned();
        let pick = format!(
            "select r.id, r.job_id from unnest($3::int8[]) with ordinality w(id, position),
             lateral (select r.id, r.job_id from solid_queue_ready_executions r
                      where exists (select 1 from gate) and r.id = w.id
                        and r.queue_name <> all(array(select queue_name from solid_queue_pauses))
                      limit 1 {}) r
             limit $2",
            self.lock()
        );
        (gate, pick)
    }

    /// Lists what has not started: the claims kept from before, and all but the first few of the new ones.
    fn list(self) -> String {
        let (kept, starting) = match (self.place, self.filter) {
            (Place::Rows, _) => ("$4", "$5"),
            (_, Filter::Listed) => ("$7", "$8"),
            _ => ("$6", "$7"),
        };
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
