//! What happens to a job that asks to be run again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::text::Duration;

/// How often a job is run, and how long it waits between runs. By default once: as in Solid Queue, nothing is retried by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::retry))]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// The total of runs, the first included; 1 to 1000. A job whose handler still asks for a retry after them has failed. Default 1.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000)))]
    pub attempts: i32,
    /// How many of these may end with the death of the handler's process, or of the connection to its server, 1 to 1000: a job that kills
    /// its handler so often has failed. Default all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000)))]
    pub crashes: Option<i32>,
    /// How long to wait before the next run.
    pub backoff: Backoff,
    /// What is different for jobs of these classes. Default nothing; at most 500.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "kube", schemars(extend("maxProperties" = 500)))]
    pub classes: BTreeMap<String, RetryOverride>,
}

/// Waits that grow: `initial`, then `factor` times the one before, never above `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::backoff))]
#[serde(rename_all = "camelCase", default)]
pub struct Backoff {
    /// The wait after the first run, up to 30d. Default 5s.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "30d")))]
    pub initial: Duration,
    /// By what each further wait is multiplied; 1 to 100. Default 2.
    #[cfg_attr(feature = "kube", schemars(range(min = 1.0, max = 100.0)))]
    pub factor: f64,
    /// The longest wait, at least `initial`, up to 30d. Default 1h.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "30d")))]
    pub max: Duration,
}

/// The parts of [`Retry`] that are different for a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RetryOverride {
    /// The total of runs, 1 to 1000. Default that of all classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000)))]
    pub attempts: Option<i32>,
    /// How long to wait before the next run. Default that of all classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<BackoffOverride>,
}

/// The parts of [`Backoff`] that are different for a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct BackoffOverride {
    /// The wait after the first run, up to 30d. Default that of all classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "30d")))]
    pub initial: Option<Duration>,
    /// By what each further wait is multiplied; 1 to 100. Default that of all classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1.0, max = 100.0)))]
    pub factor: Option<f64>,
    /// The longest wait, at least `initial`, up to 30d. Default that of all classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "30d")))]
    pub max: Option<Duration>,
}

/// What holds for one job: [`Retry`] with its class's differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The total of runs.
    pub attempts: i32,
    /// How long to wait between them.
    pub backoff: Backoff,
}

pub(super) const MAX_ATTEMPTS: i64 = 1_000;
const MAX_CLASSES: usize = 500;
const MAX_WAIT: Duration = Duration::from_mins(30 * 24 * 60);

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 1, crashes: None, backoff: Backoff::default(), classes: BTreeMap::new() }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(5), factor: 2.0, max: Duration::from_mins(60) }
    }
}

impl Retry {
    /// What holds for jobs of `class`.
    pub fn policy(&self, class: &str) -> RetryPolicy {
        let own = self.classes.get(class);
        let backoff = own.and_then(|own| own.backoff).unwrap_or_default();
        RetryPolicy {
            attempts: own.and_then(|own| own.attempts).unwrap_or(self.attempts),
            backoff: Backoff {
                initial: backoff.initial.unwrap_or(self.backoff.initial),
                factor: backoff.factor.unwrap_or(self.backoff.factor),
                max: backoff.max.unwrap_or(self.backoff.max),
            },
        }
    }

    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        found.number(at.field("attempts"), self.attempts, 1..=MAX_ATTEMPTS);
        if let Some(crashes) = self.crashes {
            found.number(at.field("crashes"), crashes, 1..=MAX_ATTEMPTS);
        }
        self.backoff.check(&at.field("backoff"), found);
        let at = at.field("classes");
        if self.classes.len() > MAX_CLASSES {
            found.add(at.clone(), format!("has {} classes; at most {MAX_CLASSES} are possible", self.classes.len()));
        }
        for (class, own) in &self.classes {
            let at = at.field(class);
            found.name(at.clone(), "the class", class);
            if let Some(attempts) = own.attempts {
                found.number(at.field("attempts"), attempts, 1..=MAX_ATTEMPTS);
            }
            // Of a class that changes nothing here, what is wrong has been said above.
            if own.backoff.is_some() {
                self.policy(class).backoff.check(&at.field("backoff"), found);
            }
        }
    }
}

impl Backoff {
    fn check(&self, at: &Path, found: &mut Violations) {
        found.duration(at.field("initial"), self.initial, Duration::ZERO..=MAX_WAIT);
        found.duration(at.field("max"), self.max, Duration::ZERO..=MAX_WAIT);
        if !(1.0..=100.0).contains(&self.factor) {
            found.add(
                at.field("factor"),
                format!("{} is out of range: choose 1 (always the same wait) to 100", self.factor),
            );
        }
        if self.max < self.initial {
            found.add(
                at.field("max"),
                format!("{} is less than initial, {}: raise max or lower initial", self.max, self.initial),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_retried_by_default() {
        assert_eq!(Retry::default().policy("Any").attempts, 1);
    }

    #[test]
    fn a_class_changes_only_what_it_names() {
        let retry: Retry = serde_json::from_value(serde_json::json!({
            "attempts": 5,
            "backoff": {"initial": "1s", "max": "1m"},
            "classes": {"SendMail": {"attempts": 10, "backoff": {"factor": 3}}},
        }))
        .expect("a retry");
        let backoff = Backoff { initial: Duration::from_secs(1), factor: 3.0, max: Duration::from_mins(1) };
        assert_eq!(retry.policy("SendMail"), RetryPolicy { attempts: 10, backoff });
        assert_eq!(retry.policy("Other"), RetryPolicy { attempts: 5, backoff: Backoff { factor: 2.0, ..backoff } });
    }
}
