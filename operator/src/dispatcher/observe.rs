//! What a Dispatcher depends on and doesn't make.

use gritstone_crds::kinds::Dispatcher;
use kube::Error;

use crate::context::Context;
use crate::database::{Standing, User};
use crate::engine::Role;
use crate::owned::live;

/// What was found.
pub(super) struct Observed {
    /// How the database stands; none when the manifest names none.
    pub(super) database: Option<Standing>,
    /// What stands for its address. While that can't be read, what the pods were made with: they keep to it.
    pub(super) digest: Option<String>,
}

/// Looks for the database that the manifest names, and asks for its tables if the manifest does: they are brought up to date before the
/// database counts as reachable. Pods wait for them by themselves.
pub(super) async fn observe(dispatcher: &Dispatcher, context: &Context) -> Result<Observed, Error> {
    let user = User::of(dispatcher);
    let database = match &dispatcher.spec.database {
        None => {
            context.databases.forget(&user);
            None
        }
        Some(database) => Some(context.databases.look(&user, &database.secret_ref, dispatcher.spec.migrate).await?),
    };
    let known = database.as_ref().and_then(|standing| standing.digest.clone());
    let digest = match known {
        Some(digest) => Some(digest),
        // Nobody else writes it, so as it was seen last is as it is.
        None => live(context, &Role::Dispatcher.deployment(dispatcher), |_| true).await?.and_then(|live| live.digest),
    };
    Ok(Observed { database, digest })
}
