//! Keeps retries a share of the traffic, so that they cannot become a storm.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::Timestamp;

/// Each first attempt earns a fifth of a retry, and ten a second come for free, saved up for ten seconds at most. Finagle's and
/// tower's defaults: 20 % and 10 per second over 10 s.
const EARNED_PER_CALL: i64 = 200;
const FREE_PER_MILLI: i64 = 10;
const SAVED_AT_MOST: i64 = 100_000;
/// One retry, in thousandths.
const ONE: i64 = 1_000;

/// A purse of retries, shared by all routes of a pool or a provider.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    balance: AtomicI64,
    refilled: AtomicU64,
}

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self { balance: AtomicI64::new(SAVED_AT_MOST), refilled: AtomicU64::new(0) }
    }

    /// Takes note of a first attempt.
    pub(crate) fn earn(&self) {
        if self.balance.load(Relaxed) < SAVED_AT_MOST {
            self.balance.fetch_add(EARNED_PER_CALL, Relaxed);
        }
    }

    /// Returns whether a retry can be paid now.
    pub(crate) fn affords(&self, now: Timestamp) -> bool {
        self.refill(now);
        self.balance.load(Relaxed) >= ONE
    }

    /// Pays for a retry.
    pub(crate) fn pay(&self) {
        self.balance.fetch_sub(ONE, Relaxed);
    }

    fn refill(&self, now: Timestamp) {
        let before = self.refilled.fetch_max(now.as_millis(), Relaxed);
        let passed = i64::try_from(now.as_millis().saturating_sub(before)).unwrap_or(i64::MAX);
        let free = passed.saturating_mul(FREE_PER_MILLI);
        if free > 0 {
            let top_up = |balance: i64| Some(balance.saturating_add(free).min(SAVED_AT_MOST));
            let _ = self.balance.fetch_update(Relaxed, Relaxed, top_up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_beyond_the_share_of_traffic_cannot_be_paid() {
        let budget = RetryBudget::new();
        let now = Timestamp::from_millis(1_000_000);
        let mut paid = 0;
        for _ in 0..10_000 {
            budget.earn();
            if budget.affords(now) {
                budget.pay();
                paid += 1;
            }
        }
        assert!((2_000..=2_150).contains(&paid), "a fifth and what was saved: {paid}");
        let later = Timestamp::from_millis(1_001_000);
        let free = (0..100)
            .filter(|_| {
                budget.affords(later) && {
                    budget.pay();
                    true
                }
            })
            .count();
        assert_eq!(free, 10, "ten a second come for free");
    }
}
