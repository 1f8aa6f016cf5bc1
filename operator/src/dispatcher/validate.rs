//! What is wrong with a Dispatcher in a cluster.

use gritstone_crds::kinds::DispatcherSpec;

use super::build::DRAIN_TIMEOUT;
use crate::engine::at_odds;

/// Everything wrong with it, one a line.
pub(super) fn validate(spec: &DispatcherSpec) -> Result<(), String> {
    let mut problems: Vec<_> = spec.validate().iter().map(ToString::to_string).collect();
    if spec.database.is_none() {
        problems.push("spec.database: is missing: say which Secret has the database's URL".to_owned());
    }
    problems.extend(at_odds(None, DRAIN_TIMEOUT, spec.template.as_ref()));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}
