//! Programs that run at points of a worker's life.

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::text::Duration;

/// Any number of programs for each point, run in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// Before the first claim. One that fails stops the worker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_start: Vec<Hook>,
    /// After the last claim, before running jobs are waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_stop: Vec<Hook>,
    /// After deregistering, last of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_exit: Vec<Hook>,
    /// After each error of the engine itself (Solid Queue's `on_thread_error`), which it is given on stdin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_error: Vec<Hook>,
}

/// A program to run at a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The program and its arguments, a word each. Required.
    pub command: Vec<String>,
    /// How long it may run before it is ended, 1ms to 1h. Default 30s.
    #[serde(default = "Hook::default_timeout")]
    pub timeout: Duration,
}

impl Hook {
    /// The most hooks a point can have.
    pub const MAX: usize = 20;

    const fn default_timeout() -> Duration {
        Duration::from_secs(30)
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
        ];
        for (point, hooks) in points {
            let at = at.field(point);
            if hooks.len() > Hook::MAX {
                found.add(at.clone(), format!("has {} hooks; at most {} are possible", hooks.len(), Hook::MAX));
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
