//! The store that reaches the routers of one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use router_core::{
    AccountId, Claim, HealthChange, Hold, Peer, Reserved, Settlement, StateStore, Timestamp, Usd,
};

use crate::account::{Account, Books, Given, Spans};
use crate::latencies::Latencies;

/// Nothing has to be saved up where telling costs nothing.
const SPANS: Spans = Spans { patience: 0, ..Spans::USUAL };

/// Tells every router that shares it what one of them finds out. Give the same store to each.
///
/// Routers know each other's deployments by id; ids that a router does not have do not concern it. Cooldowns are told at once.
/// What was consumed of limits is told when somebody calls [`exchange`](Self::exchange): a process rarely has more than one router.
/// Limits that must hold exactly do, within the process, and nothing waits for them.
///
/// `examples/share.rs` shows two routers that share one.
#[derive(Default)]
pub struct MemoryStore {
    peers: Mutex<Vec<Weak<dyn Peer>>>,
    accounts: Mutex<HashMap<AccountId, (Account, Books<()>)>>,
}

impl MemoryStore {
    /// Tells every router what the others consumed of their limits since the last time. What was admitted in between may be over a
    /// shared limit, so call it a few times a second.
    pub fn exchange(&self) {
        let peers = self.present();
        for (n, from) in peers.iter().enumerate() {
            from.tell_consumed(&mut |account, consumed| {
                for (_, to) in peers.iter().enumerate().filter(|(other, _)| *other != n) {
                    to.hear_consumed(account, consumed, Duration::ZERO);
                }
            });
        }
    }

    fn present(&self) -> Vec<Arc<dyn Peer>> {
        self.peers().iter().filter_map(Weak::upgrade).collect()
    }

    /// Lets an account hear what its books have to tell, and returns what those who waited were given.
    fn with_account<R>(&self, id: &AccountId, act: impl FnOnce(&mut Account, &mut Books<()>) -> R) -> R {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let (account, books) =
            accounts.entry(id.clone()).or_insert_with(|| (Account::default(), Books::new(0, SPANS)));
        act(account, books)
    }

    fn peers(&self) -> MutexGuard<'_, Vec<Weak<dyn Peer>>> {
        // A panic elsewhere cannot leave a list half-changed.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn talk(account: &mut Account, books: &mut Books<()>, now: u64) -> Vec<((), Given)> {
    let mut given = Vec::new();
    while let Some(message) = books.message(now) {
        let reply = account.exchange(message, now, SPANS);
        given.extend(books.hear(reply, now));
    }
    given
}

#[async_trait]
impl StateStore for MemoryStore {
    /// Told in the calling thread: changes of health are rare and hearing of one is a few atomic stores. The routers of a process
    /// have one clock.
    fn publish(&self, change: &HealthChange, _now: Timestamp) {
        for peer in self.present() {
            peer.hear(change);
        }
    }

    /// Whoever joins hears from those who are there how fast deployments are.
    fn join(&self, peer: Weak<dyn Peer>) {
        if let Some(newcomer) = peer.upgrade() {
            let mut known = Latencies::default();
            self.present().iter().for_each(|peer| known.collect(&**peer));
            known.tell(&*newcomer);
        }
        let mut peers = self.peers();
        peers.retain(|peer| peer.strong_count() > 0);
        peers.push(peer);
    }

    async fn reserve(&self, claim: &Claim, now: Timestamp) -> Reserved {
        let now = now.as_millis();
        self.with_account(&claim.account, |account, books| {
            books.claim((), claim.limits, claim.tokens, claim.cost);
            match talk(account, books, now).pop() {
                Some(((), Given::Place { slot, tokens, cost })) => Reserved::Granted(Hold {
                    account: claim.account.clone(),
                    slot,
                    tokens,
                    cost: Usd::from_pico(cost),
                }),
                Some(((), Given::Nothing(refused))) => Reserved::Refused(refused),
                None => Reserved::Away { spent: Some(books.known_spent(now)) },
            }
        })
    }

    fn settle(&self, hold: Hold, settlement: Settlement, now: Timestamp) {
        self.with_account(&hold.account, |account, books| {
            books.settle(hold.slot, hold.tokens, hold.cost.as_pico(), settlement);
            talk(account, books, now.as_millis());
        });
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
    use router_core::{Alias, Catalog, Config, Consumed, DeploymentConfig, Fleet};

    struct Router(Fleet);

    impl Peer for Router {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn hear(&self, change: &HealthChange) {
            self.0.apply(change);
        }

        fn hear_consumed(&self, account: &AccountId, consumed: Consumed, _ago: Duration) {
            self.0.apply_consumed(account, consumed, Timestamp::default());
        }

        fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
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
