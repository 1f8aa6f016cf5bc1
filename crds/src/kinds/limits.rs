//! How many jobs of a kind may run at once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::text::{Duration, KeyExpression};

/// At most `to` jobs with one key run at once, anywhere. Solid Queue's `limits_concurrency`, for classes it can't ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::concurrency_limit))]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyLimit {
    /// The class of the jobs that are limited. Required; one limit per class.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::name()))]
    pub class: String,
    /// What tells jobs of the class apart, such as `args[0]`; jobs with the same one count together. Default nothing: the whole
    /// class is one. See [`KeyExpression`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyExpression>,
    /// The name in front of the key; classes with the same one count together, and must have the same limit. No `/`, which is
    /// where the key begins. Default the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::name()))]
    pub group: Option<String>,
    /// How many at once, 1 to 1,000,000. Default 1.
    #[serde(default = "ConcurrencyLimit::one")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000000)))]
    pub to: i32,
    /// How long a job that waits for its turn may wait before it is looked at again though nobody signalled, 1s to 365d. Default 3m
    /// (Solid Queue's `default_concurrency_control_period`).
    #[serde(default = "ConcurrencyLimit::default_duration")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1s", "365d")))]
    pub duration: Duration,
    /// What happens to a job that is one too many. Default `Block`.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// What happens to a job that is one too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum OnConflict {
    /// It waits for its turn.
    #[default]
    Block,
    /// It is not enqueued.
    Discard,
}

impl ConcurrencyLimit {
    /// The most limits a worker can declare.
    pub const MAX: usize = 200;

    const fn one() -> i32 {
        1
    }

    const fn default_duration() -> Duration {
        Duration::from_mins(3)
    }

    /// The name in front of the key: the group, or the class.
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.class)
    }

    pub(super) fn check_all(limits: &[Self], at: &Path, found: &mut Violations) {
        found.list(at, limits, Self::MAX, |limit| ("class", &limit.class));
        let mut groups = HashMap::new();
        for (position, limit) in limits.iter().enumerate() {
            let at = at.index(position);
            limit.check(&at, found);
            let first: &Self = groups.entry(limit.group()).or_insert(limit);
            if (first.to, first.duration, first.on_conflict) != (limit.to, limit.duration, limit.on_conflict) {
                let message = format!(
                    "the group {} is one limit, but {} has other numbers for it: give both the same to, duration and onConflict",
                    limit.group(),
                    first.class
                );
                found.add(at, message);
            }
        }
    }

    fn check(&self, at: &Path, found: &mut Violations) {
        found.name(at.field("class"), "the class", &self.class);
        match &self.group {
            Some(group) if group.contains('/') => {
                found
                    .add(at.field("group"), format!("`{group}` has a `/`, which is where the key begins: take it out"));
            }
            Some(group) => found.name(at.field("group"), "the group", group),
            None if self.class.contains('/') => {
                found.add(
                    at.field("group"),
                    format!("is needed, without `/`, since the class `{}` has one", self.class),
                );
            }
            None => {}
        }
        found.number(at.field("to"), self.to, 1..=1_000_000);
        let range = Duration::from_secs(1)..=Duration::from_mins(365 * 24 * 60);
        found.duration(at.field("duration"), self.duration, range);
    }
}
