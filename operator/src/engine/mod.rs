//! The engine's pods, which workers and dispatchers have alike: `gritstone` with a manifest to read and a database.
//!
//! A kind says by an [`Engine`] what is particular about it. [`build`] makes of that the Deployment and the disruption budget, with
//! the template of `pod`: three layers, put over each other by `merge`, in which `environment` is what the program is told, `handler` the
//! user's own container, `probes` how the pod is watched, and which `security` restricts. What of a template the last layer would overwrite,
//! `reserved` tells beforehand ([`at_odds`]), of each container by `container`. `live` reads off a Deployment what others depend on, `rollout`
//! how far its pods have come, `obstacle` what is in their way.

mod container;
mod environment;
mod handler;
mod live;
mod merge;
mod objects;
mod obstacle;
mod pod;
mod probes;
mod reserved;
mod rollout;
mod security;

use gritstone_crds::kinds::{Database, HandlerKind, Kind};
use gritstone_crds::{API_VERSION, Duration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};

use crate::owned::{self, Key};

pub(crate) use live::Live;
pub(crate) use objects::{Built, build};
pub(crate) use reserved::at_odds;
pub(crate) use rollout::Rollout;

/// The engine's container.
pub(crate) const ENGINE: &str = "gritstone";
/// The user's own container.
const HANDLER: &str = "handler";

/// What is particular about an object's pods.
#[derive(Clone, Debug)]
pub(crate) struct Engine<'a> {
    /// What they are.
    pub(crate) role: Role,
    /// The name of the object that they are of.
    pub(crate) name: &'a str,
    /// That object.
    pub(crate) owner: Option<OwnerReference>,
    /// What the program reads of its spec.
    pub(crate) spec: Value,
    /// The Secret with the database's URL.
    pub(crate) database: Option<&'a Database>,
    /// Stands for that URL: another one rolls the pods.
    pub(crate) database_digest: Option<&'a str>,
    /// How many pods; none given where somebody else says it.
    pub(crate) replicas: Option<i32>,
    /// Whether a rollout may make pods besides those, as Deployments do unless they are told otherwise.
    pub(crate) may_surge: bool,
    /// How long a stopping pod may finish what it is at.
    pub(crate) drain_timeout: Duration,
    /// Who does the work, if it is a worker's.
    pub(crate) handler: Option<HandlerKind<'a>>,
    /// The manifest's own template.
    pub(crate) template: Option<&'a Map<String, Value>>,
}

/// What a pod of the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Claims jobs.
    Worker,
    /// Makes jobs ready and keeps the database in order.
    Dispatcher,
}

impl Role {
    /// Of which kind its manifest is.
    const fn kind(self) -> Kind {
        match self {
            Self::Worker => Kind::QueueWorker,
            Self::Dispatcher => Kind::Dispatcher,
        }
    }

    /// What it is called: the end of its objects' names.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Dispatcher => "dispatcher",
        }
    }

    /// The label that tells the pods of one object.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Worker => "gritstone.dev/queue-worker",
            Self::Dispatcher => "gritstone.dev/dispatcher",
        }
    }

    /// What `gritstone` is told to do.
    const fn command(self) -> &'static str {
        match self {
            Self::Worker => "work",
            Self::Dispatcher => "dispatch",
        }
    }

    /// The name of the objects that those of the object called `name` are made of.
    pub(crate) fn object(self, name: &str) -> String {
        format!("{name}-{}", self.as_str())
    }

    /// The Deployment that `object` is made of.
    pub(crate) fn deployment(self, object: &impl kube::ResourceExt) -> Key {
        let namespace = object.namespace().unwrap_or_default();
        Key { kind: owned::Kind::Deployment, namespace, name: self.object(&object.name_any()) }
    }

    /// Which pods are those of the object called `name`, as a selector in text.
    pub(crate) fn selector(self, name: &str) -> String {
        format!("{}={name}", self.label())
    }
}

impl Engine<'_> {
    /// What the program reads. Only what is about its work, so that a change of anything else rolls no pods.
    fn manifest(&self) -> Value {
        let kind = self.role.kind().as_str();
        json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": self.name}, "spec": self.spec})
    }

    fn selector(&self) -> Value {
        json!({self.role.label(): self.name})
    }
}

/// `spec` without these fields, which the engine doesn't read.
pub(crate) fn without(spec: impl serde::Serialize, fields: &[&str]) -> Value {
    let mut spec = json!(spec);
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|field, _| !fields.contains(&field.as_str()));
    }
    spec
}
