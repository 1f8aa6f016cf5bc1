//! What a QueueWorker depends on and doesn't make.

use gritstone_crds::kinds::QueueWorker;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Error, ResourceExt as _};

use crate::context::Context;
use crate::database::{Standing, User};
use crate::engine::{Role, database_digest};

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    /// How the database stands; none when the manifest names none.
    pub(super) database: Option<Standing>,
    /// The Deployment, if there is one and something of it decides what it should be.
    pub(super) deployment: Option<Box<Deployment>>,
}

impl Observed {
    /// What stands for the database's address. While that can't be read, what the pods were made with: they keep to it.
    pub(super) fn digest(&self) -> Option<String> {
        let known = self.database.as_ref().and_then(|standing| standing.digest.clone());
        known.or_else(|| self.deployment.as_deref().and_then(database_digest))
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
    let deployment = if worker.spec.autoscaling.is_some() || !is_known {
        let deployments: Api<Deployment> =
            Api::namespaced(context.client.clone(), &worker.namespace().unwrap_or_default());
        deployments.get_opt(&Role::Worker.object(&worker.name_any())).await?.map(Box::new)
    } else {
        None
    };
    Ok(Observed { database, deployment })
}
