//! What a QueueWorker depends on and doesn't make.

use gritstone_crds::kinds::{QueueWorkerSpec, SecretKeyRef};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Error};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) database: DatabaseSecret,
}

/// The Secret with the database's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DatabaseSecret {
    /// It has the key.
    Found,
    /// There is none of that name.
    NoSecret(SecretKeyRef),
    /// It doesn't have the key, or nothing under it.
    NoKey(SecretKeyRef),
}

/// Reads the one Secret that the manifest names. Of what is in it nothing is kept.
pub(super) async fn observe(client: &Client, namespace: &str, spec: &QueueWorkerSpec) -> Result<Observed, Error> {
    let Some(database) = &spec.database else { return Ok(Observed { database: DatabaseSecret::Found }) };
    let reference = database.secret_ref.clone();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let database = match secrets.get_opt(&reference.name).await? {
        None => DatabaseSecret::NoSecret(reference),
        Some(secret) => {
            let value = secret.data.as_ref().and_then(|data| data.get(&reference.key));
            if value.is_some_and(|value| !value.0.is_empty()) {
                DatabaseSecret::Found
            } else {
                DatabaseSecret::NoKey(reference)
            }
        }
    };
    Ok(Observed { database })
}
