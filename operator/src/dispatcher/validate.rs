//! What is wrong with a Dispatcher in a cluster.

use gritstone_crds::kinds::DispatcherSpec;

/// Everything wrong with it, one a line.
pub(super) fn validate(spec: &DispatcherSpec) -> Result<(), String> {
    let mut problems: Vec<_> = spec.validate().iter().map(ToString::to_string).collect();
    if spec.database.is_none() {
        problems.push("spec.database: is missing: say which Secret has the database's URL".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}
