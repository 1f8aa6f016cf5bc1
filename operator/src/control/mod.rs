//! What looking after an object is made of, whichever its kind.
//!
//! A kind has its own `reconcile`, which goes through the five steps. `drive` calls it whenever something changed, and again after an
//! error; `write` has the two steps that write: [`make`] applies objects, [`report`] the status and its Events.

mod drive;
mod write;

use std::fmt::Debug;

use gritstone_crds::kinds::{Condition, CronScheduleStatus, DispatcherStatus, QueueWorkerStatus, RecurringTaskStatus};
use k8s_openapi::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use drive::{Again, LOOK, drive};
pub(crate) use write::{Made, make, report, write_status};

/// Why an object could not be looked after this time. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("reading the Secret or the Deployment of {object} failed: {source}")]
    Observe { object: String, source: kube::Error },
    #[error("applying the {kind} of {object} failed: {source}")]
    Apply { object: String, kind: String, source: kube::Error },
    #[error("writing the finalizers of {object} failed: {source}")]
    Hold { object: String, source: kube::Error },
    #[error("writing the status of {object} failed: {source}")]
    Status { object: String, source: kube::Error },
    #[error("looking after {object} took longer than {seconds} s and was given up")]
    TooLong { object: String, seconds: u64 },
    #[error("looking after {object} ended by a mistake of the operator's (the log says where): please report it")]
    Panicked { object: String },
}

/// An object of one of our kinds.
pub(crate) trait Ours:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + HasStatus<Status: Reported>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What it is called in logs and errors: `QueueWorker shop/mail`.
    fn place(&self) -> String {
        format!("{} {}/{}", Self::kind(&()), self.namespace().unwrap_or_default(), self.name_any())
    }
}

impl<K> Ours for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + HasStatus<Status: Reported>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// The status of an object of ours.
pub(crate) trait Reported: Clone + Default + PartialEq + Serialize + Send + Sync {
    /// What it says for people.
    fn conditions(&self) -> &[Condition];
}

macro_rules! reported {
    ($($status:ty),*) => {$(
        impl Reported for $status {
            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }
        }
    )*};
}

reported!(QueueWorkerStatus, DispatcherStatus, RecurringTaskStatus, CronScheduleStatus);
