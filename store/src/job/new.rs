//! New jobs, and what became of them.

use crate::envelope::{self, Envelope};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// The queue of a job that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// The class whose jobs are a shell's text, run by nobody but those that are allowed to.
pub const SHELL_CLASS: &str = "Command";

/// The longest name of a queue or class, id or key, in characters: what a string column holds on MySQL. The same
/// everywhere, so that a queue can move between databases.
pub const MAX_NAME: usize = 255;

/// How deep arguments may be nested: so many arrays and objects, the list of arguments itself included. With the envelope around it and the
/// markers that it gets, that is 100, the most that Ruby's JSON reads unless told otherwise; ours reads 127.
pub const MAX_NESTING: usize = 98;

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The class that handlers are chosen by.
    pub class: String,
    /// Positional arguments, plain JSON.
    pub arguments: Vec<Value>,
    /// The queue. Absent: its class's, else [`DEFAULT_QUEUE`].
    pub queue: Option<String>,
    /// Smaller comes first. Absent: its class's, else 0.
    pub priority: Option<i32>,
    /// An id of the caller's choice: enqueuing it again while the job exists makes no second job. A UUID when absent.
    pub id: Option<String>,
    /// When it may run.
    pub due: Due,
    /// How many jobs with the same key may run at a time. Absent: its class's, if it has any.
    pub limit: Option<UseLimit>,
    /// How many runs it has in all. Absent: as many as its class has, else what its worker says.
    pub attempts: Option<u32>,
    /// The batch that it belongs to.
    pub batch: Option<crate::BatchRef>,
}

impl NewJob {
    /// A job of a class, due at once, with what its class has.
    pub fn new(class: impl Into<String>, arguments: Vec<Value>) -> Self {
        NewJob {
            class: class.into(),
            arguments,
            queue: None,
            priority: None,
            id: None,
            due: Due::Now,
            limit: None,
            attempts: None,
            batch: None,
        }
    }

    /// On a queue.
    pub fn on(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// With a priority; smaller comes first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// With an id of the caller's choice.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Not before a moment.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.due = Due::At(time);
        self
    }

    /// Not before so long from now, by the database's clock.
    pub fn after(mut self, delay: Duration) -> Self {
        self.due = Due::After(delay);
        self
    }

    /// Under a concurrency limit.
    pub fn limited(mut self, limit: UseLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// With a number of runs of its own.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Refuses what no database should be given.
    pub(crate) fn check(&self) -> Result<(), EnqueueError> {
        for (what, text) in [("class", Some(&self.class)), ("queue", self.queue.as_ref()), ("id", self.id.as_ref())] {
            text.map_or(Ok(()), |text| check_name(what, text)).map_err(EnqueueError::Invalid)?;
        }
        if self.class == SHELL_CLASS && !matches!(self.arguments.as_slice(), [Value::String(_)]) {
            let fault =
                format!("a {SHELL_CLASS} takes one argument, a text for the shell, as in [\"rm -rf tmp/cache\"]");
            return Err(EnqueueError::Invalid(fault));
        }
        if !self.arguments.iter().all(|argument| is_within(argument, MAX_NESTING - 1)) {
            return Err(EnqueueError::Invalid(format!(
                "its arguments are nested deeper than {MAX_NESTING} arrays and objects, which is the most that workers read"
            )));
        }
        if let Some(limit) = &self.limit {
            check_name("limit key", &limit.key).map_err(EnqueueError::Invalid)?;
            if limit.declare.is_some_and(|declared| declared.to < 1) {
                return Err(EnqueueError::Invalid("a limit must let at least 1 job run".into()));
            }
        }
        Ok(())
    }

    pub(crate) fn envelope(&self, id: &str, queue: &str, priority: i32, now: Timestamp) -> Envelope {
        let scheduled_at = match self.due {
            Due::Now => now,
            Due::At(time) => time,
            Due::After(delay) => SignedDuration::try_from(delay)
                .ok()
                .and_then(|delay| now.checked_add(delay).ok())
                .unwrap_or(Timestamp::MAX),
        };
        Envelope::new(&envelope::New {
            class: &self.class,
            id,
            queue,
            priority: (priority != 0).then_some(priority),
            arguments: &self.arguments,
            enqueued_at: now,
            scheduled_at,
            batch_id: self.batch.as_ref().map(|batch| batch.active_job_batch_id.as_str()),
        })
    }
}

/// Whether a value is nested no deeper than so many arrays and objects. Looks no deeper itself.
fn is_within(value: &Value, depth: usize) -> bool {
    match (value, depth.checked_sub(1)) {
        (Value::Array(items), Some(depth)) => items.iter().all(|item| is_within(item, depth)),
        (Value::Object(map), Some(depth)) => map.values().all(|value| is_within(value, depth)),
        (Value::Array(_) | Value::Object(_), None) => false,
        _ => true,
    }
}

/// Refuses a text that not every database holds as a name; says why.
pub(crate) fn check_name(what: &str, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if length > MAX_NAME {
        return Err(format!("the {what} has {length} characters; {MAX_NAME} is the most"));
    }
    if text.contains('\0') {
        return Err(format!("the {what} contains a NUL character"));
    }
    Ok(())
}

/// When a job may run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Due {
    /// At once.
    Now,
    /// Not before this moment.
    At(Timestamp),
    /// Not before so long from now, by the database's clock.
    After(Duration),
}

