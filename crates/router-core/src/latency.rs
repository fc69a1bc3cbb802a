//! How fast a deployment has been.

mod sketch;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use self::sketch::LatencySketch;
use crate::Timestamp;
use crate::demand::RequestKind;

/// Samples kept: enough for a steady median.
const SAMPLES: usize = 32;

/// Older samples say nothing about now.
const SAMPLE_LIFE: Duration = Duration::from_secs(600);

/// When the median of the last few is so many times that of all, or so little of it, the deployment has changed and what came
/// before is forgotten: a brown-out is known after three slow answers instead of sixteen. Latencies that vary by a factor of
/// 2.2 (a log-normal's sigma of 0.8, as whole replies do) come to that by chance once in two hundred samples.
const LAST_FEW: usize = 5;
const CHANGED_BY: u64 = 3;

/// How fast an average forgets: tower's and Finagle's default for peak EWMA, 10 s.
const EWMA_DECAY_MILLIS: f64 = 10_000.0;

/// What a failure counts as: so many times the usual answer, and this where none is known. A quick 429 must not attract anybody
/// (Linkerd substitutes a penalty in the same place), nor one failure in a hundred drive everybody away.
const FAILURE_COUNTS_AS: u64 = 10;
const FAILURE_WITHOUT_USUAL: u64 = 5_000_000;

/// Latency samples of one deployment, whole replies and first tokens apart. Reading is one atomic load.
#[derive(Debug)]
pub(crate) struct Latency {
    whole: Samples,
    first_token: Samples,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self { whole: Samples::new(), first_token: Samples::new() }
    }

    /// Returns the samples of this kind.
    pub(crate) const fn of(&self, kind: RequestKind) -> &Samples {
        match kind {
            RequestKind::Whole => &self.whole,
            RequestKind::Stream => &self.first_token,
        }
    }
}

/// Microseconds are kept plus one, so that 0 means that nothing is known.
#[derive(Debug)]
pub(crate) struct Samples {
    p50: AtomicU64,
    /// As of `heard`.
    ewma: AtomicU64,
    /// When the last answer or failure came.
    heard: AtomicU64,
    /// When the last call was sent.
    asked: AtomicU64,
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
    /// How long successful answers usually take, as a moving average; 0 before the first.
    usual: u64,
}

impl Samples {
    fn new() -> Self {
        Self {
            p50: AtomicU64::new(0),
            ewma: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            ring: Box::new(Mutex::new(Ring::new())),
        }
    }

    /// Takes note of an answer. Where two threads meet, one sample is left out rather than waited for.
    pub(crate) fn add(&self, latency: Duration, now: Timestamp) {
        let Ok(mut ring) = self.ring.try_lock() else { return };
        let micros = as_micros(latency);
        ring.learn_usual(micros);
        self.p50.store(ring.add(micros, now) + 1, Relaxed);
        let present = self.ewma.load(Relaxed).saturating_sub(1);
        // Peak-sensitive: a slower answer counts at once, a faster one bit by bit (Finagle's PeakEwma).
        let left = part(present.saturating_sub(micros), self.since(&self.heard, now));
        self.ewma.store(micros + left + 1, Relaxed);
        self.heard.store(now.as_millis(), Relaxed);
    }

    /// Takes note of a failure after this time. It counts as a slow answer, at most as slow as the time limit, and not as a peak:
    /// by its share of the calls, or one failure in a hundred would leave the deployment without traffic most of the time.
    pub(crate) fn add_failure(&self, after: Duration, limit: Duration, now: Timestamp) {
        let Ok(mut ring) = self.ring.try_lock() else { return };
        let penalty = match ring.usual {
            0 => FAILURE_WITHOUT_USUAL,
            usual => usual.saturating_mul(FAILURE_COUNTS_AS),
        };
        let micros = penalty.min(as_micros(limit)).max(as_micros(after));
        self.p50.store(ring.add(micros, now) + 1, Relaxed);
        let average = match self.ewma.load(Relaxed).checked_sub(1) {
            Some(present) if present < micros => {
                micros - part(micros - present, self.since(&self.heard, now))
            }
            Some(present) => present,
            None => micros,
        };
        self.ewma.store(average + 1, Relaxed);
        self.heard.store(now.as_millis(), Relaxed);
    }

    /// Returns the last samples in a form that adds up with those of others.
    pub(crate) fn sketch(&self, now: Timestamp) -> LatencySketch {
        let mut sketch = LatencySketch::default();
        if let Ok(ring) = self.ring.try_lock() {
            for n in 0..ring.len {
                if let Some((micros, taken)) = ring.by_age.get((ring.oldest + n) % SAMPLES)
                    && now.since(*taken) < SAMPLE_LIFE
                {
                    sketch.add_micros(*micros);
                }
            }
        }
        sketch
    }

