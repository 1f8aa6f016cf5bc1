//! The user's own container, named `handler`.
//!
//! Beside an `http` handler it is a server: started before the engine, and stopped after it. Beside any other it is the image that
//! programs run in: the engine runs there, so that it can start them. Either way an init container brings the program `gritstone`, to run
//! there or to ask the server how it is.

use gritstone_crds::kinds::HandlerKind;
use serde_json::{Map, Value, json};

use super::merge::merge;
use super::{ENGINE, Engine, HANDLER, probes};
use crate::Settings;

/// The container that brings the engine.
pub(super) const INSTALLER: &str = "gritstone-install";
/// Where it is put in the user's image. The engine's own image has a file there, so it is filled elsewhere.
pub(super) const PLACE: &str = "/gritstone";
const FILLED_AT: &str = "/install";
/// The volume that it is on.
pub(super) const VOLUME: &str = "gritstone-program";

impl Engine<'_> {
    /// Whether it runs in the user's image.
    pub(super) fn is_installed(&self) -> bool {
        !matches!(self.handler, Some(HandlerKind::Http(_))) && self.own_handler().is_some()
    }

    /// How the user's server is asked whether it has started, unless that says so itself.
    fn startup_probe(&self) -> Option<Value> {
        let Some(HandlerKind::Http(http)) = self.handler else { return None };
        self.own_handler().filter(|handler| handler.get("startupProbe").is_none())?;
        probes::of_server(http, &format!("{PLACE}/gritstone"))
    }

    /// Whether the user's container needs the program.
    pub(super) fn is_brought(&self) -> bool {
        self.is_installed() || self.startup_probe().is_some()
    }

    fn own_handler(&self) -> Option<&Value> {
        let containers = self.template?.get("spec")?.get("containers")?.as_array()?;
        containers.iter().find(|container| container["name"] == HANDLER)
    }
}

/// The user's template, whose container `handler` is the engine's.
pub(super) fn as_engine(own: &Map<String, Value>) -> Value {
    let mut template = Value::Object(own.clone());
    if let Some(mut handler) = take_handler(&mut template) {
        handler["name"] = json!(ENGINE);
        merge(&mut template, &json!({"spec": {"containers": [handler]}}));
    }
    template
}

/// The container `handler`, which is then no more in the template.
fn take_handler(template: &mut Value) -> Option<Value> {
    let containers = template.pointer_mut("/spec/containers")?.as_array_mut()?;
    let position = containers.iter().position(|container| container["name"] == HANDLER)?;
    Some(containers.remove(position))
}

/// The container that brings the engine, and what may be said otherwise of it.
pub(super) fn installer(settings: &Settings) -> Value {
    let mut installer = json!({"name": INSTALLER, "securityContext": {"readOnlyRootFilesystem": true}});
    merge(&mut installer, &settings.pull.container(&settings.image));
    json!({"initContainers": [installer]})
}

/// What bringing it takes.
pub(super) fn brought() -> Value {
    json!({
        "initContainers": [{
            "name": INSTALLER,
            "command": ["/gritstone", "install", FILLED_AT],
            "volumeMounts": [{"mountPath": FILLED_AT, "name": VOLUME}],
        }],
        "volumes": [{"name": VOLUME, "emptyDir": {}}],
    })
}

/// What the engine needs to run in the user's image.
pub(super) fn installed() -> Value {
    json!({"containers": [{
        "name": ENGINE,
        "command": [format!("{PLACE}/gritstone")],
        "env": [{"name": "GRITSTONE_CA_FILE", "value": format!("{PLACE}/ca-certificates.crt")}],
        "volumeMounts": [mount()],
    }]})
}

fn mount() -> Value {
    json!({"mountPath": PLACE, "name": VOLUME, "readOnly": true})
}

/// A sidecar starts before the engine and outlives it, so that jobs can end while the pod stops. The engine starts once it has.
pub(super) fn to_sidecar(template: &mut Value, engine: &Engine<'_>) {
    if !matches!(engine.handler, Some(HandlerKind::Http(_))) {
        return;
    }
    let Some(mut handler) = take_handler(template) else { return };
    handler["restartPolicy"] = json!("Always");
    if let Some(probe) = engine.startup_probe() {
        merge(&mut handler, &json!({"startupProbe": probe, "volumeMounts": [mount()]}));
    }
    merge(template, &json!({"spec": {"initContainers": [handler]}}));
}
