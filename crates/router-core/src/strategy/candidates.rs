//! What a strategy chooses from.

use std::cmp::{Ordering, Reverse};

use smallvec::SmallVec;

use crate::catalog::{Deployment, DeploymentIndex, PoolIndex};
use crate::demand::{Demand, RequestKind};
use crate::fleet::{Fleet, Live};
use crate::window::MinuteWindow;
use crate::{Dice, Price, Timestamp};

/// The share of requests that may explore, and how long a deployment is left alone before, in milliseconds.
const EXPLORE_ONE_IN: u64 = 20;
const EXPLORE_AFTER: u64 = 5_000;

/// How many calls in flight weigh as much as a latency twice as long.
const CALLS_THAT_DOUBLE: u64 = 3;

/// The deployments that may be called now: at least one.
#[derive(Debug)]
pub struct Candidates<'a> {
    fleet: &'a Fleet,
    pool: PoolIndex,
    demand: &'a Demand,
    now: Timestamp,
    eligible: &'a Eligible,
    first: Candidate<'a>,
}

/// One deployment that may be called now.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub(crate) index: DeploymentIndex,
    fleet: &'a Fleet,
    live: &'a Live,
    round: u64,
    token_round: u64,
    now: Timestamp,
}

impl<'a> Candidates<'a> {
    /// Makes the view of these members; `None` when there is none.
    pub(crate) fn new(
        fleet: &'a Fleet,
        pool: PoolIndex,
        demand: &'a Demand,
        now: Timestamp,
        eligible: &'a Eligible,
    ) -> Option<Self> {
        let index = *fleet.catalog()[pool].members().get(eligible.iter().next()?)?;
        let first = Candidate::new(fleet, index, fleet.live_pool(pool).rounds(), now);
        Some(Self { fleet, pool, demand, now, eligible, first })
    }

    /// Returns what the request asks for.
    pub const fn demand(&self) -> &'a Demand {
        self.demand
    }

    /// Returns the present moment.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns how many tokens the answer will probably have, by this pool's last answers and the request's own limit.
    pub fn expected_completion(&self) -> u64 {
        self.fleet.live_pool(self.pool).expected_completion(self.demand)
    }

    /// Returns every candidate, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        let (fleet, rounds, now) = (self.fleet, (self.first.round, self.first.token_round), self.now);
        let members = fleet.catalog()[self.pool].members();
        self.eligible
            .iter()
            .filter_map(move |member| Some(Candidate::new(fleet, *members.get(member)?, rounds, now)))
    }

    /// Returns the candidate with the smallest key; the dice decide among equals, each with the same chance.
    pub fn min_by_key<K: Ord>(&self, dice: &mut Dice, key: impl Fn(&Candidate<'a>) -> K) -> Candidate<'a> {
        let (mut best, mut lowest, mut equals) = (self.first, None, 1);
        let members = self.fleet.catalog()[self.pool].members();
        self.eligible.for_each(|member| {
            let Some(index) = members.get(member) else { return };
            let candidate = Candidate { index: *index, live: self.fleet.live(*index), ..self.first };
            let this = key(&candidate);
            match lowest.as_ref().map_or(Ordering::Less, |lowest| this.cmp(lowest)) {
                Ordering::Greater => {}
                Ordering::Less => (best, lowest, equals) = (candidate, Some(this), 1),
                Ordering::Equal => {
                    // Reservoir sampling: the nth equal replaces the choice with probability 1/n.
                    equals += 1;
                    if dice.below(equals) == 0 {
                        best = candidate;
                    }
                }
            }
        });
        best
    }

    /// Returns whom to explore, for one request in twenty: whoever was left alone for longest, if that is five seconds at least. So a
    /// deployment that became fast is found out, and one that is still slow delays one request in that time, however much traffic
    /// there is.
    pub fn explore(&self, dice: &mut Dice) -> Option<Candidate<'a>> {
        if dice.below(EXPLORE_ONE_IN) != 0 {
            return None;
        }
        let kind = self.demand.kind;
        let forgotten = self.min_by_key(dice, |candidate| Reverse(candidate.quiet(kind)));
        (forgotten.quiet(kind) >= EXPLORE_AFTER).then_some(forgotten)
    }

    /// Returns two different candidates, or the only one twice; every pair has the same chance.
    pub fn draw_two(&self, dice: &mut Dice) -> [Candidate<'a>; 2] {
        let count = self.eligible.len();
        let first = dice.below(count as u64);
        let second = match count {
            1 => first,
            _ => (first + 1 + dice.below(count as u64 - 1)) % count as u64,
        };
        [first, second]
            .map(|n| usize::try_from(n).ok().and_then(|n| self.iter().nth(n)).unwrap_or(self.first))
    }
}

