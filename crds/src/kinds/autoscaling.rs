//! How many workers, by how long jobs wait.

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::text::Duration;

/// Bounds and aims of the operator's scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::autoscaling))]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The fewest workers, 0 to `maxReplicas`; with 0 there are none while there is nothing to do. Default 1.
    #[serde(default = "Autoscaling::one")]
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 10000)))]
    pub min_replicas: i32,
    /// The most workers, 1 to 10,000. Required.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 10000)))]
    pub max_replicas: i32,
    /// How long a ready job should wait at most, 100ms to 1d. Default 30s.
    #[serde(default = "Autoscaling::default_target_latency")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("100ms", "1d")))]
    pub target_latency: Duration,
    /// How many ready jobs call for one worker while run times are not known yet, 1 to 1,000,000. Default 100.
    #[serde(default = "Autoscaling::default_ready_jobs_per_replica")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000000)))]
    pub ready_jobs_per_replica: i32,
    /// How long fewer workers must have been enough before there are fewer, up to 1d. Default 5m.
    #[serde(default = "Autoscaling::default_scale_down_delay")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "1d")))]
    pub scale_down_delay: Duration,
    /// The most database connections that all these workers may hold together, 1 to 100,000. Default no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 100000)))]
    pub max_database_connections: Option<i32>,
}

impl Autoscaling {
    const fn one() -> i32 {
        1
    }

    const fn default_target_latency() -> Duration {
        Duration::from_secs(30)
    }

    const fn default_ready_jobs_per_replica() -> i32 {
        100
    }

    const fn default_scale_down_delay() -> Duration {
        Duration::from_mins(5)
    }

    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        found.number(at.field("maxReplicas"), self.max_replicas, 1..=10_000);
        found.number(at.field("minReplicas"), self.min_replicas, 0..=10_000);
        if self.min_replicas > self.max_replicas {
            let message = format!(
                "{} is more than maxReplicas, {}: lower one or raise the other",
                self.min_replicas, self.max_replicas
            );
            found.add(at.field("minReplicas"), message);
        }
        let day = Duration::from_mins(24 * 60);
        found.duration(at.field("targetLatency"), self.target_latency, Duration::from_millis(100)..=day);
        found.number(at.field("readyJobsPerReplica"), self.ready_jobs_per_replica, 1..=1_000_000);
        found.duration(at.field("scaleDownDelay"), self.scale_down_delay, Duration::ZERO..=day);
        if let Some(connections) = self.max_database_connections {
            found.number(at.field("maxDatabaseConnections"), connections, 1..=100_000);
        }
    }
}
