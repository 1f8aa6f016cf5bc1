//! What is particular about a dispatcher's pods.

use gritstone_crds::Duration;
use gritstone_crds::kinds::Dispatcher;
use kube::Resource;

use crate::engine::{Engine, Role, without};

/// What the engine doesn't read. `migrate` it does: an image that is newer than the operator brings tables that the operator doesn't
/// know.
const NOT_READ: [&str; 3] = ["database", "replicas", "template"];

/// What it is at when it stops is one statement.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::ZERO;

/// The pods of a dispatcher whose spec is valid. `database_digest` stands for the database's URL.
pub(super) fn engine<'a>(dispatcher: &'a Dispatcher, name: &'a str, database_digest: Option<&'a str>) -> Engine<'a> {
    let spec = &dispatcher.spec;
    Engine {
        role: Role::Dispatcher,
        name,
        owner: dispatcher.controller_owner_ref(&()),
        spec: without(spec, &NOT_READ),
        database: spec.database.as_ref(),
        database_digest,
        replicas: Some(spec.replicas),
        may_surge: true,
        drain_timeout: DRAIN_TIMEOUT,
        handler: None,
        template: spec.template.as_ref(),
    }
}
