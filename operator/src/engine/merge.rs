//! One pod template over another, as Kubernetes merges them.

use serde_json::Value;

/// The lists of a pod template whose elements have names, and the fields that name them (`x-kubernetes-patch-merge-key`).
fn key_of(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "ports" => Some("containerPort"),
        "hostAliases" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

/// `over` on top of `base`: objects field by field, named elements one by one, everything else replaced. A null takes away.
pub(super) fn merge(base: &mut Value, over: &Value) {
    merge_field("", base, over);
}

fn merge_field(name: &str, base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                match base.get_mut(name) {
                    _ if value.is_null() => drop(base.remove(name)),
                    Some(under) => merge_field(name, under, value),
                    None => drop(base.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(base), Value::Array(over)) if key_of(name).is_some() => {
            let key = key_of(name).unwrap_or_default();
            for element in over {
                match base.iter_mut().find(|under| under.get(key).is_some() && under.get(key) == element.get(key)) {
                    Some(under) => merge_field("", under, element),
                    None => base.push(element.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn named_elements_are_merged_and_others_replaced() {
        let mut base = json!({"spec": {
            "containers": [{"name": "a", "image": "one", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}]}],
            "tolerations": [{"key": "old"}],
            "nodeSelector": {"disk": "ssd"},
        }});
        merge(
            &mut base,
            &json!({"spec": {
                "containers": [{"name": "b"}, {"name": "a", "args": ["z"], "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]}],
                "tolerations": [{"key": "new"}],
                "nodeSelector": {"disk": null, "zone": "a"},
            }}),
        );
        assert_eq!(
            base,
            json!({"spec": {
                "containers": [
                    {"name": "a", "image": "one", "args": ["z"], "env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]},
                    {"name": "b"},
                ],
                "tolerations": [{"key": "new"}],
                "nodeSelector": {"zone": "a"},
            }})
        );
    }
}
