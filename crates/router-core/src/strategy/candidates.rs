//! What a strategy chooses from.

use smallvec::SmallVec;

use crate::Dice;
use crate::catalog::{Deployment, DeploymentIndex, Pool};
use crate::fleet::{Fleet, Live};

/// The deployments that may be called now: at least one.
#[derive(Debug)]
pub struct Candidates<'a> {
    fleet: &'a Fleet,
    pool: &'a Pool,
    floor: u64,
    eligible: &'a Eligible,
    first: Candidate<'a>,
}

/// One deployment that may be called now.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub(crate) index: DeploymentIndex,
    deployment: &'a Deployment,
    live: &'a Live,
    floor: u64,
}

impl<'a> Candidates<'a> {
    /// Makes the view of these members; `None` when there is none.
    pub(crate) fn new(fleet: &'a Fleet, pool: &'a Pool, floor: u64, eligible: &'a Eligible) -> Option<Self> {
        let index = *pool.members().get(eligible.iter().next()?)?;
        let first = Candidate::new(fleet, index, floor);
        Some(Self { fleet, pool, floor, eligible, first })
    }

    /// Returns every candidate, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        let (fleet, pool, floor) = (self.fleet, self.pool, self.floor);
        self.eligible
            .iter()
            .filter_map(move |member| Some(Candidate::new(fleet, *pool.members().get(member)?, floor)))
    }

    /// Returns the candidate with the smallest key; the dice decide among equals, each with the same chance.
    pub fn min_by_key<K: Ord>(&self, dice: &mut Dice, key: impl Fn(&Candidate<'a>) -> K) -> Candidate<'a> {
        let mut best = self.first;
        let mut lowest = key(&best);
        let mut equals = 1;
        for candidate in self.iter().skip(1) {
            let this = key(&candidate);
            if this < lowest {
                (best, lowest, equals) = (candidate, this, 1);
            } else if this == lowest {
                // Reservoir sampling: the nth equal replaces the choice with probability 1/n.
                equals += 1;
                if dice.below(equals) == 0 {
                    best = candidate;
                }
            }
        }
        best
    }
}

impl<'a> Candidate<'a> {
    fn new(fleet: &'a Fleet, index: DeploymentIndex, floor: u64) -> Self {
        Self { index, deployment: &fleet.catalog()[index], live: fleet.live(index), floor }
    }

    /// Returns what the configuration says of it.
    pub const fn deployment(&self) -> &'a Deployment {
        self.deployment
    }

    /// Returns its calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.live.in_flight()
    }

    /// Returns its turn in weighted round-robin order: the lowest is next. A stand-by comes last.
    pub fn turn(&self) -> u64 {
        match self.deployment.stride {
            Some(_) => self.live.turn().max(self.floor),
            None => u64::MAX,
        }
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

    pub(crate) fn clear(&mut self) {
        self.words.clear();
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
