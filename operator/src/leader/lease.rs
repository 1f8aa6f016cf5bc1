//! The Lease in the API server.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;

use super::record::Record;
use crate::FIELD_MANAGER;

/// A Lease as it was read, with the version that the next write builds on: whoever writes meanwhile makes ours a conflict.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) record: Record,
    spec: LeaseSpec,
    version: Option<String>,
}

impl Read {
    fn new(lease: Lease) -> Self {
        let spec = lease.spec.unwrap_or_default();
        let record = Record {
            holder: spec.holder_identity.clone().filter(|holder| !holder.is_empty()),
            duration: Duration::from_secs(spec.lease_duration_seconds.unwrap_or_default().max(0).unsigned_abs().into()),
            renewed: spec.renew_time.as_ref().map(|time| time.0.to_string()).unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
        };
        Self { record, spec, version: lease.metadata.resource_version }
    }

    /// The Lease as `holder` takes or renews it.
    pub(super) fn held_by(&self, holder: &str, duration: Duration) -> Read {
        let now = MicroTime(Timestamp::now());
        let is_ours = self.record.holder.as_deref() == Some(holder);
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: duration.as_secs().try_into().ok(),
            acquire_time: if is_ours { self.spec.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(self.record.transitions + i32::from(!is_ours && self.version.is_some())),
            ..self.spec.clone()
        };
        Read { spec, ..self.clone() }
    }

    /// The Lease given back.
    pub(super) fn given_back(&self) -> Read {
        let spec = LeaseSpec { holder_identity: None, acquire_time: None, renew_time: None, ..self.spec.clone() };
        Read { spec, ..self.clone() }
    }
}

/// Reads it. Nobody holds one that isn't there.
pub(super) async fn read(leases: &Api<Lease>, name: &str) -> Result<Read, kube::Error> {
    Ok(Read::new(leases.get_opt(name).await?.unwrap_or_default()))
}

/// Writes it, if nobody has written it since it was read; None if somebody has.
pub(super) async fn write(leases: &Api<Lease>, name: &str, read: &Read) -> Result<Option<Read>, kube::Error> {
    let metadata =
        ObjectMeta { name: Some(name.to_owned()), resource_version: read.version.clone(), ..ObjectMeta::default() };
    let lease = Lease { metadata, spec: Some(read.spec.clone()) };
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let written = match &read.version {
        None => leases.create(&parameters, &lease).await,
        Some(_) => leases.replace(name, &parameters, &lease).await,
    };
    match written {
        Ok(lease) => Ok(Some(Read::new(lease))),
        // 409: written or made meanwhile; 404: deleted meanwhile.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}
