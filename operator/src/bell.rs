//! Which objects are to be looked at again.
//!
//! Whoever knows that something is otherwise rings; the controller that looks after the object hears it, and no other: there is one for
//! each kind and [`Scope`]. Ringing waits for nobody, so a controller that is slow holds nobody up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::stream::{Stream, StreamExt as _, unfold};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use crate::scope::Scope;

/// Those of all controllers.
#[derive(Debug, Default)]
pub(crate) struct Bells(Mutex<Vec<Hung>>);

/// A bell, as long as somebody listens to it.
#[derive(Debug)]
struct Hung {
    kind: String,
    scope: Scope,
    bell: Weak<Bell>,
}

impl Bells {
    /// The objects of a kind that are to be looked at again from now on.
    pub(crate) fn listen<K>(&self, scope: &Scope) -> impl Stream<Item = ObjectRef<K>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + 'static,
    {
        let bell = Arc::<Bell>::default();
        let hung = Hung { kind: K::kind(&()).into_owned(), scope: scope.clone(), bell: Arc::downgrade(&bell) };
        let mut bells = self.bells();
        bells.retain(|hung| hung.bell.strong_count() > 0);
        bells.push(hung);
        bell.listen().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
    }

    /// Asks for an object to be looked at.
    pub(crate) fn ring(&self, kind: &str, namespace: &str, name: &str) {
        let bells = self.bells();
        let near = bells.iter().filter(|hung| hung.kind == kind && hung.scope.covers(namespace));
        near.filter_map(|hung| hung.bell.upgrade()).for_each(|bell| bell.ring(namespace, name));
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Hung>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Objects of one kind, by namespace and name, each once however often it is asked for.
#[derive(Debug, Default)]
struct Bell {
    waiting: Mutex<BTreeSet<(String, String)>>,
    rung: Notify,
}

impl Bell {
    fn ring(&self, namespace: &str, name: &str) {
        self.waiting().insert((namespace.to_owned(), name.to_owned()));
        self.rung.notify_one();
    }

    /// What is asked for, as it is. For one listener.
    fn listen(self: Arc<Self>) -> impl Stream<Item = (String, String)> + Send + 'static {
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

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use gritstone_crds::kinds::{Dispatcher, QueueWorker};

    fn heard<K: Resource<DynamicType = ()> + 'static>(
        listening: &mut (impl Stream<Item = ObjectRef<K>> + Unpin),
    ) -> Vec<String> {
        let next = || listening.next().now_or_never().flatten();
        std::iter::from_fn(next)
            .map(|object| format!("{}/{}", object.namespace.unwrap_or_default(), object.name))
            .collect()
    }

    #[test]
    fn an_object_that_is_asked_for_twice_comes_once() {
        let bells = Bells::default();
        let mut listening = Box::pin(bells.listen::<QueueWorker>(&Scope::Everywhere));
        for name in ["b", "a", "b"] {
            bells.ring("QueueWorker", "shop", name);
        }
        assert_eq!(heard(&mut listening), ["shop/a", "shop/b"]);
        bells.ring("QueueWorker", "shop", "c");
        assert_eq!(heard(&mut listening), ["shop/c"]);
    }

    #[test]
    fn each_controller_hears_of_its_own_objects() {
        let bells = Bells::default();
        let of = |namespace: &str| Scope::Namespace(namespace.to_owned());
        let mut workers = ["shop", "mall"].map(|namespace| Box::pin(bells.listen::<QueueWorker>(&of(namespace))));
        let mut dispatchers = Box::pin(bells.listen::<Dispatcher>(&of("shop")));
        for namespace in ["shop", "mall", "elsewhere"] {
            bells.ring("QueueWorker", namespace, "mail");
        }
        assert_eq!(heard(&mut workers[0]), ["shop/mail"]);
        assert_eq!(heard(&mut workers[1]), ["mall/mail"]);
        assert!(heard(&mut dispatchers).is_empty());

        drop(workers);
        bells.ring("QueueWorker", "shop", "mail");
        let mut again = Box::pin(bells.listen::<QueueWorker>(&of("shop")));
        assert!(heard(&mut again).is_empty(), "nobody listened then");
        assert_eq!(bells.bells().len(), 2, "what nobody listens to is taken down");
    }
}
