//! What a manifest may say and this program doesn't act on yet: said aloud, instead of left to be found out.

use gritstone_crds::QueueWorkerSpec;

/// Logs a warning for each field of a worker that has no effect.
pub(super) fn warn(spec: &QueueWorkerSpec) {
    say([("classDefaults", !spec.class_defaults.is_empty()), ("allowCommands", spec.allow_commands)]);
}

fn say<const N: usize>(fields: [(&str, bool); N]) {
    for (field, _) in fields.iter().filter(|(_, used)| *used) {
        tracing::warn!(field, "this field has no effect yet");
    }
}
