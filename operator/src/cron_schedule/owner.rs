//! Whose the rows of a RecurringTask are, as the database knows it.

use std::fmt;

use gritstone_store::TakenKey;

/// A RecurringTask among those of all clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The cluster's id.
    pub(crate) cluster: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

/// Tells these from the paths of files, which are absolute.
const PREFIX: &str = "kubernetes/";

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, namespace, name } = self;
        write!(f, "{PREFIX}{cluster}/{namespace}/{name}")
    }
}

impl Owner {
    /// The RecurringTask that a database calls an owner, if it is one.
    fn read(text: &str) -> Option<Self> {
        // A cluster's id is whatever somebody chose.
        let mut parts = text.strip_prefix(PREFIX)?.rsplitn(3, '/').map(str::to_owned);
        let (name, namespace, cluster) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { cluster, namespace, name })
    }

    /// The key of a task that names none.
    pub(crate) fn default_key(&self) -> String {
        let Self { cluster, namespace, name } = self;
        format!("{cluster}/{namespace}/{name}")
    }

    /// Who has a key that this one wants, and what to do about that.
    pub(crate) fn words(&self, taken: &TakenKey) -> String {
        let Some(other) = Self::read(&taken.owner) else { return taken.to_string() };
        let mut words = format!("the key {} is that of RecurringTask {}/{}", taken.key, other.namespace, other.name);
        if other.cluster != self.cluster {
            words.push_str(&format!(" of another cluster, {}", other.cluster));
        }
        if taken.key != taken.taken {
            words.push_str(&format!(", as {}, which this database takes for the same", taken.taken));
        }
        words + ": give one of them another spec.key, or delete one"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_as_it_was_written() {
        let owner = Owner { cluster: "a/b".to_owned(), namespace: "shop".to_owned(), name: "daily".to_owned() };
        assert_eq!(Owner::read(&owner.to_string()), Some(owner));
        assert_eq!(Owner::read("/etc/gritstone/tasks"), None);
    }

    #[test]
    fn a_taken_key_names_who_has_it() {
        let me = Owner { cluster: "here".to_owned(), namespace: "shop".to_owned(), name: "second".to_owned() };
        let words = |owner: &str, taken: &str| {
            me.words(&TakenKey { key: "k".to_owned(), taken: taken.to_owned(), owner: owner.to_owned() })
        };
        let near = words("kubernetes/here/shop/first", "k");
        assert!(near.starts_with("the key k is that of RecurringTask shop/first: give one"), "{near}");
        let far = words("kubernetes/there/shop/first", "K");
        assert!(far.contains("another cluster, there") && far.contains("as K"), "{far}");
        assert!(words("/srv/tasks", "k").contains("belongs to /srv/tasks"));
    }
}
