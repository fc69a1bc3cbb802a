//! Counts what each key uses, and refuses what is over its limits.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use llm_router::{Consumed, MinuteWindow, RouteReport, StateStore, Timestamp, Usd};

use super::{KeyHash, VirtualKey};

/// Counts what each key uses. [`LocalLedger`] counts in this process; [`SharedLedger`](super::SharedLedger) shares its counts with others.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Takes note of a request before it is sent, or refuses it. Each claim that is granted is settled once.
    async fn claim(&self, key: &VirtualKey, claim: &Claim, now: Timestamp) -> Result<(), Refusal>;

    /// Puts what was really used in the place of a claim that was granted. Returns at once: a ledger with I/O carries it on in the
    /// background.
    fn settle(&self, key: &VirtualKey, claim: &Claim, used: Used, now: Timestamp);

    /// Returns what a key spent in its present budget period, as far as is known here.
    fn spent(&self, key: &VirtualKey, now: Timestamp) -> Usd;

    /// Shares its counts through this store from now on, if it shares any.
    fn share_through(&self, _store: Option<&Arc<dyn StateStore>>) {}
}

/// What a request will probably use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Claim {
    /// When it was made.
    pub at: Timestamp,
    /// Tokens: those of the prompt.
    pub tokens: u64,
    /// Money: at the highest price that the request may come to.
    pub cost: Usd,
}

/// What a request did use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Used {
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// Money.
    pub cost: Usd,
}

impl Claim {
    /// Makes a claim.
    pub const fn new(at: Timestamp, tokens: u64, cost: Usd) -> Self {
        Self { at, tokens, cost }
    }
}

impl Used {
    /// Makes an account of what was used.
    pub const fn new(tokens: u64, cost: Usd) -> Self {
        Self { tokens, cost }
    }

    /// Adds up what these routes used, as far as it is known: failed attempts may cost, too.
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a RouteReport>) -> Self {
        let attempts = reports.into_iter().flat_map(|report| &report.attempts);
        attempts.fold(Self::default(), |sum, attempt| Self {
            tokens: sum.tokens + attempt.usage.map_or(0, |usage| usage.total()),
            cost: sum.cost.plus(attempt.cost.unwrap_or_default()),
        })
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The requests of this minute are used up; there is room again after this time.
    Requests(Duration),
    /// So are its tokens.
    Tokens(Duration),
    /// As many requests are under way as may be.
    Parallel,
    /// The budget is spent; it starts anew after this time, or never.
    Budget(Option<Duration>),
}

/// Counts in this process. The counts of a key last as long as the process does.
#[derive(Debug, Default)]
pub struct LocalLedger {
    accounts: RwLock<HashMap<KeyHash, Arc<Account>>>,
}

#[derive(Debug)]
struct Account {
    requests: MinuteWindow,
    tokens: MinuteWindow,
    /// Counted here and not told to others yet.
    untold_requests: AtomicI64,
    untold_tokens: AtomicI64,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    under_way: u32,
    period: u64,
    spent: Usd,
    /// What the requests under way will probably cost.
    held: Usd,
}

impl LocalLedger {
    /// Starts with nothing used.
    pub fn new() -> Self {
        Self::default()
    }

    fn account(&self, key: KeyHash) -> Arc<Account> {
        let known = self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
            let new = || {
                Arc::new(Account {
                    requests: MinuteWindow::new(),
                    tokens: MinuteWindow::new(),
                    untold_requests: AtomicI64::new(0),
                    untold_tokens: AtomicI64::new(0),
                    rest: Mutex::default(),
                })
            };
            Arc::clone(accounts.entry(key).or_insert_with(new))
        })
    }
}

/// What is shared with others.
impl LocalLedger {
    /// Takes a claim that was granted back: nothing was sent.
    pub(super) fn withdraw(&self, key: &VirtualKey, claim: &Claim, now: Timestamp) {
        let account = self.account(key.hash());
        account.requests.remove(1, claim.at);
        account.tokens.remove(claim.tokens, claim.at);
        account.count(-1, -signed(claim.tokens));
        account.rest(key, now).release(claim);
    }

