//! What is wrong with a QueueWorker in a cluster.

use gritstone_crds::kinds::{HandlerKind, QueueWorkerSpec};

use crate::engine::HANDLER;

/// Everything wrong with it, one a line; the API server refuses most of it, but not what was stored before it knew better.
pub(super) fn validate(spec: &QueueWorkerSpec) -> Result<(), String> {
    let mut problems: Vec<_> = spec.validate().iter().map(ToString::to_string).collect();
    if spec.database.is_none() {
        problems.push("spec.database: is missing: say which Secret has the database's URL".to_owned());
    }
    let is_child = matches!(spec.handler(), Some(HandlerKind::Process(_) | HandlerKind::Command(_)));
    if is_child && has_handler_container(spec) {
        problems.push(format!(
            "spec.template.spec.containers: `{HANDLER}` can't run beside a handler of the kind process or command in this version: \
             put gritstone into your image, and name that as the image of the container `gritstone`"
        ));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn has_handler_container(spec: &QueueWorkerSpec) -> bool {
    let containers = spec.template.as_ref().and_then(|template| template.get("spec")?.get("containers")?.as_array());
    containers.into_iter().flatten().any(|container| container["name"] == HANDLER)
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

    #[test]
    fn children_need_gritstone_in_their_image() {
        let spec = json!({
            "database": {"secretRef": {"name": "app-db"}},
            "handler": {"command": {"command": ["./run-job"]}},
            "template": {"spec": {"containers": [{"name": "handler", "image": "shop:1"}]}},
        });
        assert!(problems(spec).contains("`handler` can't run beside"));
    }
}
