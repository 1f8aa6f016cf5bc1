//! Writing an object, and only when it isn't there already as it should be.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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

/// The annotation with the digest of what we set. It tells that a field is no longer wanted, which the object itself doesn't: what is
/// there and not wanted may as well be somebody else's.
const DIGEST: &str = "gritstone.dev/digest";

/// Makes it so by server-side apply. Returns the object as it is then.
pub(crate) async fn apply(client: &Client, namespace: &str, wanted: &Wanted) -> Result<Value, Error> {
    let resource = ApiResource::from_gvk(&wanted.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let object = with_digest(&wanted.object);
    if let Some(live) = api.get_opt(&wanted.name).await? {
        let live = serde_json::to_value(live).map_err(Error::SerdeError)?;
        if is_within(&object, &live) {
            return Ok(live);
        }
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&wanted.name, &parameters, &Patch::Apply(&object)).await?;
    tracing::info!(kind = wanted.kind.kind, name = wanted.name, "applied");
    serde_json::to_value(applied).map_err(Error::SerdeError)
}

fn with_digest(object: &Value) -> Value {
    let digest = Sha256::digest(object.to_string());
    let text: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut object = object.clone();
    object["metadata"]["annotations"][DIGEST] = text.into();
    object
}

/// Whether everything that is wanted is there. What others set besides, and what the API server fills in, is theirs.
fn is_within(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(name, value)| match live.get(name) {
            None => value.is_null() || is_empty(value),
            Some(live) if matches!(name.as_str(), "limits" | "requests") => are_same_amounts(value, live),
            Some(live) => is_within(value, live),
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_within(wanted, live))
        }
        _ => wanted == live,
    }
}

/// The resources of a container, which the API server writes in its own way: `1.5` comes back as `1500m`.
fn are_same_amounts(wanted: &Value, live: &Value) -> bool {
    let (Some(wanted), Some(live)) = (wanted.as_object(), live.as_object()) else { return wanted == live };
    wanted.iter().all(|(name, wanted)| {
        let Some(live) = live.get(name) else { return false };
        wanted == live || amount(wanted).is_some_and(|wanted| amount(live) == Some(wanted))
    })
}

/// A quantity as a number. Close amounts may become one number; far below what anyone tells apart.
fn amount(quantity: &Value) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [
        ("Ki", 1_024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let Some(text) = quantity.as_str() else { return quantity.as_f64() };
    if let Some(thousandths) = text.strip_suffix('m') {
        // Divided, 700m is the number that 0.7 is; multiplied by 0.001 it isn't.
        return thousandths.parse::<f64>().ok().map(|number| number / 1_000.0);
    }
    let with_unit = UNITS.iter().find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, *size)));
    let (number, size) = with_unit.unwrap_or((text, 1.0));
    number.parse::<f64>().ok().map(|number| number * size)
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

    #[test]
    fn an_amount_is_the_same_however_it_is_written() {
        let resources = |cpu: Value, memory: &str| json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}});
        for (cpu, memory) in [(json!(1.5), "1Gi"), (json!("1500m"), "1024Mi"), (json!("1.5"), "1073741824")] {
            assert!(is_within(&resources(cpu, memory), &resources(json!("1500m"), "1Gi")));
        }
        assert!(is_within(&resources(json!(0.7), "1Gi"), &resources(json!("700m"), "1Gi")));
        assert!(!is_within(&resources(json!(2), "1Gi"), &resources(json!("1500m"), "1Gi")));
        assert!(!is_within(&resources(json!("1500m"), "1Gi"), &resources(json!("1500m"), "lots")));
    }
}
