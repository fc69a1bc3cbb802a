//! How fast somebody has been, in a form that can be added up.

use std::collections::BTreeMap;
use std::time::Duration;

/// Buckets for each doubling: a latency is known to an eighth.
const PARTS_BITS: u32 = 2;

/// Counts of latencies in buckets that widen with them. Those of several routers add up, in any order, to what one would have that saw
/// all. It has a bucket for each size that was seen, 256 at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LatencySketch {
    counts: BTreeMap<u8, u32>,
}

impl LatencySketch {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        self.add_micros(super::as_micros(latency));
    }

    pub(super) fn add_micros(&mut self, micros: u64) {
        *self.counts.entry(bucket(micros)).or_default() += 1;
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            let sum = self.counts.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Returns how many were counted.
    pub fn count(&self) -> u64 {
        self.counts.values().map(|count| u64::from(*count)).sum()
    }

    /// Returns whether none were.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the latency that so many of a thousand were not above, to an eighth; `None` when none were counted.
    pub fn quantile(&self, thousandths: u64) -> Option<Duration> {
        let rank = self.count().checked_sub(1)? * thousandths.min(1_000) / 1_000;
        let mut below = 0;
        for (bucket, count) in &self.counts {
            below += u64::from(*count);
            if below > rank {
                return Some(Duration::from_micros(middle(*bucket)));
            }
        }
        None
    }

    /// Returns the buckets and their counts, for whoever carries them elsewhere. Collected again they are the same sketch.
    pub fn buckets(&self) -> impl Iterator<Item = (u8, u32)> {
        self.counts.iter().map(|(bucket, count)| (*bucket, *count))
    }
}

impl FromIterator<(u8, u32)> for LatencySketch {
    fn from_iter<I: IntoIterator<Item = (u8, u32)>>(buckets: I) -> Self {
        Self { counts: buckets.into_iter().filter(|(_, count)| *count > 0).collect() }
    }
}

/// The position of the highest bit, and the two below it.
#[expect(clippy::cast_possible_truncation, reason = "63 and two bits fit into a byte")]
const fn bucket(micros: u64) -> u8 {
    if micros < 1 << PARTS_BITS {
        return micros as u8;
    }
    let power = micros.ilog2();
    let part = (micros >> (power - PARTS_BITS)) & ((1 << PARTS_BITS) - 1);
    ((power as u64) << PARTS_BITS | part) as u8
}

/// The middle of a bucket, in microseconds.
const fn middle(bucket: u8) -> u64 {
    let power = (bucket >> PARTS_BITS) as u32;
    if power < PARTS_BITS {
        return bucket as u64;
    }
    let width = 1 << (power - PARTS_BITS);
    let part = (bucket as u64) & ((1 << PARTS_BITS) - 1);
    (1 << power) + part * width + width / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(micros: &[u64]) -> LatencySketch {
        let mut sketch = LatencySketch::default();
        micros.iter().for_each(|micros| sketch.add_micros(*micros));
        sketch
    }

    proptest! {
        #[test]
        fn what_is_merged_in_any_order_is_what_one_would_have_counted(
            a in proptest::collection::vec(0..u64::MAX / 2, 0..50),
            b in proptest::collection::vec(0..10_000_000_u64, 0..50),
        ) {
            let (mut one, mut other) = (sketch(&a), sketch(&b));
            one.merge(&sketch(&b));
            other.merge(&sketch(&a));
            let all: Vec<u64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(&one, &sketch(&all));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.count(), all.len() as u64);
            prop_assert_eq!(one.buckets().collect::<LatencySketch>(), one);
        }

        #[test]
        fn a_quantile_is_right_to_an_eighth(mut micros in proptest::collection::vec(1..u64::MAX / 4, 1..100), thousandths in 0..=1_000_u64) {
            let found = sketch(&micros).quantile(thousandths).unwrap().as_micros();
            micros.sort_unstable();
            let right = u128::from(micros[usize::try_from((micros.len() as u64 - 1) * thousandths / 1_000).unwrap()]);
            prop_assert!(found.abs_diff(right) <= right / 8 + 1, "{found} is not {right}");
        }
    }
}
