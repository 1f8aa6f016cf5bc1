//! What a manifest's template says that the engine can't do with: the fields that `pod` puts over it.
//!
//! They would be overwritten, or break the pods. A manifest that has them is refused instead, with what to do.

use gritstone_crds::Duration;
use gritstone_crds::kinds::HandlerKind;
use serde_json::{Map, Value};

use super::pod::{STOPPING, grace_seconds};
use super::{container, probes};
use crate::MANAGED_BY;

/// Everything of a template that is at odds with the engine, each with the path of its field; and a server that would take the engine's port.
pub(crate) fn at_odds(
    handler: Option<HandlerKind<'_>>,
    drain_timeout: Duration,
    template: Option<&Map<String, Value>>,
) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(HandlerKind::Http(http)) = handler
        && probes::is_of_engine(http)
    {
        let port = probes::PORT;
        problems.push(format!(
            "spec.handler.http.url: port {port} of the pod is the engine's own, for probes and metrics: let your server listen on another"
        ));
    }
    let Some(template) = template else { return problems };
    for (field, whose) in [("labels", "by which it knows its pods"), ("annotations", "which it reads and writes")] {
        let named = template.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_object);
        let reserved = named.into_iter().flatten().filter(|(name, value)| is_reserved(name) && !value.is_null());
        problems.extend(reserved.map(|(name, _)| {
            format!(
                "spec.template.metadata.{field}[{name}]: is one of the operator's own, {whose}: give yours another name"
            )
        }));
    }
    let Some(spec) = template.get("spec") else { return problems };
    problems.extend(too_short(spec, drain_timeout));
    for (at, volume) in elements(spec, "volumes") {
        if volume["name"].as_str().is_some_and(|name| container::VOLUMES.contains(&name)) {
            problems
                .push(format!("spec.template.spec.{at}: is a volume of the operator's own: give yours another name"));
        }
    }
    for list in ["containers", "initContainers"] {
        for (at, one) in elements(spec, list) {
            let found = container::at_odds(list, one, handler);
            problems.extend(found.into_iter().map(|(field, said)| format!("spec.template.spec.{at}.{field}: {said}")));
        }
    }
    problems
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("gritstone.dev/") || name == MANAGED_BY
}

/// A pod that is killed before its jobs had the time that they were promised.
fn too_short(spec: &Value, drain_timeout: Duration) -> Option<String> {
    let seconds = spec.get("terminationGracePeriodSeconds")?.as_f64()?;
    let needed = grace_seconds(drain_timeout);
    (seconds < needed as f64).then(|| {
        let drain = if drain_timeout == Duration::ZERO { "" } else { "drainTimeout, and " };
        format!(
            "spec.template.spec.terminationGracePeriodSeconds: {seconds} is less than the {needed} that a pod needs to stop ({drain}{} to give \
             back what it has): leave it out, or make it longer",
            STOPPING
        )
    })
}

