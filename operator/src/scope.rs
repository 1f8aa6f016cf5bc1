//! Where the operator looks after objects.

use k8s_openapi::NamespaceResourceScope;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};

/// One namespace, or all of them. Each has watches and controllers of its own; what is known of databases is shared by all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The namespace of that name.
    Namespace(String),
    /// Every namespace of the cluster.
    Everywhere,
}

impl Scope {
    /// Whether objects of that namespace are looked after here.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        match self {
            Scope::Namespace(own) => own == namespace,
            Scope::Everywhere => true,
        }
    }

    /// The objects of a kind here.
    pub(crate) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
            Scope::Everywhere => Api::all(client.clone()),
        }
    }

    /// The same of a kind that is known by name alone.
    pub(crate) fn api_of(&self, client: &Client, resource: &ApiResource) -> Api<DynamicObject> {
        match self {
            Scope::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            Scope::Everywhere => Api::all_with(client.clone(), resource),
        }
    }

    /// What a controller is called among those of all scopes.
    pub(crate) fn name(&self, controller: &str) -> String {
        match self {
            Scope::Namespace(namespace) => format!("{controller} of {namespace}"),
            Scope::Everywhere => controller.to_owned(),
        }
    }
}
