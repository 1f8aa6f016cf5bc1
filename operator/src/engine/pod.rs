//! The template of the engine's pods.
//!
//! Three layers, each over the one before: what is good unless someone says otherwise, the manifest's own `template`, and what the
//! engine can't do without. The container `gritstone` is the engine.

use gritstone_crds::Duration;
use serde_json::{Value, json};

use super::container::{SPEC_PLACE, SPEC_VOLUME};
use super::environment::environment;
use super::merge::merge;
use super::{ENGINE, Engine, handler, probes, security};
use crate::{FIELD_MANAGER, MANAGED_BY, Settings};

/// The annotation that the engine's manifest is mounted from. So a change of it rolls the pods, and nothing has to be in step with it.
const SPEC: &str = "gritstone.dev/spec";
/// The annotation that stands for the database's URL.
const DATABASE: &str = "gritstone.dev/database-digest";

/// What a stopping pod needs besides the time that its jobs have: hooks, giving back, deregistering.
pub(super) const STOPPING: Duration = Duration::from_secs(15);

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
            "containers": [{
                "name": ENGINE,
                "securityContext": {"readOnlyRootFilesystem": true},
                "volumeMounts": [{"mountPath": "/tmp", "name": "gritstone-tmp"}],
            }],
            "volumes": [{"name": "gritstone-tmp", "emptyDir": {}}],
        },
    });
    merge(&mut template["spec"], &settings.pull.pod());
    merge(&mut template["spec"]["containers"][0], &probes::of_engine());
    // How ours is pulled is no rule for another.
    if !engine.is_installed() {
        merge(&mut template["spec"]["containers"][0], &settings.pull.container(&settings.image));
    }
    if engine.is_brought() {
        merge(&mut template["spec"], &handler::installer(settings));
    }
    match engine.template {
        Some(own) if engine.is_installed() => merge(&mut template, &handler::as_engine(own)),
        Some(own) => merge(&mut template, &Value::Object(own.clone())),
        None => {}
    }
    merge(&mut template, &required(engine, settings));
    if engine.is_brought() {
        merge(&mut template["spec"], &handler::brought());
    }
    if engine.is_installed() {
        merge(&mut template["spec"], &handler::installed());
    }
    handler::to_sidecar(&mut template, engine);
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
    let mut labels = engine.selector();
    labels[MANAGED_BY] = json!(FIELD_MANAGER);
    json!({
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": {
            "containers": [{
                "name": ENGINE,
                "command": ["/gritstone"],
                "args": [engine.role.command(), "-f", format!("{SPEC_PLACE}/{file}")],
                "env": environment(engine, settings),
                "ports": [{"containerPort": probes::PORT, "name": probes::PORT_NAME, "protocol": "TCP"}],
                "volumeMounts": [{"mountPath": SPEC_PLACE, "name": SPEC_VOLUME, "readOnly": true}],
            }],
            "volumes": [
                {"name": SPEC_VOLUME, "downwardAPI": {"items": [
                    {"path": file, "fieldRef": {"fieldPath": format!("metadata.annotations['{SPEC}']")}},
                ]}},
            ],
        },
    })
}

/// What stands for the database's URL in the pods of a Deployment as it is.
pub(super) fn database_digest(deployment: &Value) -> Option<String> {
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    annotations[DATABASE].as_str().map(str::to_owned)
}

