//! The databases of all objects that are looked after.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{StreamExt as _, iter};
use gritstone_crds::kinds::SecretKeyRef;
use gritstone_store::{DatabaseUrl, Store};
use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::demand::Demand;
use super::fault::DatabaseFault;
use super::files::Files;
use super::keeper::{Database, Looks};
use super::known::{Known, Standing};
use super::place::Place;
use super::secret::{Found, Source, read};
use super::user::User;
use crate::Settings;
use crate::bell::Bells;

/// How often Secrets are looked for that are due, and how many are read then at most, so many of them at a time.
const ROUND: Duration = Duration::from_secs(1);
const A_ROUND: usize = 50;
const AT_ONCE: usize = 8;

/// All databases that objects name, in whatever namespace: one for the whole operator.
pub(crate) struct Databases {
    client: Client,
    cluster_id: String,
    files: Files,
    known: Mutex<Known>,
    bells: Arc<Bells>,
}

impl Databases {
    /// None yet. `bells` are rung for those whose database stands otherwise than when they looked.
    pub(crate) fn new(client: Client, settings: &Settings, bells: Arc<Bells>) -> Arc<Self> {
        let (cluster_id, files) = (settings.cluster_id.clone(), Files::of(&settings.scopes));
        Arc::new(Databases { client, cluster_id, files, known: Mutex::default(), bells })
    }

    /// Reads the Secrets in use again and again, until `stop` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(ROUND)).await.is_some() {
            let due = self.known().due(A_ROUND);
            let reading = due.into_iter().map(|source| self.clone().read_again(source));
            let reading = iter(reading).buffer_unordered(AT_ONCE).collect::<()>();
            if stop.run_until_cancelled(reading).await.is_none() {
                return;
            }
        }
    }

    /// How the database stands that `user` names, who counts among its users from now on; `migrate` says whether it asks for the tables
    /// to be made. Doesn't wait for the database: when it stands otherwise, the user's bell is rung.
    ///
    /// # Errors
    /// Those of the API server, asked for a Secret that nothing is known of yet.
    pub(crate) async fn look(
        self: &Arc<Self>,
        user: &User,
        reference: &SecretKeyRef,
        migrate: bool,
    ) -> Result<Standing, kube::Error> {
        let source = Source::new(user.namespace(), reference);
        if let Some(standing) = self.known().join(user, &source, migrate) {
            return Ok(standing);
        }
        let found = read(&self.client, &source, self.files).await?;
        self.note(self.known(), &source, found);
        let standing = self.known().join(user, &source, migrate);
        Ok(standing.unwrap_or(Standing { reachable: Err(DatabaseFault::Connecting), digest: None }))
    }

    /// The database that `user` named when it [looked](Self::look).
    ///
    /// # Errors
    /// What keeps it from being used now.
    pub(crate) fn store(&self, user: &User) -> Result<Store, DatabaseFault> {
        let database = self.known().database_of(user).cloned().ok_or(DatabaseFault::Connecting)??;
        database.state().map(|()| database.store.clone())
    }

    /// Says what the workers of `user` claim. The looks at its database, if there is one.
    pub(crate) fn demand(&self, user: &User, demand: Demand) -> Option<Looks> {
        let known = self.known();
        let database = known.database_of(user)?.as_ref().ok()?;
        database.demand(user, Some(demand));
        Some(database.looks())
    }

    /// `user` is gone, or names no database any more.
    pub(crate) fn forget(&self, user: &User) {
        self.known().leave(user);
    }

    /// The databases that objects of a namespace name, each once: itself, or what keeps it from being used now.
    pub(crate) fn of(&self, namespace: &str) -> Vec<Result<Store, DatabaseFault>> {
        self.known().in_namespace(namespace)
    }

    /// Takes in what was read. Tells the users when it is something else than before.
    fn note(self: &Arc<Self>, mut known: MutexGuard<'_, Known>, source: &Source, found: Found) {
        if known.is_the_same(source, &found) {
            return;
        }
        let database = match &found.address {
            Ok(url) => self.open(&mut known, source, url),
            Err(fault) => Err(fault.clone()),
        };
        let changed = known.put(source, found, database);
        drop(known);
        self.ring(&changed);
    }

    /// The database at an address: the one that others use already, or one that is looked at from now on.
    fn open(
        self: &Arc<Self>,
        known: &mut Known,
        source: &Source,
        url: &DatabaseUrl,
    ) -> Result<Arc<Database>, DatabaseFault> {
        let place = Place::of(url);
        if let Some(database) = known.at(&place) {
            return Ok(database);
        }
        let (databases, changed) = (Arc::downgrade(self), place.clone());
        let opened = Database::keep(url.clone(), self.cluster_id.clone(), move || {
            if let Some(databases) = databases.upgrade() {
                let users = databases.known().users_at(&changed);
                databases.ring(&users);
            }
        });
        let database = opened.map_err(|error| DatabaseFault::NotAUrl {
            name: source.name.clone(),
            key: source.key.clone(),
            why: url.hide_password(&error.to_string()),
        })?;
        let database = Arc::new(database);
        known.opened(place, &database);
        Ok(database)
    }

    async fn read_again(self: Arc<Self>, source: Source) {
        match read(&self.client, &source, self.files).await {
            Ok(found) => {
                let known = self.known();
                // Where nobody names it any more, what was read is not to be kept.
                if known.has(&source) {
                    self.note(known, &source, found);
                }
            }
            // What is known stays: a Secret that can't be read has not changed.
            Err(error) => {
                let Source { namespace, name, .. } = &source;
                tracing::warn!(%error, namespace, name, "a Secret could not be read; what was known of it stays");
                self.known().was_tried(&source);
            }
        }
    }

    fn ring(&self, users: &[User]) {
        users.iter().for_each(|user| self.bells.ring(user.kind(), user.namespace(), user.name()));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
