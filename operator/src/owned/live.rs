//! Deployments, from memory where that is enough.

use kube::Error;
use kube::api::{Api, DynamicObject};

use super::{Key, Part};
use crate::context::Context;
use crate::engine::Live;

/// A Deployment as it is; as it was seen last, if it `is_enough` to know that.
///
/// What this operator wrote itself has been seen, so only what others do may be missed for a moment. One that has not been seen at all is
/// asked for: somebody may have taken its label away, and it is not to be made as if it were new.
///
/// # Errors
/// Those of the API server, where it is asked.
pub(crate) async fn live(
    context: &Context,
    key: &Key,
    is_enough: impl FnOnce(&Live) -> bool,
) -> Result<Option<Live>, Error> {
    if let Some(Part::Deployment(live)) = context.owned.find(key)
        && is_enough(&live)
    {
        return Ok(Some(live));
    }
    let deployments: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &key.namespace, &key.kind.resource());
    Ok(deployments.get_opt(&key.name).await?.as_ref().map(Live::of))
}
