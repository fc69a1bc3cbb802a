//! What one worker knows of an account: the side that asks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use router_core::{AccountLimits, Refused, Settlement, Timestamp, Usd};

use super::{Answer, Ask, MOST_MONEY, Message, NEVER, Period, Reply, Return, SLOTS, Spans, Verdict};

/// The most claims in one message, so that a server is never busy with one for long.
const BATCH: usize = 128;

/// The books of one worker. `T` is whoever waits for an answer. Times are milliseconds of the worker's clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Books<T> {
    worker: u64,
    number: u64,
    spans: Spans,
    limits: AccountLimits,
    /// How far the server's clock is ahead of ours.
    ahead: i64,
    /// What all spent in a period, as we were told last: the period's number and the amount.
    floor: (u64, u64),
    /// Granted and not settled.
    held: u64,
    /// Settled and not told.
    spent: u64,
    tokens: u64,
    returned: BTreeMap<u64, (u64, u64)>,
    waiting: VecDeque<(T, Ask)>,
    under_way: Option<(Message, Vec<T>)>,
    /// What the server believes we hold, and since when.
    told_held: u64,
    told_at: u64,
}

/// What a claim was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Given {
    /// A place, counted in this slot.
    Place {
        slot: u64,
        tokens: u64,
        cost: u64,
    },
    Nothing(Refused),
}

impl<T> Books<T> {
    pub(crate) fn new(worker: u64, spans: Spans) -> Self {
        Self {
            worker,
            number: 0,
            spans,
            limits: AccountLimits::default(),
            ahead: 0,
            floor: (0, 0),
            held: 0,
            spent: 0,
            tokens: 0,
            returned: BTreeMap::new(),
            waiting: VecDeque::new(),
            under_way: None,
            told_held: 0,
            told_at: 0,
        }
    }

    /// Takes note of the present limits.
    pub(crate) const fn know(&mut self, limits: AccountLimits) {
        self.limits = limits;
    }

    /// Takes note of somebody who asks for a place.
    pub(crate) fn claim(&mut self, who: T, limits: AccountLimits, tokens: u64, cost: Usd) {
        self.know(limits);
        // Without a budget nothing has to be held, and so nothing has to be renewed.
        let cost = if limits.budget.is_some() { cost.as_pico().min(MOST_MONEY) } else { 0 };
        self.waiting.push_back((who, Ask { tokens, cost }));
    }

