//! What a container of a manifest's template says that is the engine's to say.

use gritstone_crds::kinds::HandlerKind;
use serde_json::Value;

use super::environment::RESERVED;
use super::handler::{INSTALLER, PLACE, VOLUME};
use super::{ENGINE, HANDLER, probes};

/// The volumes that are the operator's own.
pub(super) const VOLUMES: [&str; 2] = [SPEC_VOLUME, VOLUME];
/// The volume with the manifest, and where it is.
pub(super) const SPEC_VOLUME: &str = "gritstone-spec";
pub(super) const SPEC_PLACE: &str = "/etc/gritstone";

/// A field, and what is to be said of it.
type Problem = (String, String);

/// Everything of an element of `list` that is at odds with the engine.
pub(super) fn at_odds(list: &str, container: &Value, handler: Option<HandlerKind<'_>>) -> Vec<Problem> {
    let container = Container(container);
    let is_server = matches!(handler, Some(HandlerKind::Http(_)));
    match (list, container.0["name"].as_str().unwrap_or_default()) {
        ("containers", ENGINE) => {
            [container.run(), container.told(), container.mounts(), container.own_ports()].concat()
        }
        ("containers", HANDLER) if !is_server => [
            container.image(),
            container.run(),
            container.watched(),
            container.seen(),
            container.mounts(),
            container.own_ports(),
        ]
        .concat(),
        ("containers", HANDLER) => [container.kept(), container.brought(handler), container.ports()].concat(),
        ("initContainers", INSTALLER) => [container.brings(), container.ports()].concat(),
        _ => container.ports(),
    }
}

struct Container<'v>(&'v Value);

impl Container<'_> {
    fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(|value| !value.is_null())
    }

    /// Those of these fields that it has.
    fn any(&self, fields: &[&str], said: &str) -> Vec<Problem> {
        fields.iter().filter(|field| self.has(field)).map(|field| ((*field).to_owned(), said.to_owned())).collect()
    }

    /// What is to be said of the elements of a list.
    fn each(&self, list: &str, said: impl Fn(&Value) -> Option<String>) -> Vec<Problem> {
        let elements = self.0.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
        elements.filter_map(|(number, element)| Some((format!("{list}[{number}]"), said(element)?))).collect()
    }

    fn image(&self) -> Vec<Problem> {
        let said = "name the image that your programs are in".to_owned();
        if self.has("image") { Vec::new() } else { vec![("image".to_owned(), said)] }
    }

    fn run(&self) -> Vec<Problem> {
        let said = format!(
            "the engine is what runs in the container `{ENGINE}`, and it starts what spec.handler says: leave it out; another program of yours \
             can have a container of its own"
        );
        self.any(&["command", "args"], &said)
    }

    /// How the engine is watched, which other programs can't answer for it.
    fn watched(&self) -> Vec<Problem> {
        self.any(&["startupProbe", "livenessProbe", "readinessProbe"], "is the engine's here: leave it out")
    }

    /// What the operator tells the engine.
    fn told(&self) -> Vec<Problem> {
        self.each("env", |variable| match variable["name"].as_str()? {
            "DATABASE_URL" => Some("the variable DATABASE_URL is what spec.database says: leave it out".to_owned()),
            name if RESERVED.contains(&name) => Some(format!("the variable {name} is the operator's: leave it out")),
            _ => None,
        })
    }

    /// What programs don't see of their container's environment.
    fn seen(&self) -> Vec<Problem> {
        self.each("env", |variable| {
            let name = variable["name"].as_str()?;
            let is_hidden = name == "DATABASE_URL" || name.starts_with("GRITSTONE_");
            is_hidden.then(|| {
                format!("the variable {name} is the engine's, and programs don't see it: give yours another name")
            })
        })
    }

    fn mounts(&self) -> Vec<Problem> {
        self.mounts_at(&[PLACE, SPEC_PLACE])
    }

    fn mounts_at(&self, places: &[&str]) -> Vec<Problem> {
        self.each("volumeMounts", |mount| {
            let path = mount["mountPath"].as_str()?;
            let is_there = places.contains(&path.trim_end_matches('/'));
            is_there.then(|| format!("{path} is where the engine has what it needs: mount your volume elsewhere"))
        })
    }

    /// A server is a sidecar.
    fn kept(&self) -> Vec<Problem> {
        let is_other = self.0.get("restartPolicy").is_some_and(|policy| !policy.is_null() && policy != "Always");
        let said = "the server starts before the engine and outlives it, which takes Always: leave it out".to_owned();
        if is_other { vec![("restartPolicy".to_owned(), said)] } else { Vec::new() }
    }

    /// What is brought into a server's container: the program that asks it.
    fn brought(&self, handler: Option<HandlerKind<'_>>) -> Vec<Problem> {
        let Some(HandlerKind::Http(http)) = handler else { return Vec::new() };
        let is_asked = !self.has("startupProbe") && probes::of_server(http, PLACE).is_some();
        if is_asked { self.mounts_at(&[PLACE]) } else { Vec::new() }
    }

    fn brings(&self) -> Vec<Problem> {
        self.any(&["command", "args"], "this container brings the engine: leave it out")
    }

    /// The ports of the engine's container.
    fn own_ports(&self) -> Vec<Problem> {
        self.each("ports", |port| {
            let (is_number, is_name) = (is_of_engine(port), port["name"] == probes::PORT_NAME);
            match (is_number, is_name || port["name"].is_null()) {
                (true, false) => Some(format!(
                    "{} is the engine's own port, named {}: leave it out",
                    probes::PORT,
                    probes::PORT_NAME
                )),
                (false, _) if is_name => Some(format!(
                    "the name {} is that of the engine's port {}: give it another",
                    probes::PORT_NAME,
                    probes::PORT
                )),
                _ => None,
            }
        })
    }

    /// The ports of another container, which has the pod's address too.
    fn ports(&self) -> Vec<Problem> {
        let said = format!("the engine listens on {} in this pod: let this container listen on another", probes::PORT);
        self.each("ports", |port| is_of_engine(port).then(|| said.clone()))
    }
}

fn is_of_engine(port: &Value) -> bool {
    let is_tcp = port.get("protocol").is_none_or(|protocol| protocol.is_null() || protocol == "TCP");
    is_tcp && port["containerPort"].as_f64() == Some(f64::from(probes::PORT))
}
