//! The connections to the database that loops have of their own.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

type ByLoop = Family<[(&'static str, &'static str); 1], Counter>;

/// Connections to the database.
#[derive(Clone, Debug)]
pub struct Connections {
    reconnects: ByLoop,
    errors: ByLoop,
}

/// The connection of one loop.
#[derive(Clone, Debug)]
pub struct Connection {
    reconnects: Counter,
    errors: Counter,
}

impl Connections {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let connections = Connections { reconnects: ByLoop::default(), errors: ByLoop::default() };
        let help = "Connections to the database that were made again, by the loop that lost its own";
        registry.register("gritstone_database_reconnects", help, connections.reconnects.clone());
        let help = "Statements and connections that failed, by the loop that waits and tries again";
        registry.register("gritstone_database_errors", help, connections.errors.clone());
        connections
    }

    /// The connection of a loop of that name.
    pub fn of(&self, name: &'static str) -> Connection {
        let labels = [("loop", name)];
        Connection {
            reconnects: self.reconnects.get_or_create_owned(&labels),
            errors: self.errors.get_or_create_owned(&labels),
        }
    }
}

impl Connection {
    /// It was lost, and has been made again.
    pub fn reconnected(&self) {
        self.reconnects.inc();
    }

    /// A statement failed, or it can't be made; the loop waits.
    pub fn failed(&self) {
        self.errors.inc();
    }
}