/// The seconds until a stopping pod is killed.
pub(super) fn grace_seconds(drain_timeout: Duration) -> u64 {
    drain_timeout.as_millis().div_ceil(1_000) + STOPPING.as_millis() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Role;
    use crate::pull::{Pull, PullPolicy};
    use crate::scope::Scope;
    use gritstone_crds::kinds::{CommandHandler, Database, HandlerKind, HttpHandler};

    fn settings() -> Settings {
        Settings {
            scopes: vec![Scope::Everywhere],
            image: "gritstone:1".to_owned(),
            pull: Pull { secrets: vec!["ours".to_owned()], policy: Some(PullPolicy::Always) },
            cluster_id: "cluster".to_owned(),
        }
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
            may_surge: true,
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
                {"name": "gritstone", "resources": {"limits": {"memory": "64Mi"}}},
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
        // The operator watches no others.
        assert_eq!(pods["metadata"]["labels"][MANAGED_BY], FIELD_MANAGER);
    }

    #[test]
    fn the_names_of_variables_that_are_reserved_are_those_that_are_given() {
        let database: Database = serde_json::from_value(json!({"secretRef": {"name": "app-db"}})).expect("a database");
        let given = environment(&Engine { database: Some(&database), ..engine(Role::Worker) }, &settings());
        let given: Vec<_> = given.iter().map(|variable| variable["name"].as_str().unwrap_or_default()).collect();
        assert_eq!(given, crate::engine::environment::RESERVED);
    }

    #[test]
    fn each_role_has_its_command_its_file_and_its_label() {
        let pods = pods(&engine(Role::Dispatcher));
        assert_eq!(pods["spec"]["containers"][0]["livenessProbe"]["httpGet"]["path"], "/livez");
        let args = &pods["spec"]["containers"][0]["args"];
        assert_eq!(args, &json!(["dispatch", "-f", "/etc/gritstone/dispatcher.yaml"]));
        assert_eq!(pods["spec"]["volumes"][1]["downwardAPI"]["items"][0]["path"], "dispatcher.yaml");
        assert_eq!(pods["metadata"]["labels"]["gritstone.dev/dispatcher"], "mail");
        let manifest = pods["metadata"]["annotations"][SPEC].as_str().expect("text");
        assert!(manifest.contains(r#""kind":"Dispatcher""#), "{manifest}");
    }

    /// A worker of the kind command, with this template.
    fn in_image(own: &Value) -> Value {
        let command: CommandHandler = serde_json::from_value(json!({"command": ["./run-job"]})).expect("a handler");
        pods(&Engine {
            handler: Some(HandlerKind::Command(&command)),
            template: own.as_object(),
            ..engine(Role::Worker)
        })
    }

    #[test]
    fn the_engine_of_children_runs_in_their_image_with_all_that_its_container_has() {
        let pods = in_image(&json!({"spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [
                {"name": "metrics-proxy", "image": "proxy:1"},
                {"name": "handler", "image": "shop:1", "env": [{"name": "LANG", "value": "C"}],
                 "resources": {"requests": {"cpu": "1"}}, "volumeMounts": [{"mountPath": "/data", "name": "data"}],
                 "securityContext": {"runAsUser": 1000, "readOnlyRootFilesystem": false}},
            ],
            "initContainers": [{"name": "gritstone-install", "resources": {"limits": {"memory": "64Mi"}}}],
        }}));
        let names = |list: &str| -> Vec<Value> {
            pods["spec"][list].as_array().expect(list).iter().map(|one| one["name"].clone()).collect()
        };
        assert_eq!(names("containers"), ["gritstone", "metrics-proxy"]);
        let container = &pods["spec"]["containers"][0];
        assert_eq!((&container["image"], &container["command"]), (&json!("shop:1"), &json!(["/gritstone/gritstone"])));
        assert_eq!(container["resources"]["requests"]["cpu"], "1");
        assert_eq!(container["securityContext"]["runAsUser"], 1000);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        let variable = |name: &str| {
            let all = container["env"].as_array().expect("variables").iter();
            all.filter(|variable| variable["name"] == name)
                .map(|variable| variable["value"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(variable("LANG"), ["C"]);
        assert_eq!(variable("GRITSTONE_CA_FILE"), ["/gritstone/ca-certificates.crt"]);
        assert_eq!(variable("SSL_CERT_FILE"), [] as [Value; 0]);
        let mounts: Vec<_> =
            container["volumeMounts"].as_array().expect("mounts").iter().map(|m| &m["mountPath"]).collect();
        assert_eq!(mounts, ["/tmp", "/data", "/etc/gritstone", "/gritstone"]);
        assert_eq!(names("initContainers"), [json!("gritstone-install")]);
        let installer = &pods["spec"]["initContainers"][0];
        assert_eq!((&installer["image"], &installer["command"][1]), (&json!("gritstone:1"), &json!("install")));
        assert_eq!(installer["resources"]["limits"]["memory"], "64Mi");
        assert_eq!(installer["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(pods["spec"]["imagePullSecrets"], json!([{"name": "ours"}, {"name": "registry"}]));
        assert_eq!((&installer["imagePullPolicy"], container.get("imagePullPolicy")), (&json!("Always"), None));
        assert_eq!(pods["spec"]["securityContext"]["runAsNonRoot"], true);
    }

    #[test]
    fn children_of_an_image_that_has_gritstone_itself_need_no_installing() {
        let pods =
            in_image(&json!({"spec": {"containers": [{"name": "gritstone", "image": "shop-with-gritstone:1"}]}}));
        assert_eq!(pods["spec"]["containers"][0]["command"], json!(["/gritstone"]));
        assert_eq!(pods["spec"].get("initContainers"), None);
    }

    #[test]
    fn a_server_starts_before_the_engine_and_its_own_probe_goes_first() {
        let http: HttpHandler =
            serde_json::from_value(json!({"url": "http://127.0.0.1:8080/jobs", "healthPath": "/up"}))
                .expect("a handler");
        let sidecar = |handler: Value| {
            let own = json!({"spec": {"containers": [handler]}});
            let engine =
                Engine { handler: Some(HandlerKind::Http(&http)), template: own.as_object(), ..engine(Role::Worker) };
            pods(&engine)["spec"]["initContainers"].as_array().cloned().unwrap_or_default()
        };
        let asked = sidecar(json!({"name": "handler", "image": "shop:1"}));
        assert_eq!((&asked[0]["name"], &asked[1]["name"]), (&json!("gritstone-install"), &json!("handler")));
        let command = json!(["/gritstone/gritstone", "probe", "http://127.0.0.1:8080/up"]);
        assert_eq!(asked[1]["startupProbe"]["exec"]["command"], command);
        assert_eq!(asked[1]["volumeMounts"][0]["mountPath"], "/gritstone");
        let own = json!({"tcpSocket": {"port": 8080}});
        let asked = sidecar(json!({"name": "handler", "image": "shop:1", "startupProbe": own}));
        assert_eq!((asked.len(), &asked[0]["startupProbe"]), (1, &own));
    }

    #[test]
    fn the_engine_is_watched_by_its_page_and_a_template_may_say_how() {
        let own = json!({"spec": {"containers": [{"name": "gritstone", "livenessProbe": {"periodSeconds": 30}}]}});
        let pods = pods(&Engine { template: own.as_object(), ..engine(Role::Worker) });
        let container = &pods["spec"]["containers"][0];
        assert_eq!(container["livenessProbe"]["httpGet"], json!({"path": "/livez", "port": "metrics"}));
        assert_eq!(container["livenessProbe"]["periodSeconds"], 30);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        assert_eq!(container["ports"], json!([{"containerPort": 9090, "name": "metrics", "protocol": "TCP"}]));
        assert!(json!(container["env"]).to_string().contains(r#"{"name":"GRITSTONE_HEALTH_ADDRESS","value":":9090"}"#));
    }

    #[test]
    fn our_image_is_pulled_as_the_operator_is_told_unless_the_template_says_otherwise() {
        let of_engine = |own: Value, settings: &Settings| {
            let pods = template(&Engine { template: own.as_object(), ..engine(Role::Worker) }, settings, &json!({}));
            (
                pods["spec"]["containers"][0].get("imagePullPolicy").cloned(),
                pods["spec"].get("imagePullSecrets").cloned(),
            )
        };
        let ours = json!([{"name": "ours"}]);
        assert_eq!(of_engine(json!({}), &settings()), (Some(json!("Always")), Some(ours)));
        let own = json!({"spec": {
            "imagePullSecrets": [{"name": "ours"}, {"name": "theirs"}],
            "containers": [{"name": "gritstone", "imagePullPolicy": "Never"}],
        }});
        let both = json!([{"name": "ours"}, {"name": "theirs"}]);
        assert_eq!(of_engine(own, &settings()), (Some(json!("Never")), Some(both)));
        let plain = Settings { pull: Pull::default(), ..settings() };
        assert_eq!(of_engine(json!({}), &plain), (None, None));
    }

    #[test]
    fn another_url_of_the_database_makes_another_template() {
        let with = |digest| pods(&Engine { database_digest: digest, ..engine(Role::Worker) });
        assert_ne!(with(Some("one")), with(Some("two")));
        assert_eq!(with(None)["metadata"]["annotations"].get(DATABASE), None);
    }
}
