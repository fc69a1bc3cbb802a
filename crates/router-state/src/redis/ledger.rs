//! What we consumed of shared limits, what the others did, and what is not told yet.

use std::collections::HashMap;

use router_core::{AccountId, Consumed};

use super::scripts::SLOTS;

/// The books of one store. All amounts of a slot in Redis are ours plus those of others; this keeps them apart.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Not sent yet: at most one entry per account, however long Redis is away.
    untold: HashMap<AccountId, Consumed>,
    /// By slot: what of its sums is known here already, and how much of that is ours.
    slots: HashMap<u64, HashMap<AccountId, Known>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    ours: Consumed,
    others: Consumed,
}

impl Ledger {
    /// Takes note of what was consumed here.
    pub(super) fn add(&mut self, account: &AccountId, consumed: Consumed) {
        let untold = self.untold.entry(account.clone()).or_default();
        *untold = untold.plus(consumed);
    }

    /// Returns what is to be sent.
    pub(super) const fn untold(&self) -> &HashMap<AccountId, Consumed> {
        &self.untold
    }

    /// Takes note that all of it was added to this slot.
    pub(super) fn sent(&mut self, slot: u64) {
        let known = self.slots.entry(slot).or_default();
        for (account, consumed) in self.untold.drain() {
            let known = known.entry(account).or_default();
            known.ours = known.ours.plus(consumed);
        }
        self.slots.retain(|kept, _| *kept + SLOTS >= slot);
    }

    /// Reads a slot's sums and tells what others consumed since it was last read.
    pub(super) fn read(
        &mut self,
        slot: u64,
        sums: &HashMap<AccountId, Consumed>,
        mut tell: impl FnMut(&AccountId, Consumed),
    ) {
        let known = self.slots.entry(slot).or_default();
        for (account, sum) in sums {
            let known = known.entry(account.clone()).or_default();
            if sum.requests < known.ours.requests {
                // Redis lost what it knew. What was consumed before stays in the routers' own minutes.
                *known = Known { ours: *sum, others: Consumed::default() };
                continue;
            }
            let others = sum.minus(known.ours);
            let news = others.minus(known.others);
            known.others = others;
            if !news.is_zero() {
                tell(account, news);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> AccountId {
        AccountId::of_key(name)
    }

    const fn consumed(requests: i64, tokens: i64) -> Consumed {
        Consumed { requests, tokens }
    }

    fn read(ledger: &mut Ledger, slot: u64, sum: Consumed) -> Vec<Consumed> {
        let mut news = Vec::new();
        ledger.read(slot, &HashMap::from([(id("a"), sum)]), |_, consumed| news.push(consumed));
        news
    }

    #[test]
    fn only_what_others_consumed_is_news_and_only_once() {
        let mut ledger = Ledger::default();
        ledger.add(&id("a"), consumed(2, 100));
        ledger.add(&id("a"), consumed(1, -20));
        assert_eq!(ledger.untold()[&id("a")], consumed(3, 80));
        ledger.sent(7);
        assert!(ledger.untold().is_empty());
        assert_eq!(read(&mut ledger, 7, consumed(3, 80)), []);
        assert_eq!(read(&mut ledger, 7, consumed(8, 500)), [consumed(5, 420)]);
        assert_eq!(read(&mut ledger, 7, consumed(8, 450)), [consumed(0, -50)], "an estimate was too high");
        assert_eq!(read(&mut ledger, 8, consumed(4, 40)), [consumed(4, 40)]);
    }

    #[test]
    fn a_server_that_lost_its_memory_takes_nothing_back() {
        let mut ledger = Ledger::default();
        ledger.add(&id("a"), consumed(10, 1_000));
        ledger.sent(7);
        read(&mut ledger, 7, consumed(15, 1_500));
        assert_eq!(read(&mut ledger, 7, consumed(2, 200)), []);
        assert_eq!(read(&mut ledger, 7, consumed(3, 300)), [consumed(1, 100)]);
    }

    #[test]
    fn what_is_kept_does_not_grow_with_time() {
        let mut ledger = Ledger::default();
        for slot in 0..1_000 {
            ledger.add(&id("a"), consumed(1, 1));
            ledger.sent(slot);
        }
        assert!(ledger.slots.len() <= 13, "{}", ledger.slots.len());
    }
}
