//! Who needs which database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::stream::{Stream, StreamExt as _, iter};
use gritstone_crds::kinds::SecretKeyRef;
use gritstone_store::{DatabaseUrl, Store};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource, ResourceExt as _};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::bell::Bell;
use super::demand::Demand;
use super::fault::DatabaseFault;
use super::keeper::{Database, Looks};
use super::secret::{Found, Source, read};

/// How old what is known of a Secret may become before it is read again.
const READ_AGAIN: Duration = Duration::from_secs(9);
/// How often Secrets are looked for that are due, and how many are read then at most, so many of them at a time.
const ROUND: Duration = Duration::from_secs(1);
const A_ROUND: usize = 50;
const AT_ONCE: usize = 8;

/// An object that names a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct User {
    kind: String,
    namespace: String,
    name: String,
}

impl User {
    /// The object of that name.
    pub(crate) fn new(kind: &str, namespace: &str, name: &str) -> Self {
        User { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// That object.
    pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        User {
            kind: K::kind(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// How the database of an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its address without a password, when it can be used.
    pub(crate) reachable: Result<String, DatabaseFault>,
    /// What changes when the Secret's value does. None while there is no value: nobody should do anything about that.
    pub(crate) digest: Option<String>,
}

/// All databases that objects name.
pub(crate) struct Databases {
    client: Client,
    cluster_id: String,
    known: Mutex<Known>,
    bells: Mutex<HashMap<String, Arc<Bell>>>,
}

#[derive(Default)]
struct Known {
    users: HashMap<User, Source>,
    sources: HashMap<Source, Entry>,
    databases: HashMap<DatabaseUrl, Weak<Database>>,
}

/// A key of a Secret that somebody names.
struct Entry {
    found: Found,
    read_at: Instant,
    /// What is at the address, or why nothing is.
    database: Result<Arc<Database>, DatabaseFault>,
    /// Who names it, and whether they ask for the tables to be made.
    users: BTreeMap<User, bool>,
}

impl Databases {
    /// None yet. `cluster_id` tells this cluster's processes from others'.
    pub(crate) fn new(client: Client, cluster_id: String) -> Arc<Self> {
        Arc::new(Databases { client, cluster_id, known: Mutex::default(), bells: Mutex::default() })
    }

    /// Reads the Secrets in use again and again, until `stop` is cancelled.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(ROUND)).await.is_some() {
            let reading = self.due().into_iter().map(|source| self.clone().read_again(source));
            let reading = iter(reading).buffer_unordered(AT_ONCE).collect::<()>();
            if stop.run_until_cancelled(reading).await.is_none() {
                return;
            }
        }
    }

    /// How the database stands that `user` names, who counts among its users from now on; `migrate` says whether it asks for the tables
    /// to be made. Doesn't wait for the database: when it stands otherwise, [`changes`](Self::changes) says so.
    ///
    /// # Errors
    /// Those of the API server, asked for a Secret that nothing is known of yet.
    pub(crate) async fn look(
        self: &Arc<Self>,
        user: &User,
        reference: &SecretKeyRef,
        migrate: bool,
    ) -> Result<Standing, kube::Error> {
        let source = Source::new(&user.namespace, reference);
        if let Some(standing) = self.join(user, &source, migrate) {
            return Ok(standing);
        }
        let found = read(&self.client, &source).await?;
        self.note(&source, found);
        let standing = self.join(user, &source, migrate);
        Ok(standing.unwrap_or(Standing { reachable: Err(DatabaseFault::Connecting), digest: None }))
    }

    /// The database that `user` named when it [looked](Self::look).
    ///
    /// # Errors
    /// What keeps it from being used now.
    pub(crate) fn store(&self, user: &User) -> Result<Store, DatabaseFault> {
        let known = self.known();
        let entry = known.users.get(user).and_then(|source| known.sources.get(source));
        let database = entry.ok_or(DatabaseFault::Connecting)?.database.clone()?;
        database.state().map(|()| database.store.clone())
    }

    /// Says what the workers of `user` claim. The looks at its database, if there is one.
    pub(crate) fn demand(&self, user: &User, demand: Demand) -> Option<Looks> {
        let known = self.known();
        let entry = known.users.get(user).and_then(|source| known.sources.get(source))?;
        let database = entry.database.as_ref().ok()?;
        database.demand(user, Some(demand));
        Some(database.looks())
    }

    /// `user` is to be looked at again.
    pub(crate) fn touch(&self, user: &User) {
        self.bell(&user.kind).ring(&user.namespace, &user.name);
    }

    /// `user` is gone, or names no database any more.
    pub(crate) fn forget(&self, user: &User) {
        self.known().leave(user);
    }

    /// The databases that objects of a namespace name, each once: itself, or what keeps it from being used now.
    pub(crate) fn of(&self, namespace: &str) -> Vec<Result<Store, DatabaseFault>> {
        let known = self.known();
        let named = known.sources.iter().filter(|(source, _)| source.namespace == namespace);
        let mut urls = BTreeSet::new();
        named
            .filter_map(|(_, entry)| match &entry.database {
                Ok(database) if !urls.insert(database.url.to_string()) => None,
                Ok(database) => Some(database.state().map(|()| database.store.clone())),
                Err(fault) => Some(Err(fault.clone())),
            })
            .collect()
    }

    /// The objects of one kind whose database stands otherwise than when they looked. For one listener a kind.
    pub(crate) fn changes<K>(&self) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
    where
        K: Resource<DynamicType = ()> + 'static,
    {
        let bell = self.bell(&K::kind(&()));
        bell.listen().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
    }

    /// Counts a user in, if what it names was read already.
    fn join(self: &Arc<Self>, user: &User, source: &Source, migrate: bool) -> Option<Standing> {
        let mut known = self.known();
        if !known.sources.contains_key(source) {
            return None;
        }
        if known.users.get(user).is_some_and(|before| before != source) {
            known.leave(user);
        }
        known.users.insert(user.clone(), source.clone());
        let entry = known.sources.get_mut(source)?;
        entry.users.insert(user.clone(), migrate);
        let reachable = match &entry.database {
            Ok(database) => database.state().map(|()| database.url.to_string()),
            Err(fault) => Err(fault.clone()),
        };
        let standing = Standing { reachable, digest: entry.found.digest.clone() };
        known.settle_wishes(source);
        Some(standing)
    }

    /// Takes in what was read. Tells the users when it is something else than before.
    fn note(self: &Arc<Self>, source: &Source, found: Found) {
        let mut known = self.known();
        let now = Instant::now();
        if let Some(entry) = known.sources.get_mut(source)
            && entry.found == found
        {
            entry.read_at = now;
            return;
        }
        let database = match &found.address {
            Ok(url) => self.open(&mut known, source, url),
            Err(fault) => Err(fault.clone()),
        };
        let before = known.sources.remove(source);
        let (before, users) = match before {
            Some(entry) => (Some(entry.database), entry.users),
            None => (None, BTreeMap::new()),
        };
        let changed: Vec<User> = users.keys().cloned().collect();
        if let Some(Ok(left)) = before {
            changed.iter().for_each(|user| left.demand(user, None));
        }
        known.sources.insert(source.clone(), Entry { found, read_at: now, database, users });
        known.settle_wishes(source);
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
        known.databases.retain(|_, database| database.strong_count() > 0);
        if let Some(database) = known.databases.get(url).and_then(Weak::upgrade) {
            return Ok(database);
        }
        let (databases, changed) = (Arc::downgrade(self), url.clone());
        let opened = Database::keep(url.clone(), self.cluster_id.clone(), move || {
            if let Some(databases) = databases.upgrade() {
                databases.ring(&databases.users_of(&changed));
            }
        });
        let database = opened.map_err(|error| DatabaseFault::NotAUrl {
            name: source.name.clone(),
            key: source.key.clone(),
            why: url.hide_password(&error.to_string()),
        })?;
        let database = Arc::new(database);
        known.databases.insert(url.clone(), Arc::downgrade(&database));
        Ok(database)
    }

    async fn read_again(self: Arc<Self>, source: Source) {
        match read(&self.client, &source).await {
            Ok(found) => {
                // Nobody names it any more: what was read is not to be kept.
                if self.known().sources.contains_key(&source) {
                    self.note(&source, found);
                }
            }
            // What is known stays: a Secret that can't be read has not changed.
            Err(error) => {
                let Source { namespace, name, .. } = &source;
                tracing::warn!(%error, namespace, name, "a Secret could not be read; what was known of it stays");
                if let Some(entry) = self.known().sources.get_mut(&source) {
                    entry.read_at = Instant::now();
                }
            }
        }
    }

    /// The Secrets that were read longest ago, of those that are due.
    fn due(&self) -> Vec<Source> {
        let known = self.known();
        let due = known.sources.iter().filter(|(_, entry)| entry.read_at.elapsed() >= READ_AGAIN);
        let mut due: Vec<_> = due.map(|(source, entry)| (entry.read_at, source.clone())).collect();
        due.sort_by_key(|(read_at, _)| *read_at);
        due.into_iter().take(A_ROUND).map(|(_, source)| source).collect()
    }

    fn users_of(&self, url: &DatabaseUrl) -> Vec<User> {
        let known = self.known();
        let entries = known.sources.values().filter(|entry| entry.found.address.as_ref() == Ok(url));
        entries.flat_map(|entry| entry.users.keys().cloned()).collect()
    }

    fn ring(&self, users: &[User]) {
        users.iter().for_each(|user| self.touch(user));
    }

    fn bell(&self, kind: &str) -> Arc<Bell> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(kind.to_owned()).or_default().clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Takes a user away, and with the last one what is known of the Secret.
    fn leave(&mut self, user: &User) {
        let Some(source) = self.users.remove(user) else { return };
        let Some(entry) = self.sources.get_mut(&source) else { return };
        entry.users.remove(user);
        if let Ok(database) = &entry.database {
            database.demand(user, None);
        }
        if entry.users.is_empty() {
            self.sources.remove(&source);
        } else {
            self.settle_wishes(&source);
        }
    }

    /// Tells the database of a source whether any of all its users asks for its tables.
    fn settle_wishes(&self, source: &Source) {
        let Some(Ok(database)) = self.sources.get(source).map(|entry| &entry.database) else { return };
        let same = |entry: &&Entry| entry.database.as_ref().is_ok_and(|other| Arc::ptr_eq(other, database));
        let mut wishes = self.sources.values().filter(same).flat_map(|entry| entry.users.values());
        database.may_migrate(wishes.any(|migrate| *migrate));
    }
}
