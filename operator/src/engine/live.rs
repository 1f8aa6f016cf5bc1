//! A Deployment as it is, as far as anything depends on it.

use kube::core::DynamicObject;

use super::{Rollout, pod};
use crate::scaler::deployment::is_scaled;
use crate::stale::number;

/// What is asked of a Deployment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// Its version.
    pub(crate) version: Option<u64>,
    /// How far its pods have come.
    pub(crate) rollout: Rollout,
    /// Whether how many there are to be is the scaler's to say.
    pub(crate) is_scaled: bool,
    /// What stands for the database's address in its pods.
    pub(crate) digest: Option<String>,
}

impl Live {
    /// Of a Deployment as the API server has it.
    pub(crate) fn of(deployment: &DynamicObject) -> Self {
        let metadata = &deployment.metadata;
        Self {
            version: number(metadata.resource_version.as_deref()),
            rollout: Rollout::of(metadata.generation, &deployment.data),
            is_scaled: is_scaled(metadata.managed_fields.as_deref().unwrap_or_default()),
            digest: pod::database_digest(&deployment.data),
        }
    }
}
