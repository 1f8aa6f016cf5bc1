//! The steps that write.

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::{Error, Ours, Reported};
use crate::apply::{Wanted, apply};
use crate::context::Context;
use crate::owned::Part;
use crate::{FIELD_MANAGER, events};

/// How applying went.
pub(crate) enum Made {
    /// The objects are as they should be: this is what is asked of them, in the same order.
    Applied(Vec<Part>),
    /// The API server takes no object like this, in its words. Trying the same again is no use until something changes.
    Refused(String),
}

/// Makes what `object` owns be as it is wanted.
pub(crate) async fn make<K: Ours>(object: &K, wanted: &[&Wanted], context: &Context) -> Result<Made, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let mut applied = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        match apply(context, &namespace, wanted).await {
            Ok(part) => applied.push(part),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                return Ok(Made::Refused(format!("the API server refused: {}", status.message)));
            }
            Err(source) => {
                return Err(Error::Apply { object: object.place(), kind: wanted.kind.as_str().to_owned(), source });
            }
        }
    }
    Ok(Made::Applied(applied))
}

/// Writes the status if it is another than before, and an Event for each condition that changed.
pub(crate) async fn report<K: Ours>(object: &K, status: &K::Status, context: &Context) -> Result<(), Error> {
    if object.status() == Some(status) {
        return Ok(());
    }
    let namespace = object.namespace().unwrap_or_default();
    let Some(written) = write_status::<K>(&namespace, &object.name_any(), status, context).await? else {
        return Ok(());
    };
    context.written.note(&object.place(), written.meta().resource_version.as_deref());
    let before = object.status().map(Reported::conditions).unwrap_or_default();
    events::publish(&context.events, &object.object_ref(&()), before, status.conditions()).await;
    Ok(())
}

/// Writes a status. None when the object was deleted meanwhile.
pub(crate) async fn write_status<K: Ours>(
    namespace: &str,
    name: &str,
    status: &K::Status,
    context: &Context,
) -> Result<Option<K>, Error> {
    let objects: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match objects.patch_status(name, &parameters, &Patch::Apply(&patch)).await {
        Ok(written) => Ok(Some(written)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(source) => Err(Error::Status { object: format!("{} {namespace}/{name}", K::kind(&())), source }),
    }
}
