//! What a Dispatcher depends on and doesn't make.

use gritstone_crds::kinds::Dispatcher;
use kube::Error;

use crate::context::Context;
use crate::database::{Standing, User};

/// Looks for the database that the manifest names, and asks for its tables if the manifest does: they are brought up to date before the
/// database counts as reachable. Pods wait for them by themselves.
pub(super) async fn observe(dispatcher: &Dispatcher, context: &Context) -> Result<Option<Standing>, Error> {
    let user = User::of(dispatcher);
    let Some(database) = &dispatcher.spec.database else {
        context.databases.forget(&user);
        return Ok(None);
    };
    context.databases.look(&user, &database.secret_ref, dispatcher.spec.migrate).await.map(Some)
}
