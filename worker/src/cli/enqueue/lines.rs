//! Jobs as JSON lines on stdin, enqueued as they come: many at once when they come fast, at once when they come slowly.

use super::exact::{self, Unread};
use super::{BATCH, Enqueue, MAX_ATTEMPTS, as_list, due, print};
use crate::cli::Global;
use crate::cli::database::Queue;
use crate::cli::exit::Exit;
use crate::cli::names;
use crate::cli::output::{self, count};
use gritstone_crds::{Duration, nearest};
use gritstone_store::{NewJob, UseLimit};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::BufRead as _;
use std::num::NonZeroU32;
use tokio::sync::mpsc;

/// A line of stdin.
#[derive(Debug)]
struct Line {
    class: String,
    args: Value,
    queue: Option<String>,
    priority: Option<i32>,
    at: Option<String>,
    in_: Option<Duration>,
    id: Option<String>,
    limit_key: Option<String>,
    attempts: Option<NonZeroU32>,
}

impl Line {
    /// A field at a time, so that errors can name it.
    fn of(mut fields: Map<String, Value>) -> Result<Self, String> {
        if fields.contains_key("args") && fields.contains_key("arguments") {
            return Err("`args` and `arguments` are two names of one field".into());
        }
        let args = fields.remove("args").or_else(|| fields.remove("arguments")).unwrap_or_default();
        let fields = &mut fields;
        Ok(Line {
            class: field(fields, "class")?.ok_or("missing field `class`")?,
            args,
            queue: field(fields, "queue")?,
            priority: field(fields, "priority")?,
            at: field(fields, "at")?,
            in_: field(fields, "in")?,
            id: field(fields, "id")?,
            limit_key: field(fields, "limit_key")?,
            attempts: field(fields, "attempts")?,
        })
    }
}

/// A field's value; null is as good as none.
fn field<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    let value = fields.remove(name).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| format!("`{name}`: {error}"))
}

/// What a line may have.
const FIELDS: [&str; 10] =
    ["class", "args", "arguments", "queue", "priority", "at", "in", "id", "limit_key", "attempts"];

/// Lines of so many bytes in all are enough for a transaction.
const BATCH_BYTES: usize = 4 << 20;

/// How long a line waits for others to be enqueued with.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(20);

/// Lines that were read and are still to be enqueued.
#[derive(Default)]
struct Batch {
    jobs: Vec<NewJob>,
    bytes: usize,
    /// Lines before the first of them, and how many of those were jobs.
    lines_before: usize,
    enqueued: u64,
}

impl Enqueue {
    pub(super) async fn lines(&self, queue: &mut Queue, global: &Global) -> Result<(), Exit> {
        let mut lines = read_stdin();
        let mut batch = Batch::default();
        let mut number = 0;
        loop {
            let line = match tokio::time::timeout(PATIENCE, lines.recv()).await {
                Ok(line) => line,
                Err(_) => {
                    // Nothing more for now: what is there isn't kept waiting.
                    batch.write(queue, number, global).await?;
                    lines.recv().await
                }
            };
            let Some(line) = line else { break batch.write(queue, number, global).await? };
            let parsed = line.map_err(|error| error.to_string()).and_then(|line| Ok((line.len(), self.parse(&line)?)));
            match parsed {
                Ok((bytes, job)) => {
                    if job.as_ref().and_then(|job| job.id.as_ref()).is_some_and(|id| batch.has(id)) {
                        // One transaction takes each id once; the second one finds the first and says so.
                        batch.write(queue, number, global).await?;
                    }
                    batch.jobs.extend(job);
                    batch.bytes += bytes;
                }
                Err(what) => {
                    batch.write(queue, number, global).await?;
                    return Err(Exit::Refused(format!("line {}: {what}{}", number + 1, batch.go_on(number))));
                }
            }
            number += 1;
            if batch.jobs.len() >= BATCH || batch.bytes >= BATCH_BYTES {
                batch.write(queue, number, global).await?;
            }
        }
        if !global.json {
            output::note(format!("{} enqueued", count(batch.enqueued, "job")));
        }
        Ok(())
    }