    /// Returns what the requests under way will probably cost.
    pub(super) fn held(&self, key: &VirtualKey, now: Timestamp) -> Usd {
        self.account(key.hash()).rest(key, now).held
    }

    /// Takes note of what others used of a key's minute, at that moment.
    pub(super) fn hear(&self, key: KeyHash, consumed: Consumed, at: Timestamp) {
        let account = self.account(key);
        for (window, amount) in [(&account.requests, consumed.requests), (&account.tokens, consumed.tokens)] {
            if amount >= 0 {
                window.add(amount.unsigned_abs(), at);
            } else {
                window.remove(amount.unsigned_abs(), at);
            }
        }
    }

    /// Tells what was used here since this was last asked.
    pub(super) fn tell(&self, mut tell: impl FnMut(KeyHash, Consumed)) {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        for (key, account) in accounts.iter() {
            let consumed = Consumed {
                requests: account.untold_requests.swap(0, Relaxed),
                tokens: account.untold_tokens.swap(0, Relaxed),
            };
            if !consumed.is_zero() {
                tell(*key, consumed);
            }
        }
    }
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

impl Rest {
    fn release(&mut self, claim: &Claim) {
        self.under_way = self.under_way.saturating_sub(1);
        self.held = Usd::from_pico(self.held.as_pico().saturating_sub(claim.cost.as_pico()));
    }
}

impl Account {
    fn count(&self, requests: i64, tokens: i64) {
        self.untold_requests.fetch_add(requests, Relaxed);
        self.untold_tokens.fetch_add(tokens, Relaxed);
    }

    fn rest(&self, key: &VirtualKey, now: Timestamp) -> std::sync::MutexGuard<'_, Rest> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let period = key.limits().budget.map_or(0, |(_, period)| period.at(now).0);
        if rest.period != period {
            rest.period = period;
            rest.spent = Usd::default();
        }
        rest
    }
}

#[async_trait]
impl Ledger for LocalLedger {
    async fn claim(&self, key: &VirtualKey, claim: &Claim, now: Timestamp) -> Result<(), Refusal> {
        let (account, limits) = (self.account(key.hash()), key.limits());
        // Held throughout, so that two at once cannot both take the last of something.
        let mut rest = account.rest(key, now);
        if limits.parallel_requests.is_some_and(|most| rest.under_way >= most) {
            return Err(Refusal::Parallel);
        }
        if let Some((most, period)) = limits.budget {
            // A request without a price is let through as long as there is anything left.
            let committed = rest.spent.plus(rest.held);
            if committed >= most || committed.plus(claim.cost) > most {
                return Err(Refusal::Budget(period.at(now).1.map(|end| end.since(now))));
            }
        }
        if let Some(most) = limits.requests_per_minute
            && account.requests.sum(now) >= most
        {
            return Err(Refusal::Requests(account.requests.wait_for(1, most, now)));
        }
        if let Some(most) = limits.tokens_per_minute {
            let wanted = claim.tokens.clamp(1, most.max(1));
            if account.tokens.sum(now).saturating_add(wanted) > most {
                return Err(Refusal::Tokens(account.tokens.wait_for(wanted, most, now)));
            }
        }
        account.requests.add(1, now);
        account.tokens.add(claim.tokens, now);
        account.count(1, signed(claim.tokens));
        rest.under_way += 1;
        rest.held = rest.held.plus(claim.cost);
        Ok(())
    }

    fn settle(&self, key: &VirtualKey, claim: &Claim, used: Used, now: Timestamp) {
        let account = self.account(key.hash());
        account.tokens.remove(claim.tokens, claim.at);
        account.tokens.add(used.tokens, now);
        account.count(0, signed(used.tokens).saturating_sub(signed(claim.tokens)));
        let mut rest = account.rest(key, now);
        rest.release(claim);
        rest.spent = rest.spent.plus(used.cost);
    }

