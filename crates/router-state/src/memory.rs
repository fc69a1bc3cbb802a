//! The store that reaches the routers of one process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use router_core::{HealthChange, Peer, StateStore, Timestamp};

/// Tells every router that shares it what one of them finds out. Give the same store to each.
///
/// Routers know each other's deployments by id; ids that a router does not have do not concern it. Cooldowns are told at once.
/// What was consumed of limits is told when somebody calls [`exchange`](Self::exchange): a process rarely has more than one router.
///
/// `examples/share.rs` shows two routers that share one.
#[derive(Default)]
pub struct MemoryStore {
    peers: Mutex<Vec<Weak<dyn Peer>>>,
}

impl MemoryStore {
    /// Tells every router what the others consumed of their limits since the last time. What was admitted in between may be over a
    /// shared limit, so call it a few times a second.
    pub fn exchange(&self) {
        let peers = self.present();
        for (n, from) in peers.iter().enumerate() {
            from.tell_consumed(&mut |deployment, consumed| {
                for (_, to) in peers.iter().enumerate().filter(|(other, _)| *other != n) {
                    to.hear_consumed(deployment, consumed, Duration::ZERO);
                }
            });
        }
    }

    fn present(&self) -> Vec<Arc<dyn Peer>> {
        self.peers().iter().filter_map(Weak::upgrade).collect()
    }

    fn peers(&self) -> MutexGuard<'_, Vec<Weak<dyn Peer>>> {
        // A panic elsewhere cannot leave a list half-changed.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    /// Told in the calling thread: changes of health are rare and hearing of one is a few atomic stores. The routers of a process
    /// have one clock.
    fn publish(&self, change: &HealthChange, _now: Timestamp) {
        for peer in self.present() {
            peer.hear(change);
        }
    }

    fn join(&self, peer: Weak<dyn Peer>) {
        let mut peers = self.peers();
        peers.retain(|peer| peer.strong_count() > 0);
        peers.push(peer);
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("peers", &self.peers().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_core::{Alias, Catalog, Config, Consumed, DeploymentConfig, DeploymentId, Fleet};

    struct Router(Fleet);

    impl Peer for Router {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn hear(&self, change: &HealthChange) {
            self.0.apply(change);
        }

        fn hear_consumed(&self, deployment: &DeploymentId, consumed: Consumed, _ago: Duration) {
            self.0.apply_consumed(deployment, consumed, Timestamp::default());
        }

        fn tell_consumed(&self, tell: &mut dyn FnMut(&DeploymentId, Consumed)) {
            self.0.tell_consumed(tell);
        }

        fn tell_cooling(&self, _tell: &mut dyn FnMut(HealthChange)) {}
    }

    #[test]
    fn a_router_that_is_gone_is_forgotten() {
        let store = MemoryStore::default();
        for _ in 0..100 {
            let pool = Alias::try_from("a").unwrap();
            let config =
                Config { deployments: vec![DeploymentConfig::new(pool, "p", "m")], ..Config::default() };
            let peer: Arc<dyn Peer> = Arc::new(Router(Fleet::new(Arc::new(Catalog::new(config).unwrap()))));
            store.join(Arc::downgrade(&peer));
        }
        assert!(store.peers().len() <= 1, "dropped routers are not kept");
    }
}