    /// A job, unless the line is empty.
    fn parse(&self, line: &str) -> Result<Option<NewJob>, String> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let fields = match exact::read(line, 1) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => {
                return Err("a line is a JSON object, such as {\"class\": \"SendMail\", \"args\": [42]}".to_owned());
            }
            Err(Unread::Refused(what)) => return Err(what),
            Err(Unread::Json(error)) => {
                // The line's own number is said already, and serde's is always 1.
                let text = error.to_string();
                let what = text.strip_suffix(&format!(" at line {} column {}", error.line(), error.column()));
                return Err(what.map_or(text.clone(), |what| format!("{what} (column {})", error.column())));
            }
        };
        if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return Err(match nearest(unknown, FIELDS) {
                Some(name) => format!("unknown field `{unknown}`; did you mean `{name}`?"),
                None => format!("unknown field `{unknown}`; known are {}", FIELDS.join(", ")),
            });
        }
        let line = Line::of(fields)?;
        if line.at.is_some() && line.in_.is_some() {
            return Err("`at` and `in` exclude each other".into());
        }
        if let Some(attempts) = line.attempts.filter(|attempts| i64::from(attempts.get()) > MAX_ATTEMPTS) {
            return Err(format!("`attempts`: {attempts} is out of range: choose 1 to {MAX_ATTEMPTS}"));
        }
        let names = [
            ("class", Some(&line.class)),
            ("queue", line.queue.as_ref()),
            ("id", line.id.as_ref()),
            ("limit_key", line.limit_key.as_ref()),
        ];
        for (what, text) in names {
            text.map_or(Ok(()), |text| names::check(what, text))?;
        }
        let at = line.at.as_deref().map(names::moment).transpose()?;
        Ok(Some(self.job_of(line, at)))
    }

    /// Options of the command line are the defaults of lines.
    fn job_of(&self, line: Line, at: Option<Timestamp>) -> NewJob {
        NewJob {
            queue: line.queue.or_else(|| self.queue.clone()),
            priority: line.priority.or(self.priority),
            attempts: line.attempts.map(NonZeroU32::get).or(self.attempts),
            due: match (at, line.in_) {
                (None, None) => due(self.at, self.in_),
                (at, in_) => due(at, in_),
            },
            id: line.id,
            limit: line.limit_key.map(|key| UseLimit { key, declare: None }),
            ..NewJob::new(line.class, as_list(line.args))
        }
    }
}

impl Batch {
    fn has(&self, id: &str) -> bool {
        self.jobs.iter().any(|job| job.id.as_deref() == Some(id))
    }

    /// What to do about a wrong line, after `before` good ones.
    fn go_on(&self, before: usize) -> String {
        match self.enqueued {
            0 => "\n  Nothing was enqueued.".into(),
            1 => {
                format!("\n  1 job before it was enqueued: mend this line and go on from it (tail -n +{}).", before + 1)
            }
            _ => format!(
                "\n  {} before it were enqueued: mend this line and go on from it (tail -n +{}).",
                count(self.enqueued, "job"),
                before + 1
            ),
        }
    }

    /// Enqueues what there is; `read` lines have been read by now.
    async fn write(&mut self, queue: &mut Queue, read: usize, global: &Global) -> Result<(), Exit> {
        if !self.jobs.is_empty() {
            let enqueued = queue.enqueue(&self.jobs).await.map_err(|error| {
                let lines = match read - self.lines_before {
                    1 => format!("line {read}"),
                    _ => format!("lines {} to {read}", self.lines_before + 1),
                };
                output::note(format!("{} enqueued; {lines}:", count(self.enqueued, "job")));
                Exit::from(error)
            })?;
            self.enqueued += enqueued.len() as u64;
            print(&enqueued, global)?;
        }
        self.jobs.clear();
        (self.bytes, self.lines_before) = (0, read);
        Ok(())
    }
}

/// Reads lines on a thread of its own, since reading blocks; a few ahead.
fn read_stdin() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}
