//! Which database: a key of a Secret.

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;

/// Where the address of the queue's database is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The Secret that holds it, in the manifest's namespace. Required.
    pub secret_ref: SecretKeyRef,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::secret_name()))]
    pub name: String,
    /// The key in it whose value is a URL (`postgres://`, `mysql://`). Default `uri`, which is what CloudNativePG writes.
    #[serde(default = "uri")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::secret_key()))]
    pub key: String,
}

fn uri() -> String {
    "uri".to_owned()
}

impl Database {
    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        let at = at.field("secretRef");
        let SecretKeyRef { name, key } = &self.secret_ref;
        if let Err(message) = crate::manifest::dns_subdomain(name) {
            found.add(at.field("name"), message);
        }
        // Kubernetes' own rule for the keys of a Secret.
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() || key.len() > 253 || !key.chars().all(allowed) {
            found
                .add(at.field("key"), format!("`{key}` is not the key of a Secret: letters, digits, `-`, `_` and `.`"));
        }
    }
}
