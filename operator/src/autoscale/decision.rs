//! What was decided, and why.

use std::fmt;
use std::time::Duration;

/// How many workers there should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// So many.
    pub replicas: u32,
    /// Why.
    pub reason: Reason,
}

/// Why there should be so many workers, for a status, an Event, a metric's label.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// As many as the arrivals and the ready jobs need, by how long jobs run.
    Load {
        /// Jobs that arrive in a second.
        arrivals: f64,
        /// Jobs that can be claimed.
        ready: u64,
        /// How long a job runs.
        run_time: Duration,
    },
    /// As many as the ready jobs need where no run time is known yet.
    ReadyJobs {
        /// Jobs that can be claimed.
        ready: u64,
    },
    /// Twice the load's, since a job has been waiting for longer than it should.
    Latency {
        /// How long the oldest has been waiting.
        oldest: Duration,
    },
    /// There is a job or there will be one: at least one worker.
    Work,
    /// There is nothing to do.
    Idle,
    /// Fewer would be enough, but not for long enough yet.
    ScaleDownDelay {
        /// How many would be enough now.
        enough: u32,
    },
    /// More would be needed than `maxReplicas` lets there be.
    MaxReplicas {
        /// How many would be needed.
        needed: u32,
    },
    /// More would be needed than `maxDatabaseConnections` lets there be.
    ConnectionBudget {
        /// How many would be needed.
        needed: u32,
    },
    /// Fewer would be enough than `minReplicas` asks for.
    MinReplicas,
    /// The database could not be looked at lately, so nothing is changed.
    NoData,
}

impl Reason {
    /// A word in CamelCase, as conditions and Events have them.
    pub fn as_str(&self) -> &'static str {
        match self {
            Reason::Load { .. } => "Load",
            Reason::ReadyJobs { .. } => "ReadyJobs",
            Reason::Latency { .. } => "Latency",
            Reason::Work => "Work",
            Reason::Idle => "Idle",
            Reason::ScaleDownDelay { .. } => "ScaleDownDelay",
            Reason::MaxReplicas { .. } => "MaxReplicas",
            Reason::ConnectionBudget { .. } => "ConnectionBudget",
            Reason::MinReplicas => "MinReplicas",
            Reason::NoData => "NoData",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Load { arrivals, ready, run_time } => write!(
                f,
                "{arrivals:.1} jobs arrive in a second, {ready} are ready, and each runs for {:.3} s",
                run_time.as_secs_f64()
            ),
            Reason::ReadyJobs { ready } => write!(f, "{ready} jobs are ready; how long they run isn't known yet"),
            Reason::Latency { oldest } => {
                write!(f, "a job has been waiting for {:.0} s, longer than targetLatency", oldest.as_secs_f64())
            }
            Reason::Work => f.write_str("there is a job, or one is due soon"),
            Reason::Idle => f.write_str("there is nothing to do"),
            Reason::ScaleDownDelay { enough } => write!(f, "{enough} would be enough, but not for scaleDownDelay yet"),
            Reason::MaxReplicas { needed } => write!(f, "{needed} would be needed, more than maxReplicas"),
            Reason::ConnectionBudget { needed } => {
                write!(f, "{needed} would be needed, more than maxDatabaseConnections has connections for")
            }
            Reason::MinReplicas => f.write_str("minReplicas"),
            Reason::NoData => f.write_str("the database could not be looked at lately, so nothing is changed"),
        }
    }
}
