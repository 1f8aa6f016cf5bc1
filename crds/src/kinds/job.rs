//! A job as a manifest names it, and what to do about runs that were missed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::Violations;
use crate::path::Path;
use crate::text::QueueName;

use super::retry::MAX_ATTEMPTS;

/// What to enqueue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobTemplate {
    /// The class, by which a handler knows what to do. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::name()))]
    pub class: String,
    /// The arguments, plain JSON, at most 100. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 100)))]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::items_of_any_json))]
    pub args: Vec<Value>,
    /// The queue. Default the class's, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// The priority, smaller ones first as in Solid Queue. Default the class's, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// What jobs of a class have unless whoever enqueues them says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::class_default))]
#[serde(rename_all = "camelCase")]
pub struct ClassDefault {
    /// The class. Required; one entry per class.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::name()))]
    pub class: String,
    /// Its queue. Default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// Its priority, smaller ones first. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The total of runs of its jobs, 1 to 1000, written with each of them. Default what the worker says that runs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000)))]
    pub attempts: Option<i32>,
}

/// What to do about runs that fell into a time when no scheduler was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct MissedRuns {
    /// Which of them are made up for: none (`Skip`), the latest one (`Latest`), or each up to the limit (`All`). Default `Skip`, as in
    /// Solid Queue.
    pub policy: MissedRunsPolicy,
    /// With `All`, how many at most, the latest ones; 1 to 1000. Default 10.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000)))]
    pub limit: i32,
}

/// Which missed runs are made up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum MissedRunsPolicy {
    /// None.
    #[default]
    Skip,
    /// One, however many there were.
    Latest,
    /// Each, up to the limit.
    All,
}

impl Default for MissedRuns {
    fn default() -> Self {
        Self { policy: MissedRunsPolicy::Skip, limit: 10 }
    }
}

/// The most arguments a job in a manifest can have.
const MAX_ARGS: usize = 100;

impl JobTemplate {
    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        found.name(at.field("class"), "the class", &self.class);
        if self.args.len() > MAX_ARGS {
            found.add(at.field("args"), format!("has {} arguments; at most {MAX_ARGS} are possible", self.args.len()));
        }
    }
}

impl ClassDefault {
    /// The most entries there can be.
    pub const MAX: usize = 500;

    pub(super) fn check_all(defaults: &[Self], at: &Path, found: &mut Violations) {
        found.list(at, defaults, Self::MAX, |entry| ("class", &entry.class));
        for (position, entry) in defaults.iter().enumerate() {
            let at = at.index(position);
            found.name(at.field("class"), "the class", &entry.class);
            if let Some(attempts) = entry.attempts {
                found.number(at.field("attempts"), attempts, 1..=MAX_ATTEMPTS);
            }
            if entry.queue.is_none() && entry.priority.is_none() && entry.attempts.is_none() {
                found.add(at, "says nothing about the class: give a queue, a priority, attempts or several of them");
            }
        }
    }
}

impl MissedRuns {
    pub(super) fn check(self, at: &Path, found: &mut Violations) {
        found.number(at.field("limit"), self.limit, 1..=1_000);
    }
}
