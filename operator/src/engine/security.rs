//! What Kubernetes' restricted policy asks for.

use serde_json::{Value, json};

use super::merge::merge;

/// Who the engine runs as: an account that no image has.
const NOBODY: i64 = 65_532;

/// What holds for a whole pod unless its template says otherwise.
pub(super) fn of_pod() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": NOBODY,
        "runAsGroup": NOBODY,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// What the policy asks of every container, unless the container says otherwise itself.
pub(super) fn restrict(template: &mut Value) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in template.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mut restricted = json!({
                "name": container["name"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            });
            merge(&mut restricted, container);
            *container = restricted;
        }
    }
}
