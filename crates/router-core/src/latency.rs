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
    pub(crate) const fn new() -> Self {
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
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    samples: [(u64, Timestamp); SAMPLES],
    len: usize,
    next: usize,
}

impl Samples {
    const fn new() -> Self {
        let samples = [(0, Timestamp::from_millis(0)); SAMPLES];
        Self {
            p50: AtomicU64::new(0),
            ewma: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            ring: Mutex::new(Ring { samples, len: 0, next: 0 }),
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
    /// Adds a sample and returns the median of those that are not too old.
    fn add(&mut self, micros: u64, now: Timestamp) -> u64 {
        if let Some(slot) = self.samples.get_mut(self.next) {
            *slot = (micros, now);
        }
        self.next = (self.next + 1) % SAMPLES;
        self.len = (self.len + 1).min(SAMPLES);
        let mut fresh = [0; SAMPLES];
        let mut count = 0;
        for (sample, taken) in self.samples.iter().take(self.len) {
            if now.since(*taken) < SAMPLE_LIFE
                && let Some(slot) = fresh.get_mut(count)
            {
                *slot = *sample;
                count += 1;
            }
        }
        let fresh = fresh.get_mut(..count).unwrap_or_default();
        let middle = (count.saturating_sub(1)) / 2;
        *fresh.select_nth_unstable(middle).1
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
