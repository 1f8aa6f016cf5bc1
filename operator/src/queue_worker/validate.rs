//! What is wrong with a QueueWorker in a cluster.

use gritstone_crds::kinds::{HandlerKind, QueueWorkerSpec};
use serde_json::Value;

use crate::engine::{HANDLER, PLACE};

/// Everything wrong with it, one a line; the API server refuses most of it, but not what was stored before it knew better.
pub(super) fn validate(spec: &QueueWorkerSpec) -> Result<(), String> {
    let mut problems: Vec<_> = spec.validate().iter().map(ToString::to_string).collect();
    if spec.database.is_none() {
        problems.push("spec.database: is missing: say which Secret has the database's URL".to_owned());
    }
    if let Some(handler) = handler_container(spec).filter(|_| !matches!(spec.handler(), Some(HandlerKind::Http(_)))) {
        problems.extend(
            in_users_image(handler).map(|problem| format!("spec.template.spec.containers: `{HANDLER}`: {problem}")),
        );
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn handler_container(spec: &QueueWorkerSpec) -> Option<&Value> {
    let containers = spec.template.as_ref()?.get("spec")?.get("containers")?.as_array()?;
    containers.iter().find(|container| container["name"] == HANDLER)
}

/// What can't work of a container that the engine is to run in.
fn in_users_image(handler: &Value) -> impl Iterator<Item = String> {
    let has = |field: &str| handler.get(field).is_some_and(|value| !value.is_null());
    let names = |list: &str, field: &str| -> Vec<String> {
        let elements = handler.get(list).and_then(Value::as_array).into_iter().flatten();
        elements.filter_map(|element| Some(element.get(field)?.as_str()?.to_owned())).collect()
    };
    let image = (!has("image")).then(|| "name its image: that is where your programs are".to_owned());
    let command = ["command", "args"].into_iter().filter(|field| has(field)).map(|field| {
        format!("`{field}` can't be said here: the engine runs in this container, and starts what spec.handler says")
    });
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"].into_iter().filter(|field| has(field));
    let probes = probes.map(|field| format!("`{field}` is the engine's here: leave it out"));
    let variables =
        names("env", "name").into_iter().filter(|name| name == "DATABASE_URL" || name.starts_with("GRITSTONE_"));
    let variables = variables
        .map(|name| format!("the variable {name} is the engine's, and programs don't see it: give yours another name"));
    let mounts = names("volumeMounts", "mountPath").into_iter();
    let mounts = mounts.filter(|path| [PLACE, "/etc/gritstone"].contains(&path.trim_end_matches('/')));
    let mounts = mounts.map(|path| format!("{path} is where the engine is: mount your volume elsewhere"));
    image.into_iter().chain(command).chain(probes).chain(variables).chain(mounts).collect::<Vec<_>>().into_iter()
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

    /// What is wrong with a worker whose programs are in such a container.
    fn said_of(handler: serde_json::Value) -> String {
        problems(json!({
            "database": {"secretRef": {"name": "app-db"}},
            "handler": {"command": {"command": ["./run-job"]}},
            "template": {"spec": {"containers": [handler]}},
        }))
    }

    #[test]
    fn programs_run_in_the_image_of_their_container() {
        let fine = json!({
            "name": "handler", "image": "shop:1", "env": [{"name": "SHOP_DATABASE_URL", "value": "x"}],
            "volumeMounts": [{"mountPath": "/gritstone-data", "name": "data"}], "resources": {"limits": {"memory": "1Gi"}},
        });
        assert_eq!(said_of(fine), "");
    }

    #[test]
    fn what_an_engine_in_that_image_can_not_do_is_said() {
        let with = |field: &str, value: serde_json::Value| {
            let mut handler = json!({"name": "handler", "image": "shop:1"});
            handler[field] = value;
            said_of(handler)
        };
        assert!(said_of(json!({"name": "handler"})).contains("name its image"));
        assert!(with("command", json!(["sh"])).contains("`command` can't be said here"));
        assert!(with("args", json!(["x"])).contains("`args` can't be said here"));
        assert!(
            with("livenessProbe", json!({"exec": {"command": ["true"]}})).contains("`livenessProbe` is the engine's")
        );
        assert!(with("env", json!([{"name": "DATABASE_URL", "value": "x"}])).contains("the variable DATABASE_URL"));
        assert!(
            with("volumeMounts", json!([{"mountPath": "/gritstone/", "name": "x"}])).contains("/gritstone/ is where")
        );
    }

    #[test]
    fn a_server_may_have_what_it_likes() {
        let spec = json!({
            "database": {"secretRef": {"name": "app-db"}},
            "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
            "template": {"spec": {"containers": [
                {"name": "handler", "image": "shop:1", "command": ["serve"], "env": [{"name": "DATABASE_URL", "value": "x"}]},
            ]}},
        });
        assert_eq!(problems(spec), "");
    }
}
