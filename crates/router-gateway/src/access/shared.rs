//! Counts what each key uses together with other processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use llm_router::{
    AccountId, AccountLimits, Budget, Clock, Consumed, HealthChange, Hold, Peer, Refused, Reserved,
    Settlement, StateStore, SystemClock, Timestamp, Usd,
};

use super::{Claim, KeyHash, Ledger, LocalLedger, Refusal, Used, VirtualKey};

/// Counts in this process, and with others through a [`StateStore`], where there is one.
///
/// What is used of a key's minute is exchanged in the background, as that of deployments is. Budgets, and the minutes of keys with
/// strict limits, hold exactly: such a request gets its place from the store before it is sent. While the store is away each
/// process goes by what it knows.
#[derive(Debug, Default)]
pub struct SharedLedger {
    local: Arc<LocalLedger>,
    sharing: Mutex<Sharing>,
    /// What the store granted. Claims that are equal stand for each other.
    holds: Mutex<HashMap<(KeyHash, Claim), Vec<Hold>>>,
}

/// Where counts are shared.
#[derive(Debug, Default)]
struct Sharing {
    store: Option<Arc<dyn StateStore>>,
    /// The store hears from it as long as it is kept.
    _peer: Option<Arc<KeyPeer>>,
}

/// The keys, as far as others are concerned.
#[derive(Debug)]
struct KeyPeer {
    local: Arc<LocalLedger>,
    clock: SystemClock,
}

/// A claim that was granted here and may yet be refused elsewhere. Dropped, it is taken back.
struct Granted<'a> {
    ledger: &'a LocalLedger,
    key: &'a VirtualKey,
    claim: &'a Claim,
    now: Timestamp,
    stands: bool,
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        if !self.stands {
            self.ledger.withdraw(self.key, self.claim, self.now);
        }
    }
}

impl SharedLedger {
    /// Starts with nothing used, and nobody to share it with.
    pub fn new() -> Self {
        Self::default()
    }

    fn sharing(&self) -> MutexGuard<'_, Sharing> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, HashMap<(KeyHash, Claim), Vec<Hold>>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_hold(&self, key: KeyHash, claim: &Claim) -> Option<Hold> {
        let mut holds = self.holds();
        let place = (key, *claim);
        let alike = holds.get_mut(&place)?;
        let hold = alike.pop();
        if alike.is_empty() {
            holds.remove(&place);
        }
        hold
    }
}

/// What of a key's limits has to hold exactly.
fn exact_limits(key: &VirtualKey) -> AccountLimits {
    let limits = key.limits();
    AccountLimits {
        requests: limits.requests_per_minute.filter(|_| limits.strict),
        tokens: limits.tokens_per_minute.filter(|_| limits.strict),
        budget: limits.budget.map(|(most, period)| Budget { most, period }),
    }
}

fn account(key: KeyHash) -> AccountId {
    AccountId::of_key(&key.to_hex())
}

#[async_trait]
impl Ledger for SharedLedger {
    async fn claim(&self, key: &VirtualKey, claim: &Claim, now: Timestamp) -> Result<(), Refusal> {
        self.local.claim(key, claim, now).await?;
        let mut granted = Granted { ledger: &self.local, key, claim, now, stands: false };
        let limits = exact_limits(key);
        let store = self.sharing().store.clone().filter(|_| limits != AccountLimits::default());
        if let Some(store) = store {
            let asked = llm_router::Claim {
                account: account(key.hash()),
                limits,
                tokens: claim.tokens,
                cost: claim.cost,
            };
            match store.reserve(&asked, now).await {
                Reserved::Granted(hold) => {
                    self.holds().entry((key.hash(), *claim)).or_default().push(hold);
                }
                Reserved::Refused(refused) => return Err(refusal(refused)),
                Reserved::Away { spent } => {
                    // What others spent is known up to when the store was heard last.
                    let committed = spent.unwrap_or_default().plus(self.local.held(key, now));
                    if let Some(Budget { most, period }) = limits.budget
                        && (committed > most || spent.is_some_and(|spent| spent >= most))
                    {
                        return Err(Refusal::Budget(period.at(now).1.map(|end| end.since(now))));
                    }
                }
            }
        }
        granted.stands = true;
        Ok(())
    }

    fn settle(&self, key: &VirtualKey, claim: &Claim, used: Used, now: Timestamp) {
        self.local.settle(key, claim, used, now);
        let hold = self.take_hold(key.hash(), claim);
        // What was spent without a hold, while the store was away, is told all the same.
        let hold = hold.or_else(|| {
            let is_budgeted = key.limits().budget.is_some() && used.cost > Usd::default();
            is_budgeted.then(|| Hold {
                account: account(key.hash()),
                slot: 0,
                tokens: 0,
                cost: Usd::default(),
            })
        });
        if let (Some(hold), Some(store)) = (hold, self.sharing().store.clone()) {
            let settlement = Settlement::Used { tokens: Some(used.tokens), cost: used.cost };
            store.settle(hold, settlement, now);
        }
    }

    fn spent(&self, key: &VirtualKey, now: Timestamp) -> Usd {
        self.local.spent(key, now)
    }