impl<'a> Candidate<'a> {
    fn new(
        fleet: &'a Fleet,
        index: DeploymentIndex,
        (round, token_round): (u64, u64),
        now: Timestamp,
    ) -> Self {
        Self { index, fleet, live: fleet.live(index), round, token_round, now }
    }

    /// Returns what the configuration says of it.
    pub fn deployment(&self) -> &'a Deployment {
        &self.fleet.catalog()[self.index]
    }

    /// Returns its calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.live.in_flight()
    }

    /// Returns what another call would take if it usually takes this long: more with every call in flight, so that a burst spreads
    /// before its first answer is back. Three calls in flight count as much as a latency twice as long: providers answer many calls
    /// at a time, and ten times the latency is not made good by a few calls less.
    pub fn under_load(&self, latency: u64) -> u64 {
        latency.max(1).saturating_mul(u64::from(self.in_flight()) + CALLS_THAT_DOUBLE)
    }

    /// Returns its turn in weighted round-robin order: the lowest is next. A stand-by comes last.
    pub fn turn(&self) -> u64 {
        self.live.turn_in(self.round)
    }

    /// Returns its turn in an order that deals out tokens instead of calls.
    pub fn token_turn(&self) -> u64 {
        self.live.token_turn_in(self.token_round)
    }

    /// Returns the median of its last latencies, in microseconds: of whole replies, or of first tokens.
    pub fn p50(&self, kind: RequestKind) -> Option<u64> {
        self.live.latency.of(kind).p50()
    }

    /// Returns the peak-sensitive moving average of its latencies, in microseconds.
    pub fn ewma(&self, kind: RequestKind) -> Option<u64> {
        self.live.latency.of(kind).ewma()
    }

    /// Returns for how long nothing was sent to it and nothing heard from it, in milliseconds; since ever, when there was nothing
    /// yet.
    pub fn quiet(&self, kind: RequestKind) -> u64 {
        self.live.latency.of(kind).quiet(self.now)
    }

    /// Returns what it charges, when that is known.
    pub const fn price(&self) -> Option<Price> {
        self.live.price
    }

    /// Returns the used share of its tightest limit, in thousandths: rpm and tpm within the last minute, calls in flight by their
    /// estimates, and what the provider's own headers say. 0 when it has none.
    pub fn used(&self) -> u64 {
        let told = self.live.gauge.used(self.now).unwrap_or(0);
        if !self.live.is_limited {
            return told;
        }
        let share = |window: &MinuteWindow, limit: Option<u64>| {
            limit.map_or(0, |limit| window.sum(self.now).saturating_mul(1000) / limit.max(1))
        };
        let limits = self.deployment().limits;
        told.max(share(&self.live.tokens, limits.tpm)).max(share(&self.live.requests, limits.rpm))
    }
}

/// Which members of a pool may be called, by their position in it. Pools of up to 1,024 need no allocation.
#[derive(Debug, Default)]
pub(crate) struct Eligible {
    words: SmallVec<[u64; 16]>,
}

impl Eligible {
    pub(crate) fn insert(&mut self, member: usize) {
        let word = member / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (member % 64);
        }
    }

    pub(crate) fn remove(&mut self, member: usize) {
        if let Some(bits) = self.words.get_mut(member / 64) {
            *bits &= !(1 << (member % 64));
        }
    }

    pub(crate) fn contains(&self, member: usize) -> bool {
        self.words.get(member / 64).is_some_and(|bits| bits >> (member % 64) & 1 == 1)
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Like [`iter`](Self::iter), as a plain loop: the compiler makes half the instructions of it.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(usize)) {
        for (n, word) in self.words.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                visit(n * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(n, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    n * 64 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_kept_in_order_without_the_removed() {
        let mut eligible = Eligible::default();
        for member in [3, 200, 64, 63, 0] {
            eligible.insert(member);
        }
        eligible.remove(64);
        assert_eq!(eligible.iter().collect::<Vec<_>>(), [0, 3, 63, 200]);
        eligible.clear();
        assert_eq!(eligible.iter().count(), 0);
    }
}
