//! Which objects are to be looked at again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{Stream, unfold};
use tokio::sync::Notify;

/// Objects of one kind, by namespace and name, each once however often it is asked for.
#[derive(Debug, Default)]
pub(super) struct Bell {
    waiting: Mutex<BTreeSet<(String, String)>>,
    rung: Notify,
}

impl Bell {
    /// Asks for an object to be looked at.
    pub(super) fn ring(&self, namespace: &str, name: &str) {
        self.waiting().insert((namespace.to_owned(), name.to_owned()));
        self.rung.notify_one();
    }

    /// What is asked for, as it is. For one listener.
    pub(super) fn listen(self: Arc<Self>) -> impl Stream<Item = (String, String)> + Send + 'static {
        unfold(self, async |bell| {
            loop {
                let next = bell.waiting().pop_first();
                match next {
                    Some(object) => return Some((object, bell)),
                    None => bell.rung.notified().await,
                }
            }
        })
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    #[tokio::test]
    async fn an_object_that_is_asked_for_twice_comes_once() {
        let bell = Arc::new(Bell::default());
        for name in ["b", "a", "b"] {
            bell.ring("shop", name);
        }
        let mut listening = Box::pin(bell.clone().listen());
        for expected in ["a", "b"] {
            assert_eq!(listening.next().await, Some(("shop".to_owned(), expected.to_owned())));
        }
        bell.ring("shop", "c");
        assert_eq!(listening.next().await, Some(("shop".to_owned(), "c".to_owned())));
    }
}
