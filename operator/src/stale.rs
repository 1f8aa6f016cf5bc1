//! Reads that are older than our own writes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The versions that our last writes gave objects. What is read before a watch has brought them is not acted on: it would be done, and
/// told, once more.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<HashMap<String, u64>>);

impl Written {
    fn versions(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// We wrote the object, which has this version now.
    pub(crate) fn note(&self, object: &str, version: Option<&str>) {
        if let Some(version) = number(version) {
            self.versions().insert(object.to_owned(), version);
        }
    }

    /// Whether this version of it is from before our last write. The watch is about to bring a newer one, and with it another look.
    pub(crate) fn is_stale(&self, object: &str, version: Option<&str>) -> bool {
        let mut versions = self.versions();
        let is_stale = match (versions.get(object), number(version)) {
            (Some(written), Some(read)) => read < *written,
            _ => false,
        };
        if !is_stale {
            versions.remove(object);
        }
        is_stale
    }
}

/// Versions of one kind are numbers that grow (promised since Kubernetes 1.35, and so ever since).
pub(crate) fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_our_write_is_stale_until_something_newer_came() {
        let written = Written::default();
        assert!(!written.is_stale("a", Some("5")));
        written.note("a", Some("10"));
        assert!(written.is_stale("a", Some("9")) && !written.is_stale("b", Some("9")));
        assert!(!written.is_stale("a", Some("10")));
        assert!(!written.is_stale("a", Some("9")), "another object of that name, since");
    }
}
