//! What a manifest may say and this program doesn't act on yet: said aloud, instead of left to be found out.

use gritstone_crds::{DispatcherSpec, QueueWorkerSpec};

/// Logs a warning for each field of a worker that has no effect.
pub(super) fn warn(spec: &QueueWorkerSpec) {
    say([("classDefaults", !spec.class_defaults.is_empty()), ("allowCommands", spec.allow_commands)]);
}

/// Logs a warning for each field of a dispatcher that has no effect.
pub(super) fn warn_of_dispatcher(spec: &DispatcherSpec) {
    say([
        ("scheduler.hooks", !spec.scheduler.hooks.is_empty()),
        ("scheduler.dynamicTasks", spec.scheduler.dynamic_tasks),
    ]);
}

fn say<const N: usize>(fields: [(&str, bool); N]) {
    for (field, _) in fields.iter().filter(|(_, used)| *used) {
        tracing::warn!(field, "this field has no effect yet");
    }
}
