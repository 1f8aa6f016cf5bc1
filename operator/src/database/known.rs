//! What is known of who needs which database: objects name keys of Secrets, whose values are addresses of databases.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gritstone_store::Store;
use tokio::time::Instant;

use super::fault::DatabaseFault;
use super::keeper::Database;
use super::place::Place;
use super::secret::{Found, Source};
use super::user::User;

/// How old what is known of a Secret may become before it is read again.
const READ_AGAIN: Duration = Duration::from_secs(9);

/// How the database of an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its address without a password, when it can be used.
    pub(crate) reachable: Result<String, DatabaseFault>,
    /// What changes when the Secret's value does. None while there is no value: nobody should do anything about that.
    pub(crate) digest: Option<String>,
}

/// The users of all namespaces that are looked after. Each Secret is its own namespace's alone; a database is everybody's who names it.
#[derive(Default)]
pub(super) struct Known {
    users: HashMap<User, Source>,
    sources: HashMap<Source, Entry>,
    databases: HashMap<Place, Weak<Database>>,
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

impl Known {
    /// Counts a user in, if what it names was read already.
    pub(super) fn join(&mut self, user: &User, source: &Source, migrate: bool) -> Option<Standing> {
        if !self.sources.contains_key(source) {
            return None;
        }
        if self.users.get(user).is_some_and(|before| before != source) {
            self.leave(user);
        }
        self.users.insert(user.clone(), source.clone());
        let entry = self.sources.get_mut(source)?;
        entry.users.insert(user.clone(), migrate);
        let reachable = match &entry.database {
            Ok(database) => database.state().map(|()| database.url.to_string()),
            Err(fault) => Err(fault.clone()),
        };
        let standing = Standing { reachable, digest: entry.found.digest.clone() };
        if let Ok(database) = entry.database.clone() {
            self.settle_wishes(&database);
        }
        Some(standing)
    }

    /// Takes a user away, and with the last one what is known of the Secret.
    pub(super) fn leave(&mut self, user: &User) {
        let Some(source) = self.users.remove(user) else { return };
        let Some(entry) = self.sources.get_mut(&source) else { return };
        entry.users.remove(user);
        let database = entry.database.clone().ok();
        if entry.users.is_empty() {
            self.sources.remove(&source);
        }
        if let Some(database) = database {
            database.demand(user, None);
            self.settle_wishes(&database);
        }
    }

    /// Whether anybody names it.
    pub(super) fn has(&self, source: &Source) -> bool {
        self.sources.contains_key(source)
    }

    /// It could not be read: that is tried again when its turn comes.
    pub(super) fn was_tried(&mut self, source: &Source) {
        if let Some(entry) = self.sources.get_mut(source) {
            entry.read_at = Instant::now();
        }
    }

    /// It was read. Whether the same was found as before.
    pub(super) fn is_the_same(&mut self, source: &Source, found: &Found) -> bool {
        let Some(entry) = self.sources.get_mut(source).filter(|entry| entry.found == *found) else { return false };
        entry.read_at = Instant::now();
        true
    }

    /// Takes in what was found, and which database that is. Who names it.
    pub(super) fn put(
        &mut self,
        source: &Source,
        found: Found,
        database: Result<Arc<Database>, DatabaseFault>,
    ) -> Vec<User> {
        let (left, users) = match self.sources.remove(source) {
            Some(entry) => (entry.database.ok(), entry.users),
            None => (None, BTreeMap::new()),
        };
        let named: Vec<User> = users.keys().cloned().collect();
        let joined = database.clone().ok();
        self.sources.insert(source.clone(), Entry { found, read_at: Instant::now(), database, users });
        if let Some(left) = left {
            named.iter().for_each(|user| left.demand(user, None));
            self.settle_wishes(&left);
        }
        if let Some(joined) = joined {
            self.settle_wishes(&joined);
        }
        named
    }

    /// The Secrets that were read longest ago, of those that are due.
    pub(super) fn due(&self, at_most: usize) -> Vec<Source> {
        let due = self.sources.iter().filter(|(_, entry)| entry.read_at.elapsed() >= READ_AGAIN);
        let mut due: Vec<_> = due.map(|(source, entry)| (entry.read_at, source.clone())).collect();
        due.sort_by_key(|(read_at, _)| *read_at);
        due.into_iter().take(at_most).map(|(_, source)| source).collect()
    }

    /// What a user named when it joined.
    pub(super) fn database_of(&self, user: &User) -> Option<&Result<Arc<Database>, DatabaseFault>> {
        let entry = self.users.get(user).and_then(|source| self.sources.get(source));
        entry.map(|entry| &entry.database)
    }

    /// The databases that objects of a namespace name, each once: itself, or what keeps it from being used now.
    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Result<Store, DatabaseFault>> {
        let named = self.sources.iter().filter(|(source, _)| source.namespace == namespace);
        let mut met = HashSet::new();
        named
            .filter_map(|(_, entry)| match &entry.database {
                Ok(database) if !met.insert(Arc::as_ptr(database)) => None,
                Ok(database) => Some(database.state().map(|()| database.store.clone())),
                Err(fault) => Some(Err(fault.clone())),
            })
            .collect()
    }

