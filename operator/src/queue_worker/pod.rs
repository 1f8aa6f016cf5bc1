//! The template of a worker's pods.
//!
//! Three layers, each over the one before: what is good unless someone says otherwise, the manifest's own `template`, and what the
//! engine can't do without. The container `gritstone` is the engine. One named `handler` is the user's server, started before the
//! engine and stopped after it (a sidecar). No probes: the engine serves no page, asks its handler itself before it claims anything,
//! and ends when it can't go on.

use gritstone_crds::kinds::{HandlerKind, QueueWorkerSpec, SecretKeyRef};
use gritstone_crds::{API_VERSION, Duration};
use serde_json::{Value, json};

use super::merge::merge;
use crate::Settings;

/// The engine's container.
pub(super) const ENGINE: &str = "gritstone";
/// The user's own container.
pub(super) const HANDLER: &str = "handler";
/// The annotation that the engine's manifest is mounted from. So a change of it rolls the pods, and nothing has to be in step with it.
pub(super) const SPEC: &str = "gritstone.dev/spec";

/// Who the engine runs as: an account that no image has.
const NOBODY: i64 = 65_532;
/// What a stopping pod needs besides the time that its jobs have: hooks, giving back, deregistering.
const STOPPING: Duration = Duration::from_secs(15);

/// The pods of the worker called `name`, which are told from others by `selector`.
pub(super) fn template(
    name: &str,
    spec: &QueueWorkerSpec,
    settings: &Settings,
    labels: &Value,
    selector: &Value,
) -> Value {
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": NOBODY,
                "runAsGroup": NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": grace_seconds(spec.drain_timeout),
            "topologySpreadConstraints": [{
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
            }],
            "containers": [{"name": ENGINE, "image": settings.image}],
        },
    });
    if let Some(own) = &spec.template {
        merge(&mut template, &Value::Object(own.clone()));
    }
    merge(&mut template, &required(name, spec, settings, selector));
    if matches!(spec.handler(), Some(HandlerKind::Http(_))) {
        handler_to_sidecar(&mut template);
    }
    restrict(&mut template);
    template
}

/// What the engine can't do without.
fn required(name: &str, spec: &QueueWorkerSpec, settings: &Settings, selector: &Value) -> Value {
    json!({
        "metadata": {"labels": selector, "annotations": {SPEC: manifest(name, spec).to_string()}},
        "spec": {
            "containers": [{
                "name": ENGINE,
                "command": ["/gritstone"],
                "args": ["work", "-f", "/etc/gritstone/worker.yaml"],
                "env": environment(spec.database.as_ref().map(|database| &database.secret_ref), settings),
                "volumeMounts": [
                    {"mountPath": "/etc/gritstone", "name": "gritstone-spec", "readOnly": true},
                    {"mountPath": "/tmp", "name": "gritstone-tmp"},
                ],
                "securityContext": {"readOnlyRootFilesystem": true},
            }],
            "volumes": [
                {"name": "gritstone-spec", "downwardAPI": {"items": [
                    {"path": "worker.yaml", "fieldRef": {"fieldPath": format!("metadata.annotations['{SPEC}']")}},
                ]}},
                {"name": "gritstone-tmp", "emptyDir": {}},
            ],
        },
    })
}

/// What the engine reads: all that is about its work. How many there are, where and on which database is not, so changing that rolls
/// no pods, or does so by itself.
fn manifest(name: &str, spec: &QueueWorkerSpec) -> Value {
    let mut spec = json!(spec);
    if let Some(spec) = spec.as_object_mut() {
        for field in ["database", "replicas", "autoscaling", "template"] {
            spec.remove(field);
        }
    }
    json!({"apiVersion": API_VERSION, "kind": "QueueWorker", "metadata": {"name": name}, "spec": spec})
}

fn environment(database: Option<&SecretKeyRef>, settings: &Settings) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let url = database.map(|SecretKeyRef { name, key }| {
        json!({"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
    });
    let identity = [
        json!({"name": "GRITSTONE_CLUSTER_ID", "value": settings.cluster_id}),
        field("GRITSTONE_NAMESPACE", "metadata.namespace"),
        field("GRITSTONE_POD", "metadata.name"),
        field("GRITSTONE_POD_UID", "metadata.uid"),
    ];
    url.into_iter().chain(identity).collect()
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

/// What Kubernetes' restricted policy asks of every container, unless it says otherwise itself.
fn restrict(template: &mut Value) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in template.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mut restricted = json!({
                "name": container["name"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            });
            merge(&mut restricted, container);
            *container = restricted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { namespace: None, image: "gritstone:1".to_owned(), cluster_id: "cluster".to_owned() }
    }

    fn pods(spec: Value) -> Value {
        let spec = serde_json::from_value(spec).expect("a spec");
        template("mail", &spec, &settings(), &json!({"a": "b"}), &json!({"gritstone.dev/queue-worker": "mail"}))
    }

    #[test]
    fn the_engine_reads_only_what_is_about_its_work() {
        let spec = |replicas: i32| {
            json!({
                "database": {"secretRef": {"name": "app-db"}},
                "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
                "replicas": replicas,
                "template": {"spec": {"nodeSelector": {"disk": "ssd"}}},
            })
        };
        assert_eq!(pods(spec(1)), pods(spec(2)));
        let manifest = pods(spec(1))["metadata"]["annotations"][SPEC].as_str().expect("text").to_owned();
        let read = gritstone_crds::read_manifests(&manifest, "worker.yaml").expect("a manifest");
        assert_eq!(read.len(), 1);
        assert!(!manifest.contains("app-db"));
    }

    #[test]
    fn a_template_is_merged_and_the_engine_keeps_what_it_needs() {
        let pods = pods(json!({
            "database": {"secretRef": {"name": "app-db", "key": "url"}},
            "drainTimeout": "1500ms",
            "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
            "template": {"metadata": {"labels": {"team": "shop"}}, "spec": {
                "containers": [
                    {"name": "handler", "image": "shop:1", "securityContext": {"runAsUser": 1000}},
                    {"name": "gritstone", "args": ["other"], "resources": {"limits": {"memory": "64Mi"}}},
                ],
            }},
        }));
        let engine = &pods["spec"]["containers"][0];
        assert_eq!(engine["args"], json!(["work", "-f", "/etc/gritstone/worker.yaml"]));
        assert_eq!(engine["resources"], json!({"limits": {"memory": "64Mi"}}));
        assert_eq!(engine["env"][0]["valueFrom"]["secretKeyRef"], json!({"name": "app-db", "key": "url"}));
        let handler = &pods["spec"]["initContainers"][0];
        assert_eq!((&handler["image"], &handler["restartPolicy"]), (&json!("shop:1"), &json!("Always")));
        assert_eq!(handler["securityContext"]["runAsUser"], 1000);
        assert_eq!(handler["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(pods["spec"]["terminationGracePeriodSeconds"], 17);
        assert_eq!(pods["metadata"]["labels"]["team"], "shop");
    }
}
