//! What is known of an account: the side that decides.

use std::collections::BTreeMap;

use super::{Answer, Message, Reply, SLOTS, Spans, Verdict};

/// The state of one account. `redis/account.lua` does the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Account {
    /// Requests and tokens by slot.
    slots: BTreeMap<u64, Slot>,
    period: u64,
    spent: u64,
    workers: BTreeMap<u64, Worker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Slot {
    requests: u64,
    tokens: u64,
}

/// What is remembered of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Worker {
    number: u64,
    held: u64,
    heard: u64,
    slot: u64,
    verdicts: Vec<Verdict>,
}

impl Account {
    /// Takes note of a message and answers it, in one step.
    pub(crate) fn exchange(&mut self, message: &Message, now: u64, spans: Spans) -> Reply {
        if now < message.period.start || now >= message.period.end {
            return Reply { now, answer: Answer::OtherPeriod };
        }
        if let Some(known) = self.workers.get(&message.worker)
            && message.number <= known.number
        {
            // It arrived before; what was answered then stands.
            let (slot, verdicts) = (known.slot, known.verdicts.clone());
            return Reply { now, answer: Answer::Done { slot, spent: self.spent, verdicts } };
        }
        let present = now / spans.slot;
        self.slots.retain(|slot, _| slot + SLOTS >= present);
        self.workers.retain(|worker, known| *worker == message.worker || known.heard + spans.memory > now);
        self.settle(message, present);

        let others = self
            .workers
            .iter()
            .filter(|(worker, known)| **worker != message.worker && known.heard + spans.lease > now);
        let held_by_others = others.fold(0_u64, |sum, (_, known)| sum.saturating_add(known.held));
        let mut held = message.held;
        let mut verdicts = Vec::with_capacity(message.claims.len());
        for ask in &message.claims {
            let committed = self.spent.saturating_add(held_by_others).saturating_add(held);
            let verdict = self.verdict(message, ask.tokens, ask.cost, committed, now, spans);
            if verdict == Verdict::Granted {
                let slot = self.slots.entry(present).or_default();
                slot.requests += 1;
                slot.tokens = slot.tokens.saturating_add(ask.tokens);
                held = held.saturating_add(ask.cost);
            }
            verdicts.push(verdict);
        }
        let known = Worker { number: message.number, held, heard: now, slot: present, verdicts };
        let answer = Answer::Done { slot: present, spent: self.spent, verdicts: known.verdicts.clone() };
        self.workers.insert(message.worker, known);
        Reply { now, answer }
    }

    fn settle(&mut self, message: &Message, present: u64) {
        if self.period != message.period.number {
            self.period = message.period.number;
            self.spent = 0;
        }
        // Less than the worker was told before: the server lost its memory.
        self.spent = self.spent.max(message.floor).saturating_add(message.spent);
        for returned in &message.returned {
            if let Some(slot) = self.slots.get_mut(&returned.slot) {
                slot.requests = slot.requests.saturating_sub(returned.requests);
                slot.tokens = slot.tokens.saturating_sub(returned.tokens);
            }
        }
        if message.tokens > 0 {
            let slot = self.slots.entry(present).or_default();
            slot.tokens = slot.tokens.saturating_add(message.tokens);
        }
    }

    fn verdict(
        &self,
        message: &Message,
        tokens: u64,
        cost: u64,
        committed: u64,
        now: u64,
        spans: Spans,
    ) -> Verdict {
        if let Some(budget) = message.limits.budget {
            let most = budget.most.as_pico();
            // A request without a price is let through as long as there is anything left.
            if committed >= most || committed.saturating_add(cost) > most {
                return Verdict::Budget;
            }
        }
        if let Some(most) = message.limits.requests {
            let used: u64 = self.slots.values().map(|slot| slot.requests).sum();
            if used >= most {
                return Verdict::Requests(self.wait(
                    |slot| slot.requests,
                    (used + 1).saturating_sub(most),
                    now,
                    spans,
                ));
            }
        }
        if let Some(most) = message.limits.tokens {
            let used: u64 = self.slots.values().map(|slot| slot.tokens).sum();
            // More than the whole limit goes through when nothing else is under way: no wait would help it.
            let wanted = tokens.max(1).min(most.max(1));
            if used.saturating_add(wanted) > most {
                let excess = used.saturating_add(wanted) - most;
                return Verdict::Tokens(self.wait(|slot| slot.tokens, excess, now, spans));
            }
        }
        Verdict::Granted
    }

    /// How long it takes until slots with so much have passed.
    fn wait(&self, of: impl Fn(&Slot) -> u64, excess: u64, now: u64, spans: Spans) -> u64 {
        let mut freed = 0_u64;
        for (number, slot) in &self.slots {
            freed = freed.saturating_add(of(slot));
            if freed >= excess {
                return (number + SLOTS + 1) * spans.slot - now;
            }
        }
        (SLOTS + 1) * spans.slot
    }
}
