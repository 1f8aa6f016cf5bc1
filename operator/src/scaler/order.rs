//! What a task is told, and what it tells.

use gritstone_crds::kinds::{LastScaling, QueueWorkerSpec};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::autoscale::{Aims, Reason};
use crate::database::START_UP;
use crate::engine::Rollout;
use crate::owned::Key;

/// The database connections that a worker holds at most: one each for claims, completions and heartbeats, one that listens
/// (PostgreSQL), and its pool's four.
pub(crate) const CONNECTIONS: u32 = 8;

/// What there is to be scaled, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// The QueueWorker, for Events about it.
    pub(crate) object: ObjectReference,
    /// Its Deployment.
    pub(crate) deployment: Key,
    /// How far its pods have come.
    pub(crate) rollout: Rollout,
    /// By what to decide.
    pub(crate) aims: Aims,
    /// `maxDatabaseConnections`.
    pub(crate) connections: Option<u32>,
}

impl Order {
    /// For a worker with this spec; none when it doesn't ask to be scaled.
    pub(crate) fn of(
        spec: &QueueWorkerSpec,
        object: ObjectReference,
        deployment: Key,
        rollout: Rollout,
    ) -> Option<Self> {
        let autoscaling = spec.autoscaling?;
        let number = |number: i32| number.max(0).unsigned_abs();
        let aims = Aims {
            threads: number(spec.threads).max(1),
            min_replicas: number(autoscaling.min_replicas),
            max_replicas: number(autoscaling.max_replicas),
            target_latency: autoscaling.target_latency.into(),
            ready_jobs_per_replica: number(autoscaling.ready_jobs_per_replica).max(1),
            scale_down_delay: autoscaling.scale_down_delay.into(),
            start_up: START_UP,
        };
        let connections = autoscaling.max_database_connections.map(number);
        Some(Order { object, deployment, rollout, aims, connections })
    }
}

/// How scaling stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was decided yet.
    #[default]
    Starting,
    /// The load decides.
    Active,
    /// It would take more than `maxReplicas`.
    MaxReplicas,
    /// It would take more than `maxDatabaseConnections` has room for.
    ConnectionBudget,
    /// Nothing is known of the queue.
    NoData,
    /// Fewer would do, and every worker is at a job.
    Busy,
    /// Fewer would do, and some pods are not as they should be.
    Unsettled,
}

impl State {
    /// What a decision for this reason means.
    pub(super) fn of(reason: &Reason) -> Self {
        match reason {
            Reason::MaxReplicas { .. } => State::MaxReplicas,
            Reason::ConnectionBudget { .. } => State::ConnectionBudget,
            Reason::NoData => State::NoData,
            _ => State::Active,
        }
    }
}

/// What a task has to say for the status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// The last change that it made.
    pub(crate) last: Option<LastScaling>,
    /// How it stands.
    pub(crate) state: State,
}
