//! `gritstone enqueue`: new jobs, from the command line or as JSON lines.

use super::exit::Exit;
use super::{Global, database, runtime};
use gritstone_crds::Duration;
use gritstone_store::{Due, Enqueued, Limit, NewJob, Store, UseLimit};
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Enqueue jobs
///
/// One job of a class, or, without CLASS, a job for each JSON line on stdin:
/// {"class": "SendMail", "args": [42], "queue": "mail", "priority": 5, "at": "2026-01-02T03:04:05Z", "in": "5m", "id": "..."}
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone enqueue SendMail --args '[42, {\"subject\": \"hello\"}]' --queue mail
  gritstone enqueue Report --at 2026-12-01T09:00:00Z --priority 10
  gritstone enqueue Sync --limit-key account/7 --limit-to 1 --limit-duration 3m
  gritstone enqueue < jobs.jsonl")]
pub(super) struct Enqueue {
    /// The job's class; without one, JSON lines are read from stdin
    class: Option<String>,
    /// Its arguments: a JSON array; anything else becomes the only argument
    #[arg(long, value_name = "JSON", default_value = "[]", requires = "class")]
    args: String,
    /// Its queue
    #[arg(long, value_name = "NAME", default_value = "default")]
    queue: String,
    /// Smaller comes first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Not before this moment, as 2026-12-01T09:00:00Z or with an offset
    #[arg(long, value_name = "TIME", conflicts_with = "in_")]
    at: Option<Timestamp>,
    /// Not before so long from now, as 90s, 5m or 1h30m
    #[arg(long = "in", id = "in_", value_name = "DURATION")]
    in_: Option<Duration>,
    /// Jobs with the same key share a limit; the text before the first / is its group
    #[arg(long, value_name = "KEY", requires = "class")]
    limit_key: Option<String>,
    /// Declare the limit: so many jobs with this key at a time
    #[arg(long, value_name = "N", requires = "limit_key", value_parser = clap::value_parser!(u32).range(1..))]
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

/// A line of stdin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    class: String,
    #[serde(default, alias = "arguments")]
    args: Value,
    queue: Option<String>,
    priority: Option<i32>,
    at: Option<Timestamp>,
    #[serde(rename = "in")]
    in_: Option<Duration>,
    id: Option<String>,
    limit_key: Option<String>,
}

/// Jobs written in one transaction.
const BATCH: usize = 1_000;

impl Enqueue {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let job = match &self.class {
            Some(class) => Some(self.job(class)?),
            None if std::io::stdin().is_terminal() => {
                return Err(Exit::Usage("name a class, or give JSON lines on stdin".into()));
            }
            None => None,
        };
        runtime::block_on(async {
            let store = database::open_queue(global).await?;
            match job {
                Some(job) => enqueue_copies(&store, job, self.count.unwrap_or(1), global).await,
                None => self.enqueue_lines(&store, global).await,
            }
        })
    }

    fn job(&self, class: &str) -> Result<NewJob, Exit> {
        let arguments: Value = serde_json::from_str(&self.args).map_err(|error| {
            Exit::Usage(format!("--args is not JSON ({error}); it should look like '[1, \"two\"]'"))
        })?;
        let mut job = NewJob::new(class, as_list(arguments)).on(&self.queue).priority(self.priority);
        job.due = due(self.at, self.in_);
        job.id = self.id.clone();
        job.limit = self.limit_key.as_ref().map(|key| {
            let default = Limit::default();
            let duration = self.limit_duration.map_or(default.duration, Duration::as_std);
            UseLimit { key: key.clone(), declare: self.limit_to.map(|to| Limit { to, duration, ..default }) }
        });
        Ok(job)
    }

    async fn enqueue_lines(&self, store: &Store, global: &Global) -> Result<(), Exit> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut total = 0;
        for (index, line) in std::io::stdin().lock().lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let said = |what: String| {
                Exit::Refused(format!("line {}: {what}; {total} jobs before it were enqueued", index + 1))
            };
            let parsed: Line = serde_json::from_str(&line).map_err(|error| said(error.to_string()))?;
            if parsed.at.is_some() && parsed.in_.is_some() {
                return Err(said("`at` and `in` exclude each other".into()));
            }
            batch.push(self.from_line(parsed));
            if batch.len() == BATCH {
                total += write(store, &batch, global).await.map_err(|error| said(error.to_string()))?;
                batch.clear();
            }
        }
        total += write(store, &batch, global).await?;
        if !global.json {
            eprintln!("{total} jobs enqueued");
        }
        Ok(())
    }

    /// Options of the command line are the defaults of lines.
    fn from_line(&self, line: Line) -> NewJob {
        let mut job = NewJob::new(line.class, as_list(line.args))
            .on(line.queue.unwrap_or_else(|| self.queue.clone()))
            .priority(line.priority.unwrap_or(self.priority));
        job.due = due(line.at.or(self.at), line.in_.or(self.in_));
        job.id = line.id;
        job.limit = line.limit_key.map(|key| UseLimit { key, declare: None });
        job
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

async fn enqueue_copies(store: &Store, job: NewJob, count: u64, global: &Global) -> Result<(), Exit> {
    if count == 1 {
        write(store, std::slice::from_ref(&job), global).await?;
        return Ok(());
    }
    let bar = if global.json { ProgressBar::hidden() } else { ProgressBar::new(count) };
    let mut left = count;
    while left > 0 {
        let size = left.min(BATCH as u64);
        let batch = vec![job.clone(); size as usize];
        store.enqueue(&batch).await?;
        left -= size;
        bar.inc(size);
    }
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    match global.json {
        true => writeln!(out, "{}", json!({"enqueued": count, "class": job.class, "queue": job.queue}))?,
        false => writeln!(out, "{count} jobs {} enqueued on {}", job.class, job.queue)?,
    }
    Ok(())
}

/// Writes a batch and says what became of it, a line a job; how many were enqueued.
async fn write(store: &Store, jobs: &[NewJob], global: &Global) -> Result<usize, Exit> {
    let enqueued = store.enqueue(jobs).await?;
    let mut out = std::io::stdout().lock();
    for Enqueued { job_id, id, placed } in &enqueued {
        let placed_word =
            serde_json::to_value(placed).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        match global.json {
            true => writeln!(out, "{}", json!({"job_id": job_id, "id": id, "placed": placed_word}))?,
            false => writeln!(out, "{id}  {placed_word}")?,
        }
    }
    out.flush()?;
    Ok(enqueued.len())
}
