//! Programs that run at points of a process's life.

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::text::Duration;

/// Any number of programs for each point of a worker's life, run in their order. Each is given a JSON document on its stdin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// Before the first claim. One that fails stops the worker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_start: Vec<Hook>,
    /// After the last claim, before running jobs are waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_stop: Vec<Hook>,
    /// After deregistering, last of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_exit: Vec<Hook>,
    /// After each error of the engine itself (Solid Queue's `on_thread_error`), which it is given on stdin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_error: Vec<Hook>,
    /// After each run of a job that ended in an error (what Solid Queue gives to `Rails.error`), which it is given on stdin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_job_error: Vec<Hook>,
}

/// The same for a process that runs no jobs: a dispatcher, a scheduler.
///
/// Its fields are written out in [`Hooks`] too. Flattened into it, serde would no longer tell the reader of manifests which fields
/// there are, and a misspelt one would pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessHooks {
    /// Before its work begins. One that fails stops the process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_start: Vec<Hook>,
    /// When it was told to stop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_stop: Vec<Hook>,
    /// After deregistering, last of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_exit: Vec<Hook>,
    /// After each error of the engine itself, which it is given on stdin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = 20)))]
    pub on_error: Vec<Hook>,
}

/// A program to run at a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The program and its arguments, a word each. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::words()))]
    pub command: Vec<String>,
    /// How long it may run before it is ended, 1ms to 1h. Default 30s.
    #[serde(default = "Hook::default_timeout")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1ms", "1h")))]
    pub timeout: Duration,
}

impl Hook {
    /// The most hooks a point can have.
    pub const MAX: usize = 20;

    const fn default_timeout() -> Duration {
        Duration::from_secs(30)
    }

    fn check_points(points: &[(&str, &Vec<Self>)], at: &Path, found: &mut Violations) {
        for (point, hooks) in points {
            let at = at.field(point);
            if hooks.len() > Self::MAX {
                found.add(at.clone(), format!("has {} hooks; at most {} are possible", hooks.len(), Self::MAX));
            }
            for (position, hook) in hooks.iter().enumerate() {
                let at = at.index(position);
                found.command(at.field("command"), &hook.command);
                let range = Duration::from_millis(1)..=Duration::from_mins(60);
                found.duration(at.field("timeout"), hook.timeout, range);
            }
        }
    }
}

impl Hooks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        let points = [
            ("onStart", &self.on_start),
            ("onStop", &self.on_stop),
            ("onExit", &self.on_exit),
            ("onError", &self.on_error),
            ("onJobError", &self.on_job_error),
        ];
        Hook::check_points(&points, at, found);
    }
}

impl ProcessHooks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        let points = [
            ("onStart", &self.on_start),
            ("onStop", &self.on_stop),
            ("onExit", &self.on_exit),
            ("onError", &self.on_error),
        ];
        Hook::check_points(&points, at, found);
    }
}