    /// Begins with what others saw, where nothing was seen here.
    pub(crate) fn warm(&self, others: &LatencySketch, now: Timestamp) {
        let Ok(mut ring) = self.ring.try_lock() else { return };
        let Some(median) = others.quantile(500).map(as_micros) else { return };
        if ring.len > 0 {
            return;
        }
        // Fewer than a full ring, so that what is seen here soon counts for more than half.
        let samples = others.count().min(SAMPLES as u64 / 2);
        let spread = (0..samples).filter_map(|n| others.quantile((2 * n + 1) * 500 / samples));
        ring.fill(spread.map(as_micros), now);
        ring.usual = median.max(1);
        self.p50.store(middle(ring.sorted()).unwrap_or(median) + 1, Relaxed);
        self.ewma.store(median + 1, Relaxed);
        self.heard.store(now.as_millis(), Relaxed);
    }

    /// Takes note of a call that is sent.
    pub(crate) fn ask(&self, now: Timestamp) {
        self.asked.store(now.as_millis(), Relaxed);
    }

    /// Returns the median of the last samples, in microseconds.
    pub(crate) fn p50(&self) -> Option<u64> {
        self.p50.load(Relaxed).checked_sub(1)
    }

    /// Returns the peak-sensitive moving average as of the last answer or failure, in microseconds.
    pub(crate) fn ewma(&self) -> Option<u64> {
        self.ewma.load(Relaxed).checked_sub(1)
    }

    /// Returns for how long nothing was sent and nothing heard, in milliseconds; since ever, when there was nothing yet.
    pub(crate) fn quiet(&self, now: Timestamp) -> u64 {
        self.since(&self.heard, now).min(self.since(&self.asked, now))
    }

    fn since(&self, moment: &AtomicU64, now: Timestamp) -> u64 {
        now.as_millis().saturating_sub(moment.load(Relaxed))
    }
}

fn as_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX - 1)
}

/// What is left of an amount after so many milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number that fits")]
fn part(amount: u64, millis: u64) -> u64 {
    (amount as f64 * (-(millis as f64) / EWMA_DECAY_MILLIS).exp()) as u64
}

impl Ring {
    const fn new() -> Self {
        let by_age = [(0, Timestamp::from_millis(0)); SAMPLES];
        Self { by_age, oldest: 0, len: 0, by_size: [0; SAMPLES], usual: 0 }
    }

    fn learn_usual(&mut self, micros: u64) {
        // An eighth of each new answer, as TCP smooths its round-trip time (RFC 6298).
        self.usual = if self.usual == 0 { micros } else { (self.usual / 8 * 7 + micros / 8).max(1) };
    }

    /// Fills an empty ring with samples in ascending order. The middle ones count as the youngest: nothing has changed.
    fn fill(&mut self, ascending: impl Iterator<Item = u64>, now: Timestamp) {
        for (slot, sample) in self.by_size.iter_mut().zip(ascending) {
            *slot = sample;
            self.len += 1;
        }
        for n in 0..self.len {
            let from_outside = if n % 2 == 0 { n / 2 } else { self.len - 1 - n / 2 };
            if let (Some(sample), Some(slot)) = (self.by_size.get(from_outside), self.by_age.get_mut(n)) {
                *slot = (*sample, now);
            }
        }
        self.oldest = 0;
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
        let median = middle(self.sorted()).unwrap_or(micros);
        match self.last_few() {
            Some(few) if few > median.saturating_mul(CHANGED_BY) || few < median / CHANGED_BY => {
                while self.len > LAST_FEW
                    && let Some((sample, _)) = self.oldest()
                {
                    self.forget(sample);
                }
                few
            }
            Some(_) | None => median,
        }
    }