    /// The database at a place, if anybody needs it.
    pub(super) fn at(&self, place: &Place) -> Option<Arc<Database>> {
        self.databases.get(place).and_then(Weak::upgrade)
    }

    /// There is one now, for as long as somebody needs it.
    pub(super) fn opened(&mut self, place: Place, database: &Arc<Database>) {
        self.databases.retain(|_, database| database.strong_count() > 0);
        self.databases.insert(place, Arc::downgrade(database));
    }

    /// Who needs the database at a place, in whatever namespace.
    pub(super) fn users_at(&self, place: &Place) -> Vec<User> {
        let Some(database) = self.at(place) else { return Vec::new() };
        self.entries_of(&database).flat_map(|entry| entry.users.keys().cloned()).collect()
    }

    /// Tells a database whether any of its users asks for its tables.
    fn settle_wishes(&self, database: &Arc<Database>) {
        let mut wishes = self.entries_of(database).flat_map(|entry| entry.users.values());
        database.may_migrate(wishes.any(|migrate| *migrate));
    }

    fn entries_of<'k>(&'k self, database: &'k Arc<Database>) -> impl Iterator<Item = &'k Entry> {
        let is_it = |other: &Arc<Database>| Arc::ptr_eq(other, database);
        self.sources.values().filter(move |entry| entry.database.as_ref().is_ok_and(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_store::DatabaseUrl;

    /// Nobody answers there.
    const NOWHERE: &str = "postgres://127.0.0.1:1/app";

    fn source(namespace: &str) -> Source {
        Source { namespace: namespace.to_owned(), name: "app-db".to_owned(), key: "uri".to_owned() }
    }

    fn user(namespace: &str) -> User {
        User::new("Dispatcher", namespace, "main")
    }

    /// Takes in that there is this address, or none.
    fn put(known: &mut Known, namespace: &str, url: Option<&str>) -> Vec<User> {
        let missing = DatabaseFault::NoSecret { name: "app-db".to_owned(), key: "uri".to_owned() };
        let address = url.map(|url| DatabaseUrl::parse(url).expect("a URL")).ok_or(missing);
        let database = address.clone().map(|url| {
            let place = Place::of(&url);
            known.at(&place).unwrap_or_else(|| {
                let database = Arc::new(Database::keep(url, "test".to_owned(), || {}).expect("a database"));
                known.opened(place, &database);
                database
            })
        });
        known.put(&source(namespace), Found { address, digest: None }, database)
    }

    fn at_nowhere(known: &Known) -> Option<Arc<Database>> {
        known.at(&Place::of(&DatabaseUrl::parse(NOWHERE).expect("a URL")))
    }

    #[tokio::test]
    async fn two_namespaces_need_one_database_until_the_last_is_gone() {
        let mut known = Known::default();
        for namespace in ["shop", "mall"] {
            put(&mut known, namespace, Some(NOWHERE));
            known.join(&user(namespace), &source(namespace), false).expect("known");
        }
        let database = at_nowhere(&known).expect("a database");
        assert_eq!(known.entries_of(&database).count(), 2);
        assert_eq!(known.users_at(&Place::of(&database.url)).len(), 2);
        assert_eq!(known.in_namespace("shop").len(), 1);
        drop(database);
        known.leave(&user("shop"));
        assert!(at_nowhere(&known).is_some() && known.in_namespace("shop").is_empty());
        known.leave(&user("mall"));
        assert!(at_nowhere(&known).is_none());
    }

    #[tokio::test]
    async fn a_secret_that_breaks_is_no_concern_of_another_namespace() {
        let mut known = Known::default();
        for namespace in ["shop", "mall"] {
            put(&mut known, namespace, Some(NOWHERE));
            known.join(&user(namespace), &source(namespace), false).expect("known");
        }
        assert_eq!(put(&mut known, "shop", None), [user("shop")], "who is to be told");
        assert!(known.database_of(&user("shop")).expect("it is known").is_err());
        assert!(known.database_of(&user("mall")).expect("it is known").is_ok());
        let database = at_nowhere(&known).expect("a database");
        assert_eq!(known.users_at(&Place::of(&database.url)), [user("mall")]);
    }

    #[tokio::test]
    async fn tables_are_asked_for_as_long_as_somebody_does() {
        let mut known = Known::default();
        for (namespace, migrate) in [("shop", true), ("mall", false)] {
            put(&mut known, namespace, Some(NOWHERE));
            known.join(&user(namespace), &source(namespace), migrate).expect("known");
        }
        let database = at_nowhere(&known).expect("a database");
        assert!(database.is_to_migrate());
        put(&mut known, "shop", Some("postgres://127.0.0.1:1/other"));
        assert!(!database.is_to_migrate(), "who asked has moved");
        put(&mut known, "shop", Some(NOWHERE));
        assert!(database.is_to_migrate());
        known.leave(&user("shop"));
        assert!(!database.is_to_migrate(), "who asked is gone");
    }
}
