//! Who names a database.

use std::fmt;

use kube::{Resource, ResourceExt as _};

/// An object that names a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct User {
    kind: String,
    namespace: String,
    name: String,
}

impl User {
    /// The object of that name.
    pub(crate) fn new(kind: &str, namespace: &str, name: &str) -> Self {
        User { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// That object.
    pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        User {
            kind: K::kind(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