    /// The median of the last few; `None` when there are no others.
    fn last_few(&self) -> Option<u64> {
        let first = self.len.checked_sub(LAST_FEW).filter(|others| *others > 0)?;
        let mut few = [0; LAST_FEW];
        for (n, slot) in few.iter_mut().enumerate() {
            *slot = self.by_age.get((self.oldest + first + n) % SAMPLES)?.0;
        }
        few.sort_unstable();
        middle(&few)
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

/// The lower of the two in the middle.
fn middle(sorted: &[u64]) -> Option<u64> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
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
    fn three_slow_answers_of_five_are_a_change_and_so_are_three_fast_ones() {
        let samples = Samples::new();
        let add = |millis, second| {
            samples.add(ms(millis), at(second));
            samples.p50()
        };
        (0..SAMPLES as u64).for_each(|n| _ = add(100, n));
        assert_eq!(add(2_000, 40), Some(100_000));
        assert_eq!(add(2_000, 41), Some(100_000));
        assert_eq!(add(2_000, 42), Some(2_000_000), "what came before is forgotten");
        (0..20).for_each(|n| _ = add(2_000, 43 + n));
        assert_eq!([add(90, 70), add(90, 71), add(90, 72)], [2_000_000, 2_000_000, 90_000].map(Some));
        assert_eq!(add(200, 73), Some(90_000), "twice as long is no change");
    }

    #[test]
    fn who_begins_with_what_others_saw_soon_goes_by_its_own() {
        let seen: Vec<Samples> = [100, 400]
            .map(|millis| {
                let samples = Samples::new();
                (0..SAMPLES as u64).for_each(|n| samples.add(ms(millis + n), at(n)));
                samples
            })
            .into();
        let mut all = LatencySketch::default();
        seen.iter().for_each(|samples| all.merge(&samples.sketch(at(32))));
        let newcomer = Samples::new();
        newcomer.warm(&all, at(33));
        let p50 = newcomer.p50().unwrap();
        assert!((90_000..500_000).contains(&p50), "{p50}");
        assert!(newcomer.quiet(at(34)) <= 1_000, "there is no need to explore it at once");
        // Both levels are in it, so neither is a change.
        newcomer.add(ms(110), at(34));
        newcomer.add(ms(410), at(35));
        assert!((90_000..500_000).contains(&newcomer.p50().unwrap()));
        for n in 0..SAMPLES as u64 {
            newcomer.add(ms(1_000), at(40 + n));
        }
        assert_eq!(newcomer.p50(), Some(1_000_000), "nothing of it is left");
        newcomer.warm(&all, at(100));
        assert_eq!(newcomer.p50(), Some(1_000_000), "own experience stands");
        assert!(Samples::new().sketch(at(0)).is_empty());
        assert!(seen[0].sketch(at(1_000)).is_empty(), "too old to say anything");
    }

    #[test]
    fn a_failure_counts_as_ten_usual_answers_but_no_more_than_the_limit() {
        let limit = Duration::from_secs(60);
        let samples = Samples::new();
        samples.add_failure(ms(3), limit, at(0));
        assert_eq!(samples.p50(), Some(5_000_000), "nothing usual is known");
        samples.add(ms(100), at(1));
        let mut average = samples.ewma().unwrap();
        for second in 2..100 {
            samples.add(ms(100), at(second));
        }
        assert!(samples.ewma().unwrap() < average);
        average = samples.ewma().unwrap();
        samples.add_failure(ms(3), limit, at(100));
        let after = samples.ewma().unwrap();
        // A second is a tenth of the decay: 1 - e^-0.1 of the nine usual answers on top.
        assert!((80_000..95_000).contains(&(after - average)), "{average} to {after}");
        let strict = Samples::new();
        strict.add_failure(ms(3), ms(700), at(0));
        assert_eq!(strict.p50(), Some(700_000));
    }

    proptest::proptest! {
        #[test]
        fn the_median_is_that_of_the_last_fresh_samples_since_the_last_change(
            samples in proptest::collection::vec((1..5_000_u64, 0..60_u64), 1..200),
        ) {
            let median = |samples: &[(u64, Timestamp)]| {
                let mut sorted: Vec<u64> = samples.iter().map(|(micros, _)| *micros).collect();
                sorted.sort_unstable();
                sorted[(sorted.len() - 1) / 2]
            };
            let mut ring = Ring::new();
            let mut log: Vec<(u64, Timestamp)> = Vec::new();
            let mut now = at(0);
            for (micros, pause) in samples {
                now = now + Duration::from_secs(pause);
                let found = ring.add(micros, now);
                log.push((micros, now));
                log.retain(|(_, taken)| now.since(*taken) < SAMPLE_LIFE);
                log.drain(..log.len().saturating_sub(SAMPLES));
                let (all, few) = (median(&log), median(&log[log.len().saturating_sub(LAST_FEW)..]));
                if few > all * CHANGED_BY || few < all / CHANGED_BY {
                    log.drain(..log.len() - LAST_FEW);
                }
                proptest::prop_assert_eq!(found, median(&log));
            }
        }
    }

    #[test]
    fn the_average_jumps_to_a_peak_and_comes_down_slowly() {
        let samples = Samples::new();
        samples.add(ms(100), at(0));
        samples.add(ms(2_000), at(1));
        assert_eq!(samples.ewma(), Some(2_000_000));
        samples.add(ms(100), at(2));
        let after = samples.ewma().unwrap();
        assert!((1_700_000..1_900_000).contains(&after), "{after}");
        samples.add(ms(100), at(60));
        assert!(samples.ewma().unwrap() < 110_000);
    }
}
