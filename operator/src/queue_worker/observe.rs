//! What a QueueWorker depends on and doesn't make.

use gritstone_crds::kinds::QueueWorker;
use kube::Error;

use crate::context::Context;
use crate::database::{Standing, User};
use crate::engine::{Live, Role};
use crate::owned::live;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    /// How the database stands; none when the manifest names none.
    pub(super) database: Option<Standing>,
    /// The Deployment, if there is one and something of it decides what it should be.
    pub(super) live: Option<Live>,
}

impl Observed {
    /// What stands for the database's address. While that can't be read, what the pods were made with: they keep to it.
    pub(super) fn digest(&self) -> Option<String> {
        let known = self.database.as_ref().and_then(|standing| standing.digest.clone());
        known.or_else(|| self.live.as_ref().and_then(|live| live.digest.clone()))
    }
}

/// Looks for the database that the manifest names, and for the Deployment.
pub(super) async fn observe(worker: &QueueWorker, context: &Context) -> Result<Observed, Error> {
    let user = User::of(worker);
    let database = match &worker.spec.database {
        None => {
            context.databases.forget(&user);
            None
        }
        // Making the tables is for a Dispatcher to ask.
        Some(database) => Some(context.databases.look(&user, &database.secret_ref, false).await?),
    };
    let is_known = database.as_ref().is_some_and(|standing| standing.digest.is_some());
    let scales = worker.spec.autoscaling.is_some();
    let live = if scales || !is_known {
        // A number that is the scaler's stays so until this operator gives it back, and knows that it did. One that isn't yet is taken
        // over as it is: somebody may have changed it a moment ago, and would see it undone.
        live(context, &Role::Worker.deployment(worker), |live| !scales || live.is_scaled).await?
    } else {
        None
    };
    Ok(Observed { database, live })
}
