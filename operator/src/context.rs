//! What every reconciliation has at hand.

use std::sync::Arc;

use kube::Client;

use crate::Instruments;
use crate::backoff::Backoff;
use crate::cron_schedule::Schedules;
use crate::database::{Databases, User};
use crate::owned::Owned;
use crate::pods::Pods;
use crate::recorder::Events;
use crate::scaler::Scalers;
use crate::stale::Written;

/// What the operator is told when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The namespace it looks after; all of them if none is named.
    pub namespace: Option<String>,
    /// The image of the workers and dispatchers, which has `gritstone` at `/gritstone`.
    pub image: String,
    /// What tells this cluster's processes from others' in a database that both use: the UID of the namespace `kube-system`.
    pub cluster_id: String,
}

/// The client, and what doesn't change while the operator runs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) events: Events,
    pub(crate) backoff: Backoff,
    pub(crate) databases: Arc<Databases>,
    pub(crate) pods: Pods,
    pub(crate) scalers: Scalers,
    pub(crate) instruments: Instruments,
    pub(crate) owned: Owned,
    pub(crate) written: Written,
    pub(crate) schedules: Arc<Schedules>,
}

impl Context {
    pub(crate) fn new(client: Client, settings: Settings, instruments: Instruments) -> Self {
        let events = Events::new(client.clone());
        let databases = Databases::new(client.clone(), settings.cluster_id.clone());
        let scalers = Scalers::new(&instruments.metrics);
        Self {
            client,
            settings,
            events,
            backoff: Backoff::default(),
            databases,
            pods: Pods::default(),
            scalers,
            instruments,
            owned: Owned::default(),
            written: Written::default(),
            schedules: Arc::default(),
        }
    }

    /// An object is gone: nothing is kept of it.
    pub(crate) fn forget(&self, user: &User) {
        self.backoff.succeeded(&user.to_string());
        self.scalers.dismiss(user);
        self.databases.forget(user);
    }

    /// The name of a controller among those of all namespaces that are looked after.
    pub(crate) fn scoped(&self, controller: &str) -> String {
        match &self.settings.namespace {
            Some(namespace) => format!("{controller} of {namespace}"),
            None => controller.to_owned(),
        }
    }
}
