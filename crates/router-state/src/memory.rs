//! The store that reaches the routers of one process.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use router_core::{HealthChange, HealthListener, StateStore};

/// Tells every router that shares it what one of them finds out. Give the same store to each.
///
/// Routers know each other's deployments by id; ids that a router does not have do not concern it.
///
/// ```
/// use router_core::{DeploymentId, HealthChange, HealthListener, ProviderErrorKind, StateStore, Timestamp};
/// use router_state::MemoryStore;
/// use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
///
/// struct Router(AtomicUsize);
///
/// impl HealthListener for Router {
///     fn hear(&self, _change: &HealthChange) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::default();
/// let peer: Arc<dyn HealthListener> = Arc::new(Router(AtomicUsize::new(0)));
/// store.subscribe(Arc::downgrade(&peer));
/// store.publish(&HealthChange::Recovered { deployment: DeploymentId::try_from("fast:gpt-4o-mini")? });
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct MemoryStore {
    listeners: Mutex<Vec<Weak<dyn HealthListener>>>,
}

impl MemoryStore {
    fn listeners(&self) -> MutexGuard<'_, Vec<Weak<dyn HealthListener>>> {
        // A panic elsewhere cannot leave a list of listeners half-changed.
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    /// Told in the calling thread: changes of health are rare and hearing of one is a few atomic stores.
    fn publish(&self, change: &HealthChange) {
        let listeners: Vec<_> = self.listeners().iter().filter_map(Weak::upgrade).collect();
        for listener in listeners {
            listener.hear(change);
        }
    }

    fn subscribe(&self, listener: Weak<dyn HealthListener>) {
        let mut listeners = self.listeners();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("listeners", &self.listeners().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_core::DeploymentId;
    use std::sync::Arc;

    #[derive(Default)]
    struct Heard(Mutex<Vec<HealthChange>>);

    impl HealthListener for Heard {
        fn hear(&self, change: &HealthChange) {
            self.0.lock().unwrap().push(change.clone());
        }
    }

    fn recovered() -> HealthChange {
        HealthChange::Recovered { deployment: DeploymentId::try_from("a").unwrap() }
    }

    #[test]
    fn everybody_who_listens_hears_a_change_once() {
        let store = MemoryStore::default();
        let peers: Vec<Arc<Heard>> = (0..3).map(|_| Arc::default()).collect();
        for peer in &peers {
            let listener: Arc<dyn HealthListener> = Arc::clone(peer) as _;
            store.subscribe(Arc::downgrade(&listener));
        }
        store.publish(&recovered());
        for peer in &peers {
            assert_eq!(*peer.0.lock().unwrap(), [recovered()]);
        }
    }

    #[test]
    fn a_router_that_is_gone_is_forgotten() {
        let store = MemoryStore::default();
        for _ in 0..100 {
            let listener: Arc<dyn HealthListener> = Arc::new(Heard::default());
            store.subscribe(Arc::downgrade(&listener));
        }
        store.publish(&recovered());
        assert!(store.listeners().len() <= 1, "dropped routers are not kept");
    }
}
