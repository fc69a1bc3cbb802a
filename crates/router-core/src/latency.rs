//! How fast a deployment has been.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Timestamp;

/// Samples kept: enough for a steady median, few enough to follow a change within a minute of light traffic.
const SAMPLES: usize = 32;

/// Older samples say nothing about now.
const SAMPLE_LIFE: Duration = Duration::from_secs(600);

/// How fast an average forgets: tower's and Finagle's default for peak EWMA, 10 s.
const EWMA_DECAY_MILLIS: f64 = 10_000.0;

/// Latency samples of one deployment, whole replies and first tokens apart. Reading is one atomic load.
#[derive(Debug)]
pub(crate) struct Latency {
    pub(crate) whole: Samples,
    pub(crate) first_token: Samples,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self { whole: Samples::new(), first_token: Samples::new() }
    }
}

#[derive(Debug)]
pub(crate) struct Samples {
    /// Microseconds plus one; 0 when nothing is known.
    p50: AtomicU64,
    /// Microseconds plus one, as of `stamp`; 0 when nothing is known.
    ewma: AtomicU64,
    stamp: AtomicU64,
    /// Apart from the rest: only writers touch it, and readers of many deployments want them close together.
    ring: Box<Mutex<Ring>>,
}

/// The last samples, by age and by size.
#[derive(Debug)]
struct Ring {
    by_age: [(u64, Timestamp); SAMPLES],
    oldest: usize,
    len: usize,
    /// The same `len` samples in ascending order.
    by_size: [u64; SAMPLES],
}

impl Samples {
    fn new() -> Self {
        Self {
            p50: AtomicU64::new(0),
            ewma: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            ring: Box::new(Mutex::new(Ring::new())),
        }
    }

    /// Adds a sample. Where two threads meet, one sample is left out rather than waited for.
    pub(crate) fn add(&self, latency: Duration, now: Timestamp) {
        let Ok(mut ring) = self.ring.try_lock() else { return };
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX - 1);
        self.p50.store(ring.add(micros, now) + 1, Relaxed);
        let present = self.ewma.load(Relaxed).saturating_sub(1);
        // Peak-sensitive: a slower answer counts at once, a faster one bit by bit (Finagle's PeakEwma).
        let average = micros.max(micros + self.faded(present.saturating_sub(micros), now));
        self.ewma.store(average + 1, Relaxed);
        self.stamp.store(now.as_millis(), Relaxed);
    }

    /// Returns the median of the last samples, in microseconds.
    pub(crate) fn p50(&self) -> Option<u64> {
        self.p50.load(Relaxed).checked_sub(1)
    }

    /// Returns the peak-sensitive moving average, in microseconds. It fades while nothing is heard, so that a deployment which
    /// was slow once is tried again.
    pub(crate) fn ewma(&self, now: Timestamp) -> Option<u64> {
        self.ewma.load(Relaxed).checked_sub(1).map(|average| self.faded(average, now))
    }

    /// What is left of an amount since the last sample.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a number that fits"
    )]
    fn faded(&self, amount: u64, now: Timestamp) -> u64 {
        let passed = now.as_millis().saturating_sub(self.stamp.load(Relaxed));
        (amount as f64 * (-(passed as f64) / EWMA_DECAY_MILLIS).exp()) as u64
    }
}

impl Ring {
    const fn new() -> Self {
        let by_age = [(0, Timestamp::from_millis(0)); SAMPLES];
        Self { by_age, oldest: 0, len: 0, by_size: [0; SAMPLES] }
    }

    /// Adds a sample and returns the median of those that are not too old.
    fn add(&mut self, micros: u64, now: Timestamp) -> u64 {
        while let Some((sample, taken)) = self.oldest()
            && (self.len == SAMPLES || now.since(taken) >= SAMPLE_LIFE)
        {
            self.forget(sample);
        }
        if let Some(slot) = self.by_age.get_mut((self.oldest + self.len) % SAMPLES) {
            *slot = (micros, now);
        }
        let at = self.sorted().partition_point(|sample| *sample < micros);
        self.by_size.copy_within(at..self.len, at + 1);
        self.len += 1;
        if let Some(slot) = self.by_size.get_mut(at) {
            *slot = micros;
        }
        self.sorted().get((self.len - 1) / 2).copied().unwrap_or(micros)
    }

    fn oldest(&self) -> Option<(u64, Timestamp)> {
        if self.len == 0 { None } else { self.by_age.get(self.oldest).copied() }
    }

    /// Drops the oldest sample, which is this one.
    fn forget(&mut self, sample: u64) {
        let at = self.sorted().partition_point(|other| *other < sample);
        self.by_size.copy_within((at + 1).min(self.len)..self.len, at);
        self.oldest = (self.oldest + 1) % SAMPLES;
        self.len -= 1;
    }

    fn sorted(&self) -> &[u64] {
        self.by_size.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_median_follows_the_last_samples() {
        let samples = Samples::new();
        assert_eq!(samples.p50(), None);
        for n in 1..=9 {
            samples.add(ms(n * 100), at(n));
        }
        assert_eq!(samples.p50(), Some(500_000));
        for _ in 0..SAMPLES {
            samples.add(ms(50), at(10));
        }
        assert_eq!(samples.p50(), Some(50_000));
    }

    #[test]
    fn one_outlier_does_not_move_the_median_and_old_samples_leave_it() {
        let samples = Samples::new();
        for _ in 0..9 {
            samples.add(ms(100), at(0));
        }
        samples.add(ms(60_000), at(1));
        assert_eq!(samples.p50(), Some(100_000));
        samples.add(ms(300), at(700));
        assert_eq!(samples.p50(), Some(300_000), "only the fresh one counts");
    }

    proptest::proptest! {
        #[test]
        fn the_median_is_that_of_the_last_fresh_samples(
            samples in proptest::collection::vec((0..5_000_u64, 0..60_u64), 1..200),
        ) {
            let mut ring = Ring::new();
            let mut log: Vec<(u64, Timestamp)> = Vec::new();
            let mut now = at(0);
            for (micros, pause) in samples {
                now = now + Duration::from_secs(pause);
                let median = ring.add(micros, now);
                log.push((micros, now));
                let last = log.iter().rev().take(SAMPLES).filter(|(_, taken)| now.since(*taken) < SAMPLE_LIFE);
                let mut last: Vec<u64> = last.map(|(micros, _)| *micros).collect();
                last.sort_unstable();
                proptest::prop_assert_eq!(median, last[(last.len() - 1) / 2]);
            }
        }
    }

    #[test]
    fn the_average_jumps_to_a_peak_and_comes_down_slowly() {
        let samples = Samples::new();
        samples.add(ms(100), at(0));
        samples.add(ms(2_000), at(1));
        assert_eq!(samples.ewma(at(1)), Some(2_000_000));
        samples.add(ms(100), at(2));
        let after = samples.ewma(at(2)).unwrap();
        assert!((1_700_000..1_900_000).contains(&after), "{after}");
        samples.add(ms(100), at(60));
        assert!(samples.ewma(at(60)).unwrap() < 110_000);
    }
}
