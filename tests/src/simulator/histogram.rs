//! Counts of spans by their length, in constant memory.

use std::time::Duration;

/// Each power of two is cut into this many buckets, so a quantile is at most 1.6 % too high.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// How many spans there were of each length: logarithmic buckets with linear steps, as in HdrHistogram.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, micros: u64) {
        let bucket = bucket(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// Returns how many spans there are.
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// Returns the span that this many of a thousand do not exceed; zero when there is none.
    pub fn per_mille(&self, share: u64) -> Duration {
        let rank = (self.total * share).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank && seen > 0 {
                return Duration::from_micros(highest(bucket as u64));
            }
        }
        Duration::ZERO
    }

    /// Returns the median.
    pub fn p50(&self) -> Duration {
        self.per_mille(500)
    }

    /// Returns the 99th percentile.
    pub fn p99(&self) -> Duration {
        self.per_mille(990)
    }
}

/// Up to `STEPS` each value has its own bucket; above, each power of two has `STEPS` of them.
#[expect(clippy::cast_possible_truncation, reason = "at most 59 * 64")]
const fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let power = micros.ilog2() - STEP_BITS;
    ((power as u64 + 1) * STEPS + (micros >> power) - STEPS) as usize
}

/// The largest value of a bucket.
const fn highest(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_a_bucket_that_ends_at_most_a_64th_above_it() {
        for micros in (0..2_000).chain((1..40).map(|n| (1 << n) + 12_345)) {
            let end = highest(bucket(micros) as u64);
            assert!(end >= micros && end - micros <= micros / 64, "{micros} ends at {end}");
        }
    }

    #[test]
    fn quantiles_count_from_the_shortest() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.add(micros));
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        for histogram in [histogram, twice] {
            assert!((500..=508).contains(&histogram.p50().as_micros()));
            assert!((990..=1006).contains(&histogram.p99().as_micros()));
        }
        assert_eq!(Histogram::default().p99(), Duration::ZERO);
    }
}
