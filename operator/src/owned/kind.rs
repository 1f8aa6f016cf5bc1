//! Which objects are watched.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that ours are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Deployment,
    PodDisruptionBudget,
    CronSchedule,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Deployment, Self::PodDisruptionBudget, Self::CronSchedule];

    /// As the API calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::CronSchedule => "CronSchedule",
        }
    }

    /// With its group and version: `apps/v1`.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::Deployment => "apps/v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::CronSchedule => gritstone_crds::API_VERSION,
        }
    }

    /// Where it is in the API.
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version) = self.api_version().split_once('/').unwrap_or_default();
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, self.as_str()))
    }
}
