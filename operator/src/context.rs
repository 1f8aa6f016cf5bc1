//! What every reconciliation has at hand.

use std::sync::Arc;

use kube::Client;

use crate::Instruments;
use crate::backoff::Backoff;
use crate::bell::Bells;
use crate::cron_schedule::Schedules;
use crate::database::{Databases, User};
use crate::owned::Owned;
use crate::pods::Pods;
use crate::pull::Pull;
use crate::recorder::Events;
use crate::scaler::Scalers;
use crate::scope::Scope;
use crate::stale::Written;

/// What the operator is told when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What it looks after: some namespaces, each once, or everything.
    pub scopes: Vec<Scope>,
    /// The image of the workers and dispatchers, which has `gritstone` at `/gritstone`.
    pub image: String,
    /// How that is pulled.
    pub pull: Pull,
    /// What tells this cluster's processes from others' in a database that both use: the UID of the namespace `kube-system`.
    pub cluster_id: String,
}

/// What the scopes of an operator have in common: there is one look at a database, whoever needs it.
pub(crate) struct Common {
    pub(crate) client: Client,
    pub(crate) instruments: Instruments,
    pub(crate) bells: Arc<Bells>,
    pub(crate) databases: Arc<Databases>,
    pub(crate) schedules: Arc<Schedules>,
}

impl Common {
    pub(crate) fn new(client: Client, settings: &Settings, instruments: Instruments) -> Self {
        let bells = Arc::<Bells>::default();
        let databases = Databases::new(client.clone(), settings, bells.clone());
        let schedules = Schedules::new(bells.clone());
        Self { client, instruments, bells, databases, schedules }
    }
}

/// The client, and what doesn't change while the operator runs; watches and what follows from them are one scope's own.
pub(crate) struct Context {
    pub(crate) scope: Scope,
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) events: Events,
    pub(crate) backoff: Backoff,
    pub(crate) bells: Arc<Bells>,
    pub(crate) databases: Arc<Databases>,
    pub(crate) pods: Pods,
    pub(crate) scalers: Scalers,
    pub(crate) instruments: Instruments,
    pub(crate) owned: Owned,
    pub(crate) written: Written,
    pub(crate) schedules: Arc<Schedules>,
}

impl Context {
    pub(crate) fn new(scope: Scope, settings: Settings, common: &Common) -> Self {
        Self {
            scope,
            client: common.client.clone(),
            settings,
            events: Events::new(common.client.clone()),
            backoff: Backoff::default(),
            bells: common.bells.clone(),
            databases: common.databases.clone(),
            pods: Pods::default(),
            scalers: Scalers::new(&common.instruments.metrics),
            instruments: common.instruments.clone(),
            owned: Owned::default(),
            written: Written::default(),
            schedules: common.schedules.clone(),
        }
    }

    /// An object is to be looked at again.
    pub(crate) fn touch(&self, user: &User) {
        self.bells.ring(user.kind(), user.namespace(), user.name());
    }

    /// An object is gone: nothing is kept of it.
    pub(crate) fn forget(&self, user: &User) {
        self.backoff.succeeded(&user.to_string());
        self.scalers.dismiss(user);
        self.databases.forget(user);
    }
}
