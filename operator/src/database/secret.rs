//! A key of a Secret, and what is under it.

use std::time::Duration;

use gritstone_crds::kinds::SecretKeyRef;
use gritstone_store::DatabaseUrl;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};

use super::address::address;
use super::fault::DatabaseFault;
use super::files::Files;

/// How long the API server may take to hand out a Secret.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where an address is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) key: String,
}

impl Source {
    pub(super) fn new(namespace: &str, reference: &SecretKeyRef) -> Self {
        Source { namespace: namespace.to_owned(), name: reference.name.clone(), key: reference.key.clone() }
    }
}

/// What was found there. Of the value itself nothing is kept but the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) address: Result<DatabaseUrl, DatabaseFault>,
    /// What changes when the value does, and tells nothing of it. None when there is no value.
    pub(super) digest: Option<String>,
}

/// Reads the Secret, and of it the one key. `files` says which files its value may name.
pub(super) async fn read(client: &Client, source: &Source, files: Files) -> Result<Found, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &source.namespace);
    let secret = match tokio::time::timeout(PATIENCE, secrets.get_opt(&source.name)).await {
        Ok(answer) => answer?,
        Err(_) => {
            let words = format!("the API server did not hand out the Secret {} within {PATIENCE:?}", source.name);
            return Err(kube::Error::Service(words.into()));
        }
    };
    let (name, key) = (source.name.clone(), source.key.clone());
    let Some(secret) = secret else {
        return Ok(Found { address: Err(DatabaseFault::NoSecret { name, key }), digest: None });
    };
    let value = secret.data.as_ref().and_then(|data| data.get(&source.key));
    let Some(value) = value.filter(|value| !value.0.is_empty()) else {
        return Ok(Found { address: Err(DatabaseFault::NoKey { name, key }), digest: None });
    };
    let digest = digest(secret.metadata.uid.as_deref().unwrap_or_default(), &value.0);
    Ok(Found { address: address(source, &value.0, files), digest: Some(digest) })
}

/// Salted with the UID of the Secret, which only those know who may read it: nobody else can try passwords on it, though whoever may see pods
/// sees the digest. So a Secret that is made anew has another, even with the same value, and its pods are rolled.
fn digest(uid: &str, value: &[u8]) -> String {
    let digest = Sha256::new().chain_update(uid).chain_update([0]).chain_update(value).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_changes_with_the_value_and_with_the_secret() {
        let first = digest("one", b"postgres://db/app");
        assert_eq!(first, digest("one", b"postgres://db/app"));
        assert_ne!(first, digest("one", b"postgres://db/apq"));
        assert_ne!(first, digest("two", b"postgres://db/app"));
        assert_eq!(first.len(), 16);
    }
}