/// The elements of a list, each with its place.
fn elements<'v>(spec: &'v Value, list: &'static str) -> impl Iterator<Item = (String, &'v Value)> {
    let elements = spec.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
    elements.map(move |(number, element)| (format!("{list}[{number}]"), element))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_crds::kinds::QueueWorkerSpec;
    use serde_json::json;

    /// What is said of a worker with this handler, whose jobs have 30 s to end, and this template.
    fn said(handler: Value, template: Value) -> String {
        let spec: QueueWorkerSpec =
            serde_json::from_value(json!({"handler": handler, "drainTimeout": "30s", "template": template}))
                .expect("a spec");
        at_odds(spec.handler(), spec.drain_timeout, spec.template.as_ref()).join("\n")
    }

    fn server() -> Value {
        json!({"http": {"url": "http://127.0.0.1:8080/jobs", "healthPath": "/up"}})
    }

    fn programs() -> Value {
        json!({"command": {"command": ["./run-job"]}})
    }

    /// A template with one container.
    fn with(name: &str, fields: Value) -> Value {
        let mut container = json!({"name": name, "image": "shop:1"});
        container.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
        json!({"spec": {"containers": [{"name": "other"}, container]}})
    }

    #[test]
    fn what_the_operator_writes_itself_is_refused_with_its_place_and_what_to_do() {
        let cases = [
            (
                json!({"metadata": {"labels": {"gritstone.dev/queue-worker": "other"}}}),
                "spec.template.metadata.labels[gritstone.dev/queue-worker]: is one of the operator's own, by which it knows its pods",
            ),
            (
                json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "someone"}}}),
                "spec.template.metadata.labels[app.kubernetes.io/managed-by]: is one of",
            ),
            (
                json!({"metadata": {"annotations": {"gritstone.dev/spec": "{}"}}}),
                "spec.template.metadata.annotations[gritstone.dev/spec]: is one of",
            ),
            (
                json!({"spec": {"terminationGracePeriodSeconds": 44}}),
                "spec.template.spec.terminationGracePeriodSeconds: 44 is less than the 45 that a pod needs to stop (drainTimeout, and 15s",
            ),
            (
                json!({"spec": {"volumes": [{"name": "mine"}, {"name": "gritstone-spec", "emptyDir": {}}]}}),
                "spec.template.spec.volumes[1]: is a volume of the operator's own: give yours another name",
            ),
            (
                json!({"spec": {"volumes": [{"name": "gritstone-program", "emptyDir": {}}]}}),
                "spec.template.spec.volumes[0]: is a volume",
            ),
            (
                with("gritstone", json!({"command": ["sh"]})),
                "spec.template.spec.containers[1].command: the engine is what runs in the container `gritstone`, and it starts what spec.handler says: leave",
            ),
            (with("gritstone", json!({"args": []})), "spec.template.spec.containers[1].args: the engine"),
            (
                with("gritstone", json!({"env": [{"name": "DATABASE_URL", "value": "x"}]})),
                "spec.template.spec.containers[1].env[0]: the variable DATABASE_URL is what spec.database says",
            ),
            (
                with("gritstone", json!({"env": [{"name": "A"}, {"name": "GRITSTONE_POD", "value": "x"}]})),
                "spec.template.spec.containers[1].env[1]: the variable GRITSTONE_POD is the operator's: leave it out",
            ),
            (
                with("gritstone", json!({"volumeMounts": [{"mountPath": "/etc/gritstone/", "name": "x"}]})),
                "spec.template.spec.containers[1].volumeMounts[0]: /etc/gritstone/ is where the engine has what it needs: mount",
            ),
            (
                with("gritstone", json!({"ports": [{"containerPort": 9090, "name": "web"}]})),
                "spec.template.spec.containers[1].ports[0]: 9090 is the engine's own port, named metrics: leave it out",
            ),
            (
                with("gritstone", json!({"ports": [{"containerPort": 80, "name": "metrics"}]})),
                "spec.template.spec.containers[1].ports[0]: the name metrics is that of the engine's port 9090",
            ),
            (
                with("proxy", json!({"ports": [{"containerPort": 9090}]})),
                "spec.template.spec.containers[1].ports[0]: the engine listens on 9090 in this pod: let this container listen on another",
            ),
            (
                with("handler", json!({"restartPolicy": "Never"})),
                "spec.template.spec.containers[1].restartPolicy: the server starts before the engine and outlives it",
            ),
            (
                with("handler", json!({"volumeMounts": [{"mountPath": "/gritstone", "name": "x"}]})),
                "spec.template.spec.containers[1].volumeMounts[0]: /gritstone is where",
            ),
            (
                json!({"spec": {"initContainers": [{"name": "gritstone-install", "command": ["true"]}]}}),
                "spec.template.spec.initContainers[0].command: this container brings the engine: leave it out",
            ),
        ];
        for (template, expected) in cases {
            let said = said(server(), template.clone());
            assert!(said.starts_with(expected) && said.lines().count() == 1, "{template}: {said:?}");
        }
    }

    #[test]
    fn what_an_engine_in_the_users_image_can_not_do_is_said() {
        let cases = [
            (
                json!({"image": null}),
                "spec.template.spec.containers[1].image: name the image that your programs are in",
            ),
            (
                json!({"command": ["sh"]}),
                "spec.template.spec.containers[1].command: the engine is what runs in the container",
            ),
            (
                json!({"livenessProbe": {}}),
                "spec.template.spec.containers[1].livenessProbe: is the engine's here: leave it out",
            ),
            (
                json!({"env": [{"name": "DATABASE_URL", "value": "x"}]}),
                "spec.template.spec.containers[1].env[0]: the variable DATABASE_URL is the engine's, and programs don't see it",
            ),
            (
                json!({"env": [{"name": "GRITSTONE_X"}]}),
                "spec.template.spec.containers[1].env[0]: the variable GRITSTONE_X",
            ),
            (
                json!({"volumeMounts": [{"mountPath": "/gritstone/", "name": "x"}]}),
                "spec.template.spec.containers[1].volumeMounts[0]: /gritstone/ is where",
            ),
            (
                json!({"ports": [{"containerPort": 9090, "name": "web"}]}),
                "spec.template.spec.containers[1].ports[0]: 9090 is",
            ),
        ];
        for (fields, expected) in cases {
            let said = said(programs(), with("handler", fields.clone()));
            assert!(said.starts_with(expected) && said.lines().count() == 1, "{fields}: {said:?}");
        }
    }

    #[test]
    fn what_is_no_concern_of_the_engine_is_the_manifests() {
        let template = json!({
            "metadata": {"labels": {"team": "shop", "gritstone.dev/queue-worker": null}, "annotations": {"a": "b"}},
            "spec": {
                "terminationGracePeriodSeconds": 45,
                "volumes": [{"name": "gritstone-tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
                "initContainers": [{"name": "gritstone-install", "resources": {}}, {"name": "first", "command": ["x"]}],
                "containers": [
                    {"name": "gritstone", "env": [{"name": "GRITSTONE_LOG", "value": "debug"}], "command": null,
                     "volumeMounts": [{"mountPath": "/etc/databases/shop", "name": "x"}],
                     "ports": [{"containerPort": 9090, "name": "metrics", "protocol": "TCP"}]},
                    {"name": "handler", "image": "shop:1", "command": ["serve"], "env": [{"name": "DATABASE_URL", "value": "x"}],
                     "startupProbe": {"tcpSocket": {"port": 8080}}, "volumeMounts": [{"mountPath": "/gritstone", "name": "x"}],
                     "ports": [{"containerPort": 8080, "name": "metrics"}, {"containerPort": 9090, "protocol": "UDP"}]},
                ],
            },
        });
        assert_eq!(said(server(), template), "");
        let fine = json!({"env": [{"name": "SHOP_DATABASE_URL", "value": "x"}], "resources": {"limits": {"memory": "1Gi"}},
            "volumeMounts": [{"mountPath": "/gritstone-data", "name": "data"}]});
        assert_eq!(said(programs(), with("handler", fine)), "");
        assert_eq!(said(programs(), Value::Null), "");
    }

    #[test]
    fn a_server_in_the_pod_has_to_leave_the_engine_its_port() {
        let of = |url: &str| said(json!({"http": {"url": url}}), Value::Null);
        for url in
            ["http://127.0.0.1:9090/jobs", "http://localhost:9090/", "http://[::1]:9090/", "http://0.0.0.0:9090/"]
        {
            assert!(of(url).starts_with("spec.handler.http.url: port 9090 of the pod is the engine's own"), "{url}");
        }
        for url in ["http://127.0.0.1:9091/jobs", "http://jobs.shop.svc:9090/", "http+unix://%2Frun%2Fjobs.sock/jobs"] {
            assert_eq!(of(url), "", "{url}");
        }
    }

    #[test]
    fn a_dispatcher_has_little_to_end() {
        let template = json!({"spec": {"terminationGracePeriodSeconds": 14}});
        let said = at_odds(None, Duration::ZERO, template.as_object()).join("\n");
        assert!(said.contains("14 is less than the 15 that a pod needs to stop (15s to give"), "{said}");
    }
}