/// The limit that a job runs under.
#[derive(Debug, Clone, PartialEq)]
pub struct UseLimit {
    /// Jobs with the same key share the limit. The text before the first `/` is its group.
    pub key: String,
    /// What the limit is, when the enqueuer declares it; else what is declared in the database holds.
    pub declare: Option<Limit>,
}

/// A concurrency limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many jobs may be ready or running at a time.
    pub to: u32,
    /// How long a held slot is good for without a sign of its holder.
    pub duration: Duration,
    /// What happens to a job that finds no free slot.
    pub on_conflict: OnConflict,
}

impl Default for Limit {
    /// Solid Queue's: one at a time, three minutes, block.
    fn default() -> Self {
        Limit { to: 1, duration: Duration::from_secs(180), on_conflict: OnConflict::Block }
    }
}

/// What happens to a job that finds no free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It waits.
    Block,
    /// It is dropped.
    Discard,
}

/// Why a job was not enqueued. Nothing of it, and nothing of the jobs beside it, was written.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The job itself is wrong.
    #[error("the job can't be enqueued: {0}")]
    Invalid(String),
    /// The database refused or couldn't be reached.
    #[error("the job was not enqueued: {0}")]
    Store(#[from] crate::Error),
}

/// A job that was enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// The row's id.
    pub job_id: i64,
    /// The job's own id, a UUID unless chosen.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// Where it went.
    pub placed: Placed,
}

/// Where a job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Placed {
    /// It can be claimed.
    Ready,
    /// It waits for its time.
    Scheduled,
    /// It waits for a slot of its limit.
    Blocked,
    /// Its limit was full and says to drop such jobs.
    Discarded,
    /// A job with this id is there already; none was made.
    Duplicate,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_that_workers_could_not_read_are_refused() {
        let nested = |levels: usize| {
            (1..levels)
                .fold(json!({}), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"a": inner}) })
        };
        assert!(NewJob::new("A", vec![json!(1), nested(MAX_NESTING - 1)]).check().is_ok());
        assert!(NewJob::new("A", vec![json!(1), nested(MAX_NESTING)]).check().is_err());
        assert!(NewJob::new("A", vec![nested(500)]).check().is_err());
    }

    #[test]
    fn names_that_no_column_holds_are_refused_before_the_database_sees_them() {
        for bad in ["", "  ", "a\0b", &"x".repeat(256)] {
            assert!(NewJob::new("A", vec![]).on(bad).check().is_err(), "{bad:?}");
        }
        for good in ["a%b_c", "émoji 🦀", &"é".repeat(255)] {
            assert!(NewJob::new("A", vec![]).on(good).check().is_ok(), "{good:?}");
        }
    }
}
