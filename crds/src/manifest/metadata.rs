//! What a manifest is called.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::check::{Violation, Violations};
use crate::path::Path;

/// The parts of a manifest's metadata that mean something outside a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ObjectMeta")]
pub struct Metadata {
    /// The name: a DNS label of at most 63 characters, since pods and services are named after it.
    pub name: String,
    /// The namespace, if the manifest names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels, which mean nothing to us.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations; ours begin with `gritstone.dev/`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Every field that Kubernetes knows, so that what `kubectl get -o yaml` printed can be read again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectMeta {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(rename = "creationTimestamp")]
    _creation_timestamp: Option<IgnoredAny>,
    #[serde(rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: Option<IgnoredAny>,
    #[serde(rename = "deletionTimestamp")]
    _deletion_timestamp: Option<IgnoredAny>,
    #[serde(rename = "finalizers")]
    _finalizers: Option<IgnoredAny>,
    #[serde(rename = "generation")]
    _generation: Option<IgnoredAny>,
    #[serde(rename = "managedFields")]
    _managed_fields: Option<IgnoredAny>,
    #[serde(rename = "ownerReferences")]
    _owner_references: Option<IgnoredAny>,
    #[serde(rename = "resourceVersion")]
    _resource_version: Option<IgnoredAny>,
    #[serde(rename = "selfLink")]
    _self_link: Option<IgnoredAny>,
    #[serde(rename = "uid")]
    _uid: Option<IgnoredAny>,
}

impl From<ObjectMeta> for Metadata {
    fn from(meta: ObjectMeta) -> Self {
        Self { name: meta.name, namespace: meta.namespace, labels: meta.labels, annotations: meta.annotations }
    }
}

impl Metadata {
    /// Everything that makes no sense in it.
    pub fn validate(&self) -> Vec<Violation> {
        let mut found = Violations::default();
        let at = Path::root().field("metadata");
        if let Err(message) = dns_label(&self.name) {
            found.add(at.field("name"), message);
        }
        if let Some(Err(message)) = self.namespace.as_deref().map(dns_label) {
            found.add(at.field("namespace"), message);
        }
        found.into_vec()
    }
}

/// A name in RFC 1123's sense without dots.
fn dns_label(name: &str) -> Result<(), String> {
    if is_label(name) {
        return Ok(());
    }
    Err(format!("`{name}` is not a DNS label: 1 to 63 of a-z, 0-9 and `-`, neither first nor last a `-`{}", hint(name)))
}

/// A name in RFC 1123's sense, dots allowed: what most of Kubernetes' own objects may be called.
pub(crate) fn dns_subdomain(name: &str) -> Result<(), String> {
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!("`{name}` is not a DNS name: labels of a-z, 0-9 and `-`, joined by dots, at most 253{}", hint(name)))
}

fn is_label(name: &str) -> bool {
    let allowed = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (1..=63).contains(&name.len()) && allowed && !name.starts_with('-') && !name.ends_with('-')
}

/// The name put right, when lower case and dashes are enough for that.
fn hint(name: &str) -> String {
    let dashed: String =
        name.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    if is_label(&dashed) { format!("; say {dashed}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for name in ["a", "mail-2", "0", &"x".repeat(63)] {
            assert_eq!(dns_label(name), Ok(()), "{name}");
        }
        for (name, expected) in [
            ("", "1 to 63"),
            ("Mail_Worker", "say mail-worker"),
            ("mail.slow", "say mail-slow"),
            ("-a", "neither first nor last"),
            (&"x".repeat(64), "1 to 63"),
        ] {
            let message = dns_label(name).expect_err(name);
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!(dns_subdomain("app.db"), Ok(()));
        assert!(dns_subdomain("app..db").is_err());
    }
}