    /// Forgets those who wait no more. Who is asked for already is given a place all the same, and has to give it back.
    #[cfg(feature = "redis")]
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&T) -> bool) {
        self.waiting.retain(|(who, _)| !is_gone(who));
    }

    /// Puts what was used in the place of what was given.
    pub(crate) fn settle(&mut self, slot: u64, tokens: u64, cost: u64, settlement: Settlement) {
        self.held = self.held.saturating_sub(cost);
        let (requests, given_back, used, spent) = match settlement {
            Settlement::Unused => (1, tokens, 0, 0),
            Settlement::Used { tokens: None, cost } => (0, 0, 0, cost.as_pico()),
            Settlement::Used { tokens: Some(used), cost } => (0, tokens, used, cost.as_pico()),
        };
        if requests > 0 || given_back != used {
            let returned = self.returned.entry(slot).or_default();
            returned.0 += requests;
            returned.1 = returned.1.saturating_add(given_back);
            self.tokens = self.tokens.saturating_add(used);
        }
        if self.limits.budget.is_some() {
            self.spent = self.spent.saturating_add(spent).min(MOST_MONEY);
        }
    }

    /// Returns what is to be sent, if anything is. The same comes again until it is answered.
    pub(crate) fn message(&mut self, now: u64) -> Option<&Message> {
        if self.under_way.is_none() && self.has_news(now) {
            let present = self.server_time(now) / self.spans.slot;
            let returned = std::mem::take(&mut self.returned).into_iter();
            let returned = returned.filter(|(slot, _)| slot + SLOTS >= present);
            let returned = returned.map(|(slot, (requests, tokens))| Return { slot, requests, tokens });
            let asking = self.waiting.len().min(BATCH);
            let (who, claims) = self.waiting.drain(..asking).unzip();
            let period = self.period(now);
            self.number += 1;
            let message = Message {
                worker: self.worker,
                number: self.number,
                limits: self.limits,
                period,
                floor: self.floor_of(period),
                spent: std::mem::take(&mut self.spent),
                held: self.held,
                tokens: std::mem::take(&mut self.tokens),
                returned: returned.collect(),
                claims,
            };
            self.told_at = now;
            self.under_way = Some((message, who));
        }
        self.under_way.as_ref().map(|(message, _)| message)
    }

    /// Takes the answer to the message that is under way, and returns who was given what.
    pub(crate) fn hear(&mut self, reply: Reply, now: u64) -> Vec<(T, Given)> {
        self.ahead = signed(reply.now).saturating_sub(signed(now));
        let Some((mut message, who)) = self.under_way.take() else { return Vec::new() };
        let (slot, spent, verdicts) = match reply.answer {
            Answer::Done { slot, spent, verdicts } => (slot, spent, verdicts),
            Answer::OtherPeriod => {
                message.period = self.period(now);
                message.floor = self.floor_of(message.period);
                self.under_way = Some((message, who));
                return Vec::new();
            }
        };
        self.floor = (message.period.number, spent);
        self.told_held = message.held;
        let mut given = Vec::with_capacity(who.len());
        for ((who, ask), verdict) in who.into_iter().zip(message.claims).zip(verdicts) {
            given.push((
                who,
                match verdict {
                    Verdict::Granted => {
                        self.held = self.held.saturating_add(ask.cost);
                        self.told_held = self.told_held.saturating_add(ask.cost);
                        Given::Place { slot, tokens: ask.tokens, cost: ask.cost }
                    }
                    Verdict::Requests(wait) => Given::Nothing(Refused::Requests(Duration::from_millis(wait))),
                    Verdict::Tokens(wait) => Given::Nothing(Refused::Tokens(Duration::from_millis(wait))),
                    Verdict::Budget => {
                        let end = Some(message.period.end).filter(|end| *end < NEVER);
                        let wait = end.map(|end| Duration::from_millis(end.saturating_sub(reply.now)));
                        Given::Nothing(Refused::Budget(wait))
                    }
                },
            ));
        }
        given
    }

    /// Returns what all spent in the present period, as far as is known here.
    pub(crate) fn known_spent(&self, now: u64) -> Usd {
        let untold = self.under_way.as_ref().map_or(0, |(message, _)| message.spent);
        Usd::from_pico(self.floor_of(self.period(now)).saturating_add(self.spent).saturating_add(untold))
    }

    /// Whether there is something to tell, or money to be held on to.
    pub(crate) fn has_news(&self, now: u64) -> bool {
        let silent = now.saturating_sub(self.told_at);
        self.under_way.is_some()
            || !self.waiting.is_empty()
            || self.spent > 0
            || ((self.tokens > 0 || !self.returned.is_empty()) && silent >= self.spans.patience)
            || self.held != self.told_held
            || (self.held > 0 && silent >= self.spans.lease / 3)
    }

    fn floor_of(&self, period: Period) -> u64 {
        if self.floor.0 == period.number { self.floor.1 } else { 0 }
    }

    fn period(&self, now: u64) -> Period {
        let forever = Period { number: 0, start: 0, end: NEVER };
        self.limits.budget.map_or(forever, |budget| {
            let (number, span) = budget.period.span(Timestamp::from_millis(self.server_time(now)));
            span.map_or(forever, |(start, end)| Period {
                number,
                start: start.as_millis(),
                end: end.as_millis(),
            })
        })
    }

    fn server_time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.ahead)
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
