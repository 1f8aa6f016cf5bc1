//! Writing an object, and only when it isn't there already as it should be.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::Error;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::context::Context;
use crate::owned::{Key, Kind, Part};

/// An object as it should be: what we set of it, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// All of it.
    pub(crate) object: Value,
}

/// Makes it so by server-side apply. Returns what is asked of the object, as it is then.
///
/// After a start every object is applied once, which changes nothing in the API server where nothing is different: what somebody else did
/// to it meanwhile is known only there.
pub(crate) async fn apply(context: &Context, namespace: &str, wanted: &Wanted) -> Result<Part, Error> {
    let digest = digest(&wanted.object);
    let key = Key { kind: wanted.kind, namespace: namespace.to_owned(), name: wanted.name.clone() };
    if let Some(part) = context.owned.look(&key, digest) {
        return Ok(part);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &wanted.kind.resource());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&wanted.name, &parameters, &Patch::Apply(&wanted.object)).await?;
    tracing::info!(kind = wanted.kind.as_str(), name = wanted.name, "applied");
    Ok(context.owned.wrote(key, digest, &applied))
}

fn digest(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.to_string().hash(&mut hasher);
    hasher.finish()
}
