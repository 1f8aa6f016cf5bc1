//! The template of the engine's pods.
//!
//! Three layers, each over the one before: what is good unless someone says otherwise, the manifest's own `template`, and what the
//! engine can't do without. The container `gritstone` is the engine. One named `handler` is the user's server, started before the
//! engine and stopped after it (a sidecar). No probes: the engine serves no page, asks its handler itself before it claims anything,
//! and ends when it can't go on.

use gritstone_crds::Duration;
use gritstone_crds::kinds::HandlerKind;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::environment::environment;
use super::merge::merge;
use super::{ENGINE, Engine, HANDLER, security};
use crate::Settings;

/// The annotation that the engine's manifest is mounted from. So a change of it rolls the pods, and nothing has to be in step with it.
const SPEC: &str = "gritstone.dev/spec";
/// The annotation that stands for the database's URL.
const DATABASE: &str = "gritstone.dev/database-digest";

/// What a stopping pod needs besides the time that its jobs have: hooks, giving back, deregistering.
const STOPPING: Duration = Duration::from_secs(15);

/// The pods of `engine`.
pub(super) fn template(engine: &Engine<'_>, settings: &Settings, labels: &Value) -> Value {
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": security::of_pod(),
            "terminationGracePeriodSeconds": grace_seconds(engine.drain_timeout),
            "topologySpreadConstraints": [{
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": engine.selector()},
            }],
            "containers": [{"name": ENGINE, "image": settings.image}],
        },
    });
    if let Some(own) = engine.template {
        merge(&mut template, &Value::Object(own.clone()));
    }
    merge(&mut template, &required(engine, settings));
    if matches!(engine.handler, Some(HandlerKind::Http(_))) {
        handler_to_sidecar(&mut template);
    }
    security::restrict(&mut template);
    template
}

/// What the engine can't do without.
fn required(engine: &Engine<'_>, settings: &Settings) -> Value {
    let file = format!("{}.yaml", engine.role.as_str());
    let mut annotations = json!({SPEC: engine.manifest().to_string()});
    if let Some(digest) = engine.database_digest {
        annotations[DATABASE] = json!(digest);
    }
    json!({
        "metadata": {"labels": engine.selector(), "annotations": annotations},
        "spec": {
            "containers": [{
                "name": ENGINE,
                "command": ["/gritstone"],
                "args": [engine.role.command(), "-f", format!("/etc/gritstone/{file}")],
                "env": environment(engine, settings),
                "volumeMounts": [
                    {"mountPath": "/etc/gritstone", "name": "gritstone-spec", "readOnly": true},
                    {"mountPath": "/tmp", "name": "gritstone-tmp"},
                ],
                "securityContext": {"readOnlyRootFilesystem": true},
            }],
            "volumes": [
                {"name": "gritstone-spec", "downwardAPI": {"items": [
                    {"path": file, "fieldRef": {"fieldPath": format!("metadata.annotations['{SPEC}']")}},
                ]}},
                {"name": "gritstone-tmp", "emptyDir": {}},
            ],
        },
    })
}

/// What stands for the database's URL in the pods of a Deployment as it is.
pub(crate) fn database_digest(deployment: &Deployment) -> Option<String> {
    let metadata = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    metadata.annotations.as_ref()?.get(DATABASE).cloned()
}

/// The seconds until a stopping pod is killed.
fn grace_seconds(drain_timeout: Duration) -> u64 {
    drain_timeout.as_millis().div_ceil(1_000) + STOPPING.as_millis() / 1_000
}

/// A sidecar starts before the engine and outlives it, so that jobs can end while the pod stops.
fn handler_to_sidecar(template: &mut Value) {
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    let Some(containers) = containers else { return };
    let Some(position) = containers.iter().position(|container| container["name"] == HANDLER) else { return };
    let mut handler = containers.remove(position);
    handler["restartPolicy"] = json!("Always");
    merge(template, &json!({"spec": {"initContainers": [handler]}}));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Role;
    use gritstone_crds::kinds::{Database, HttpHandler};

    fn settings() -> Settings {
        Settings { namespace: None, image: "gritstone:1".to_owned(), cluster_id: "cluster".to_owned() }
    }

    fn engine(role: Role) -> Engine<'static> {
        Engine {
            role,
            name: "mail",
            owner: None,
            spec: json!({"queues": ["mail"]}),
            database: None,
            database_digest: None,
            replicas: Some(1),
            drain_timeout: Duration::from_millis(1_500),
            handler: None,
            template: None,
        }
    }

    fn pods(engine: &Engine<'_>) -> Value {
        template(engine, &settings(), &json!({"a": "b"}))
    }

    #[test]
    fn a_template_is_merged_and_the_engine_keeps_what_it_needs() {
        let database: Database =
            serde_json::from_value(json!({"secretRef": {"name": "app-db", "key": "url"}})).expect("a database");
        let http: HttpHandler =
            serde_json::from_value(json!({"url": "http://127.0.0.1:8080/jobs"})).expect("a handler");
        let own = json!({"metadata": {"labels": {"team": "shop"}}, "spec": {
            "containers": [
                {"name": "handler", "image": "shop:1", "securityContext": {"runAsUser": 1000}},
                {"name": "gritstone", "args": ["other"], "resources": {"limits": {"memory": "64Mi"}}},
            ],
        }});
        let pods = pods(&Engine {
            database: Some(&database),
            handler: Some(HandlerKind::Http(&http)),
            template: own.as_object(),
            ..engine(Role::Worker)
        });
        let container = &pods["spec"]["containers"][0];
        assert_eq!(container["args"], json!(["work", "-f", "/etc/gritstone/worker.yaml"]));
        assert_eq!(container["resources"], json!({"limits": {"memory": "64Mi"}}));
        assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"], json!({"name": "app-db", "key": "url"}));
        let handler = &pods["spec"]["initContainers"][0];
        assert_eq!((&handler["image"], &handler["restartPolicy"]), (&json!("shop:1"), &json!("Always")));
        assert_eq!(handler["securityContext"]["runAsUser"], 1000);
        assert_eq!(handler["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(pods["spec"]["terminationGracePeriodSeconds"], 17);
        assert_eq!(pods["metadata"]["labels"]["team"], "shop");
    }

    #[test]
    fn each_role_has_its_command_its_file_and_its_label() {
        let pods = pods(&engine(Role::Dispatcher));
        let args = &pods["spec"]["containers"][0]["args"];
        assert_eq!(args, &json!(["dispatch", "-f", "/etc/gritstone/dispatcher.yaml"]));
        assert_eq!(pods["spec"]["volumes"][0]["downwardAPI"]["items"][0]["path"], "dispatcher.yaml");
        assert_eq!(pods["metadata"]["labels"]["gritstone.dev/dispatcher"], "mail");
        let manifest = pods["metadata"]["annotations"][SPEC].as_str().expect("text");
        assert!(manifest.contains(r#""kind":"Dispatcher""#), "{manifest}");
    }

    #[test]
    fn another_url_of_the_database_makes_another_template() {
        let with = |digest| pods(&Engine { database_digest: digest, ..engine(Role::Worker) });
        assert_ne!(with(Some("one")), with(Some("two")));
        assert_eq!(with(None)["metadata"]["annotations"].get(DATABASE), None);
    }
}
