//! What is wrong with a QueueWorker in a cluster.

use gritstone_crds::kinds::QueueWorkerSpec;

use crate::engine::at_odds;

/// Everything wrong with it, one a line; the API server refuses most of it, but not what was stored before it knew better.
pub(super) fn validate(spec: &QueueWorkerSpec) -> Result<(), String> {
    let mut problems: Vec<_> = spec.validate().iter().map(ToString::to_string).collect();
    if spec.database.is_none() {
        problems.push("spec.database: is missing: say which Secret has the database's URL".to_owned());
    }
    problems.extend(at_odds(spec.handler(), spec.drain_timeout, spec.template.as_ref()));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(spec: serde_json::Value) -> String {
        validate(&serde_json::from_value(spec).expect("a spec")).err().unwrap_or_default()
    }

    #[test]
    fn a_cluster_needs_to_know_the_database() {
        let handler = json!({"http": {"url": "http://localhost/"}});
        assert!(problems(json!({"handler": handler})).starts_with("spec.database: is missing"));
        let database = json!({"secretRef": {"name": "app-db"}});
        assert_eq!(problems(json!({"handler": handler, "database": database})), "");
        let said = problems(json!({"handler": handler, "database": database, "threads": 0}));
        assert_eq!(said, "spec.threads: 0 is out of range: choose 1 to 1000");
    }
}
