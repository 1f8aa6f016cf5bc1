//! How often the number of workers was changed, and why.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::autoscale::Reason;

/// Why there are more, or fewer.
const BOTH: [&str; 7] = ["Load", "ReadyJobs", "Latency", "Work", "MaxReplicas", "ConnectionBudget", "MinReplicas"];
/// Why there are only ever fewer.
const FEWER: [&str; 2] = ["Idle", "ScaleDownDelay"];

/// Changes of the number of workers, of all QueueWorkers together.
#[derive(Clone, Debug)]
pub(crate) struct Scalings(Family<Labels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    direction: &'static str,
    reason: &'static str,
}

impl Scalings {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        registry.register(
            "gritstone_operator_scalings",
            "Changes of the number of workers of QueueWorkers that scale by load, by direction and reason",
            family.clone(),
        );
        // There from the start, at zero: what comes later has no beginning to count from.
        let up = BOTH.map(|reason| ("up", reason));
        let down = BOTH.iter().chain(&FEWER).map(|reason| ("down", *reason));
        for (direction, reason) in up.into_iter().chain(down) {
            drop(family.get_or_create(&Labels { direction, reason }));
        }
        Self(family)
    }

    /// The number was changed.
    pub(super) fn count(&self, from: u32, to: u32, reason: &Reason) {
        let direction = if to > from { "up" } else { "down" };
        self.0.get_or_create(&Labels { direction, reason: reason.as_str() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use std::time::Duration;

    #[test]
    fn every_reason_for_a_change_is_there_from_the_start() {
        let mut registry = Registry::default();
        let scalings = Scalings::new(&mut registry);
        let text = || {
            let mut text = String::new();
            encode(&mut text, &registry).expect("text");
            text
        };
        let series = text().lines().count();
        let (arrivals, ready, run_time, oldest) = (1.0, 1, Duration::ZERO, Duration::ZERO);
        let both = [
            Reason::Load { arrivals, ready, run_time },
            Reason::ReadyJobs { ready },
            Reason::Latency { oldest },
            Reason::Work,
            Reason::MaxReplicas { needed: 1 },
            Reason::ConnectionBudget { needed: 1 },
            Reason::MinReplicas,
        ];
        for reason in &both {
            scalings.count(1, 2, reason);
            scalings.count(2, 1, reason);
        }
        for reason in [Reason::Idle, Reason::ScaleDownDelay { enough: 1 }] {
            scalings.count(2, 1, &reason);
        }
        let text = text();
        assert_eq!(text.lines().count(), series, "{text}");
        let counts = text.lines().filter(|line| line.starts_with("gritstone_operator_scalings_total{"));
        assert!(counts.clone().count() == 16 && counts.into_iter().all(|line| line.ends_with(" 1")), "{text}");
    }
}
