//! Whether this operator works or stands by.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// 1 while it leads, by the Lease's name.
#[derive(Clone, Debug)]
pub struct Leading(Family<Labels, Gauge>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    name: String,
}

impl Leading {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Gauge>::default();
        registry.register(
            "leader_election_master_status",
            "1 while this operator leads, 0 while it stands by",
            family.clone(),
        );
        Self(family)
    }

    /// Says which it is, of the operators that take turns by this Lease.
    pub fn set(&self, lease: &str, leads: bool) {
        self.0.get_or_create(&Labels { name: lease.to_owned() }).set(leads.into());
    }
}