    fn share_through(&self, store: Option<&Arc<dyn StateStore>>) {
        let mut sharing = self.sharing();
        let is_same = match (&sharing.store, store) {
            (Some(known), Some(store)) => Arc::ptr_eq(known, store),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        let peer = store.map(|store| {
            let peer = Arc::new(KeyPeer { local: Arc::clone(&self.local), clock: SystemClock::new() });
            let shared: Arc<dyn Peer> = Arc::clone(&peer) as _;
            store.join(Arc::downgrade(&shared));
            peer
        });
        *sharing = Sharing { store: store.cloned(), _peer: peer };
    }
}

const fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Requests(wait) => Refusal::Requests(wait),
        Refused::Tokens(wait) => Refusal::Tokens(wait),
        Refused::Budget(wait) => Refusal::Budget(wait),
    }
}

impl Peer for KeyPeer {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn hear(&self, _change: &HealthChange) {}

    fn hear_consumed(&self, account: &AccountId, consumed: Consumed, ago: Duration) {
        if let Some(Ok(key)) = account.key().map(KeyHash::from_hex) {
            self.local.hear(key, consumed, self.clock.now() - ago);
        }
    }

    fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
        self.local.tell(|key, consumed| tell(&account(key), consumed));
    }

    fn tell_cooling(&self, _tell: &mut dyn FnMut(HealthChange)) {}
}

#[cfg(test)]
mod tests {
    use llm_router::MemoryStore;

    use super::*;
    use crate::access::{BudgetPeriod, KeyLimits};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn key(limits: KeyLimits) -> VirtualKey {
        VirtualKey::new(KeyHash::of("sk-test"), "test").with_limits(limits)
    }

    fn two() -> (Arc<MemoryStore>, [SharedLedger; 2]) {
        let store = Arc::new(MemoryStore::default());
        let shared: Arc<dyn StateStore> = Arc::clone(&store) as _;
        let ledgers = [SharedLedger::new(), SharedLedger::new()];
        ledgers.iter().for_each(|ledger| ledger.share_through(Some(&shared)));
        (store, ledgers)
    }

    const fn claim(tokens: u64, pico: u64) -> Claim {
        Claim::new(NOW, tokens, Usd::from_pico(pico))
    }

    #[tokio::test]
    async fn a_budget_is_one_for_all() {
        let (_, [one, other]) = two();
        let budget = Some((Usd::from_pico(100), BudgetPeriod::Month));
        let key = key(KeyLimits { budget, ..KeyLimits::default() });
        one.claim(&key, &claim(1, 70), NOW).await.unwrap();
        let refused = other.claim(&key, &claim(1, 40), NOW).await;
        assert!(matches!(refused, Err(Refusal::Budget(Some(_)))), "70 are held by the other");
        one.settle(&key, &claim(1, 70), Used::new(1, Usd::from_pico(60)), NOW);
        other.claim(&key, &claim(1, 40), NOW).await.unwrap();
        other.settle(&key, &claim(1, 40), Used::new(1, Usd::from_pico(40)), NOW);
        assert!(one.claim(&key, &claim(1, 0), NOW).await.is_err(), "it is spent to the last unit");
        assert_eq!(one.local.held(&key, NOW), Usd::default(), "who is refused holds nothing");
    }

    #[tokio::test]
    async fn a_strict_minute_is_one_for_all_at_once_and_another_after_the_exchange() {
        for strict in [true, false] {
            let (store, [one, other]) = two();
            let limits = KeyLimits { requests_per_minute: Some(3), strict, ..KeyLimits::default() };
            let (key, claim) = (key(limits), Claim::new(SystemClock::new().now(), 1, Usd::default()));
            let now = claim.at;
            for _ in 0..3 {
                one.claim(&key, &claim, now).await.unwrap();
                one.settle(&key, &claim, Used::new(5, Usd::default()), now);
            }
            let before = other.claim(&key, &claim, now).await;
            assert_eq!(before.is_err(), strict, "{before:?}");
            store.exchange();
            let after = other.claim(&key, &claim, now).await;
            assert!(matches!(after, Err(Refusal::Requests(_))), "{after:?}");
        }
    }

    #[tokio::test]
    async fn a_caller_who_leaves_while_the_store_is_asked_leaves_nothing_behind() {
        /// A store that never answers.
        #[derive(Debug)]
        struct Silent;

        #[async_trait]
        impl StateStore for Silent {
            fn publish(&self, _change: &HealthChange, _now: Timestamp) {}

            fn join(&self, _peer: std::sync::Weak<dyn Peer>) {}

            async fn reserve(&self, _claim: &llm_router::Claim, _now: Timestamp) -> Reserved {
                std::future::pending().await
            }
        }

        let ledger = SharedLedger::new();
        let silent: Arc<dyn StateStore> = Arc::new(Silent);
        ledger.share_through(Some(&silent));
        let budget = Some((Usd::from_pico(100), BudgetPeriod::Forever));
        let key = key(KeyLimits { budget, parallel_requests: Some(1), ..KeyLimits::default() });
        for _ in 0..3 {
            let claim = claim(1, 70);
            let asked = tokio::time::timeout(Duration::from_millis(1), ledger.claim(&key, &claim, NOW)).await;
            assert!(asked.is_err(), "it waits, and is not refused");
        }
        assert_eq!(ledger.local.held(&key, NOW), Usd::default());
    }
}
