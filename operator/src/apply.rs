//! Writing an object, and only when it isn't there already as it should be.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use serde_json::Value;

use crate::FIELD_MANAGER;

/// An object as it should be: what we set of it, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// Its group, version and kind.
    pub(crate) kind: GroupVersionKind,
    /// Its name.
    pub(crate) name: String,
    /// All of it.
    pub(crate) object: Value,
}

/// Makes it so by server-side apply. Returns the object as it is then.
pub(crate) async fn apply(client: &Client, namespace: &str, wanted: &Wanted) -> Result<Value, Error> {
    let resource = ApiResource::from_gvk(&wanted.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    if let Some(live) = api.get_opt(&wanted.name).await? {
        let live = serde_json::to_value(live).map_err(Error::SerdeError)?;
        if is_within(&wanted.object, &live) {
            return Ok(live);
        }
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&wanted.name, &parameters, &Patch::Apply(&wanted.object)).await?;
    tracing::info!(kind = wanted.kind.kind, name = wanted.name, "applied");
    serde_json::to_value(applied).map_err(Error::SerdeError)
}

/// Whether everything that is wanted is there. What others set besides, and what the API server fills in, is theirs.
fn is_within(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(name, value)| {
            live.get(name).map_or(value.is_null() || is_empty(value), |live| is_within(value, live))
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_within(wanted, live))
        }
        _ => wanted == live,
    }
}

/// The API server keeps no empty objects and lists.
fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_add_is_no_difference_and_what_they_change_is() {
        let wanted = json!({"spec": {"replicas": 1, "containers": [{"name": "a", "env": []}]}});
        let mut live = json!({"status": {}, "spec": {"replicas": 1, "containers": [{"name": "a", "image": "b"}]}});
        assert!(is_within(&wanted, &live));
        live["spec"]["replicas"] = json!(2);
        assert!(!is_within(&wanted, &live));
        live["spec"]["replicas"] = json!(1);
        live["spec"]["containers"] = json!([]);
        assert!(!is_within(&wanted, &live));
    }
}
