//! `gritstone enqueue`: new jobs, from the command line or as JSON [`lines`].

mod exact;
mod lines;

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::moment;
use super::output::{self, Progress, count};
use exact::Unread;
use gritstone_crds::Duration;
use gritstone_store::{Due, EnqueueError, Enqueued, Limit, NewJob, Placed, UseLimit};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

/// Enqueue jobs
///
/// One job of a class, or, without CLASS, a job for each JSON line on stdin:
/// {"class": "SendMail", "args": [42], "queue": "mail", "priority": 5, "at": "2026-01-02T03:04:05Z", "in": "5m",
/// "id": "...", "limit_key": "account/7", "attempts": 5}. --queue, --priority, --attempts, --at and --in hold for every line that says
/// nothing else; what is not said at all, the defaults of the class decide (`gritstone classes list`).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone enqueue SendMail --args '[42, {\"subject\": \"hello\"}]' --queue mail
  gritstone enqueue Report --at 2026-12-01T09:00:00Z --priority 10
  gritstone enqueue Sync --limit-key account/7 --limit-to 1 --limit-duration 3m
  gritstone enqueue Command --args '\"rm -rf tmp/cache\"'     for the shell of a worker that may run it
  gritstone enqueue < jobs.jsonl")]
pub(super) struct Enqueue {
    /// The job's class; without one, JSON lines are read from stdin
    class: Option<String>,
    /// Its arguments: a JSON array; anything else becomes the only argument
    ///
    /// What is too long for a command line (128 KiB on Linux) goes in as a line on stdin.
    #[arg(long, value_name = "JSON", default_value = "[]", requires = "class")]
    args: String,
    /// Its queue; its class's unless given, else `default`
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Smaller comes first; its class's unless given, else 0
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// How many runs it has in all; as many as its class has unless given, else what its worker says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_ATTEMPTS))]
    attempts: Option<u32>,
    /// Not before this moment, as 2026-12-01T09:00:00Z or with an offset
    #[arg(long, value_name = "TIME", conflicts_with = "in_", value_parser = moment)]
    at: Option<Timestamp>,
    /// Not before so long from now, as 90s, 5m or 1h30m
    #[arg(long = "in", id = "in_", value_name = "DURATION")]
    in_: Option<Duration>,
    /// Jobs with the same key share a limit; the text before the first / is its group
    #[arg(long, value_name = "KEY", requires = "class")]
    limit_key: Option<String>,
    /// Declare the limit: so many jobs with this key at a time
    #[arg(long, value_name = "N", requires = "limit_key", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit_to: Option<u32>,
    /// How long a slot is good for without a sign of its holder
    #[arg(long, value_name = "DURATION", requires = "limit_to")]
    limit_duration: Option<Duration>,
    /// An id of your choice: while a job has it, enqueuing it again makes no second one
    #[arg(long, requires = "class", conflicts_with = "count")]
    id: Option<String>,
    /// So many of the same
    #[arg(long, value_name = "N", requires = "class", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Jobs written in one transaction.
const BATCH: usize = 1_000;
/// How many runs a job may be given.
const MAX_ATTEMPTS: i64 = 1_000;

const DOING: &str = "enqueuing jobs";

impl Enqueue {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let job = match &self.class {
            Some(class) => self.job(class)?,
            None if std::io::stdin().is_terminal() => {
                return Err(Exit::Usage("name a class, or give JSON lines on stdin".into()));
            }
            None => return with_queue(global, DOING, async |queue: &mut Queue| self.lines(queue, global).await),
        };
        with_queue(global, DOING, async |queue: &mut Queue| match self.count {
            None | Some(1) => print(&queue.enqueue(std::slice::from_ref(&job)).await?, global),
            Some(count) => copies(queue, &job, count, global).await,
        })
    }

    fn job(&self, class: &str) -> Result<NewJob, Exit> {
        let arguments = exact::read(&self.args, 0).map_err(|unread| {
            Exit::Usage(match unread {
                Unread::Json(error) => format!(
                    "--args is not JSON ({error}); it should look like '[1, \"two\"]', a text by itself like '\"two\"'"
                ),
                Unread::Refused(what) => format!("--args: {what}"),
            })
        })?;
        let mut job = NewJob {
            queue: self.queue.clone(),
            priority: self.priority,
            attempts: self.attempts,
            due: due(self.at, self.in_),
            id: self.id.clone(),
            ..NewJob::new(class, as_list(arguments))
        };
        job.limit = self.limit_key.as_ref().map(|key| {
            let default = Limit::default();
            let duration = self.limit_duration.map_or(default.duration, Duration::as_std);
            UseLimit { key: key.clone(), declare: self.limit_to.map(|to| Limit { to, duration, ..default }) }
        });
        Ok(job)
    }
}

fn as_list(arguments: Value) -> Vec<Value> {
    match arguments {
        Value::Array(arguments) => arguments,
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

fn due(at: Option<Timestamp>, in_: Option<Duration>) -> Due {
    match (at, in_) {
        (Some(time), _) => Due::At(time),
        (None, Some(delay)) => Due::After(delay.as_std()),
        (None, None) => Due::Now,
    }
}

impl Queue {
    /// Enqueues jobs, all or none, and wakes workers before it returns.
    async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, EnqueueError> {
        let enqueued = self.session.enqueue(jobs).await?;
        let ready = enqueued.iter().filter(|enqueued| enqueued.placed == Placed::Ready);
        let queues: BTreeSet<String> = ready.map(|enqueued| enqueued.queue.clone()).collect();
        self.wake(&queues).await;
        Ok(enqueued)
    }
}

async fn copies(queue: &mut Queue, job: &NewJob, total: u64, global: &Global) -> Result<(), Exit> {
    let progress = if global.json { Progress::hidden() } else { Progress::new(Some(total), DOING) };
    let (mut left, mut on) = (total, String::new());
    while left > 0 {
        let size = left.min(BATCH as u64);
        let batch = vec![job.clone(); size as usize];
        match queue.enqueue(&batch).await {
            Ok(enqueued) => on = enqueued.into_iter().next().map_or(on, |enqueued| enqueued.queue),
            Err(error) => {
                if left < total {
                    output::note(format!("{} enqueued; then:", count(total - left, "job")));
                }
                return Err(error.into());
            }
        }
        left -= size;
        progress.add(size);
    }
    drop(progress);
    match global.json {
        true => output::json(&json!({"enqueued": total, "class": job.class, "queue": on})),
        false => output::line(format!("{} of class {} enqueued on {}", count(total, "job"), job.class, on)),
    }
}

/// Says what became of jobs, a line each.
fn print(enqueued: &[Enqueued], global: &Global) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    for Enqueued { job_id, id, queue, placed } in enqueued {
        match global.json {
            true => writeln!(out, "{}", json!({"job_id": job_id, "id": id, "queue": queue, "placed": placed}))?,
            false => writeln!(out, "{id}  {}", word(*placed))?,
        }
    }
    Ok(out.flush()?)
}

fn word(placed: Placed) -> &'static str {
    match placed {
        Placed::Ready => "ready",
        Placed::Scheduled => "scheduled",
        Placed::Blocked => "blocked",
        Placed::Discarded => "discarded",
        Placed::Duplicate => "duplicate",
    }
}
