//! What a QueueWorker depends on and doesn't make.

use gritstone_crds::kinds::QueueWorker;
use kube::Error;

use crate::context::Context;
use crate::database::{Standing, User};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// How the database stands; none when the manifest names none.
    pub(super) database: Option<Standing>,
}

/// Looks for the database that the manifest names.
pub(super) async fn observe(worker: &QueueWorker, context: &Context) -> Result<Observed, Error> {
    let user = User::of(worker);
    let Some(database) = &worker.spec.database else {
        context.databases.forget(&user);
        return Ok(Observed { database: None });
    };
    // Making the tables is for a Dispatcher to ask.
    let standing = context.databases.look(&user, &database.secret_ref, false).await?;
    Ok(Observed { database: Some(standing) })
}