    fn spent(&self, key: &VirtualKey, now: Timestamp) -> Usd {
        self.account(key.hash()).rest(key, now).spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{BudgetPeriod, KeyLimits};

    fn key(limits: KeyLimits) -> VirtualKey {
        VirtualKey::new(KeyHash::of("sk-test"), "test").with_limits(limits)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(86_400_000 * 20_000 + seconds * 1000)
    }

    fn cents(cents: u64) -> Usd {
        Usd::from_pico(cents * 10_000_000_000)
    }

    async fn claim(
        ledger: &LocalLedger,
        key: &VirtualKey,
        tokens: u64,
        cost: Usd,
        now: Timestamp,
    ) -> Result<Claim, Refusal> {
        let claim = Claim::new(now, tokens, cost);
        ledger.claim(key, &claim, now).await.map(|()| claim)
    }

    #[tokio::test]
    async fn requests_and_tokens_per_minute_are_refused_beyond_their_limits_and_come_back() {
        let ledger = LocalLedger::new();
        let key = key(KeyLimits {
            requests_per_minute: Some(2),
            tokens_per_minute: Some(1_000),
            ..KeyLimits::default()
        });
        let first = claim(&ledger, &key, 100, Usd::default(), at(0)).await.unwrap();
        ledger.settle(&key, &first, Used::new(950, Usd::default()), at(1));
        let Err(Refusal::Tokens(wait)) = claim(&ledger, &key, 100, Usd::default(), at(2)).await else {
            panic!()
        };
        assert!((Duration::from_secs(50)..=Duration::from_secs(65)).contains(&wait), "{wait:?}");
        claim(&ledger, &key, 50, Usd::default(), at(2)).await.unwrap();
        assert!(matches!(claim(&ledger, &key, 1, Usd::default(), at(3)).await, Err(Refusal::Requests(_))));
        claim(&ledger, &key, 100, Usd::default(), at(70)).await.unwrap();
    }

    #[tokio::test]
    async fn a_budget_stops_hard_counts_what_is_under_way_and_starts_anew_the_next_day() {
        let ledger = LocalLedger::new();
        let budget = Some((cents(10), BudgetPeriod::parse("day").unwrap()));
        let key = key(KeyLimits { budget, ..KeyLimits::default() });
        let first = claim(&ledger, &key, 1, cents(6), at(0)).await.unwrap();
        let refused = claim(&ledger, &key, 1, cents(6), at(0)).await;
        assert!(matches!(refused, Err(Refusal::Budget(Some(_)))), "the first may come to 6 cents");
        ledger.settle(&key, &first, Used::new(1, cents(1)), at(1));
        let second = claim(&ledger, &key, 1, cents(6), at(1)).await.unwrap();
        ledger.settle(&key, &second, Used::new(1, cents(9)), at(2));
        assert_eq!(ledger.spent(&key, at(2)), cents(10));
        assert!(
            claim(&ledger, &key, 1, Usd::default(), at(2)).await.is_err(),
            "it is spent, whatever this one costs"
        );
        claim(&ledger, &key, 1, cents(6), at(86_400)).await.unwrap();
    }

    #[tokio::test]
    async fn parallel_requests_are_given_back() {
        let ledger = LocalLedger::new();
        let key = key(KeyLimits { parallel_requests: Some(1), ..KeyLimits::default() });
        let first = claim(&ledger, &key, 1, Usd::default(), at(0)).await.unwrap();
        assert_eq!(claim(&ledger, &key, 1, Usd::default(), at(0)).await, Err(Refusal::Parallel));
        ledger.settle(&key, &first, Used::default(), at(0));
        claim(&ledger, &key, 1, Usd::default(), at(0)).await.unwrap();
    }
}
