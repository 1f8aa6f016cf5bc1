//! Whether this operator works or stands by.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// 1 while it leads.
#[derive(Clone, Debug)]
pub struct Leading(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    name: &'static str,
}

impl Leading {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Gauge>::default();
        let gauge = family.get_or_create(&Labels { name: "gritstone-operator" }).clone();
        registry.register("leader_election_master_status", "1 while this operator leads, 0 while it stands by", family);
        Self(gauge)
    }

    /// Says which it is.
    pub fn set(&self, leads: bool) {
        self.0.set(leads.into());
    }
}
