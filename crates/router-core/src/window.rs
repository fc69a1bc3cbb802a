//! Counts what happened within the last minute.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Timestamp;

/// The width of a slot. Five seconds keep a window on two cache lines and its error below what providers' own clocks differ by.
const SLOT_MILLIS: u64 = 5_000;
const SLOTS: usize = 12;
/// One more slot than a minute holds: the oldest counts by the part of it that still lies within the minute.
const RING: usize = SLOTS + 1;

/// A sliding minute of counts, without locks: each slot holds its number and its count in one word.
///
/// A sum needs the present slot, the oldest, and those between. The last two change every five seconds only, so they are kept beside
/// the present one, and a decision over many deployments reads one cache line of each.
#[derive(Debug)]
pub struct MinuteWindow {
    present: AtomicU64,
    /// The sum of the slots between, with the number of the present slot it was made for.
    between: AtomicU64,
    /// The oldest slot's count, likewise.
    oldest: AtomicU64,
    /// The slots before the present one.
    past: Box<[AtomicU64; RING]>,
}

impl Default for MinuteWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// What there was from a moment on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recent {
    pub(crate) amount: u64,
    pub(crate) since: Timestamp,
}

impl MinuteWindow {
    /// Starts empty.
    pub fn new() -> Self {
        Self {
            present: AtomicU64::new(0),
            between: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            past: Box::new([const { AtomicU64::new(0) }; RING]),
        }
    }

    /// Adds to the present slot. A slot holds up to 2^32 - 1; more than four billion tokens in five seconds count as that.
    pub fn add(&self, amount: u64, now: Timestamp) {
        let number = slot_number(now);
        let mut word = self.present.load(Relaxed);
        loop {
            let (owner, count) = unpack(word);
            if owner > tag(number) {
                // Somebody's clock is ahead of this one: the slot is past already.
                self.change_past(number, |count| count.saturating_add(amount));
                return;
            }
            let next = if owner == tag(number) {
                pack(number, count.saturating_add(amount))
            } else {
                // Put away first: until the exchange below a reader finds it in either place, and counts it once.
                self.past_slot(owner).store(word, Relaxed);
                pack(number, amount)
            };
            match self.present.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// Takes back what was added at `then`, as far as it is still there.
    pub fn remove(&self, amount: u64, then: Timestamp) {
        let number = slot_number(then);
        let less = self.present.fetch_update(Relaxed, Relaxed, |word| {
            let (owner, count) = unpack(word);
            (owner == tag(number)).then(|| pack(number, count.saturating_sub(amount)))
        });
        if less.is_err() {
            self.change_past(number, |count| count.saturating_sub(amount));
        }
    }

    fn change_past(&self, number: u64, change: impl Fn(u64) -> u64) {
        let _ = self.past_slot(number).fetch_update(Relaxed, Relaxed, |word| {
            let (owner, count) = unpack(word);
            (owner == tag(number)).then(|| pack(number, change(count)))
        });
        // What is kept may hold the old count: it is made anew.
        self.between.store(0, Relaxed);
        self.oldest.store(0, Relaxed);
    }

    /// Returns how much there is within the minute up to now.
    pub fn sum(&self, now: Timestamp) -> u64 {
        let number = slot_number(now);
        let (owner, present) = unpack(self.present.load(Relaxed));
        let present = if owner == tag(number) { present } else { 0 };
        let between = kept(&self.between, number, || {
            (1..SLOTS as u64).map(|age| self.count(number.wrapping_sub(age))).sum()
        });
        let oldest = kept(&self.oldest, number, || self.count(number.wrapping_sub(SLOTS as u64)));
        if oldest == 0 {
            return present + between;
        }
        let left = SLOT_MILLIS - now.as_millis() % SLOT_MILLIS;
        present + between + (oldest * left).div_ceil(SLOT_MILLIS)
    }

    /// Returns how much there was in the present slot and the one before: the last five to ten seconds.
    pub(crate) fn recent(&self, now: Timestamp) -> Recent {
        let number = slot_number(now);
        let before = number.wrapping_sub(1);
        let since = Timestamp::from_millis(before.saturating_sub(1) * SLOT_MILLIS);
        Recent { amount: self.count(number) + self.count(before), since }
    }

    /// Returns how long it takes until `amount` fits under `limit` if nothing else is added.
    pub fn wait_for(&self, amount: u64, limit: u64, now: Timestamp) -> Duration {
        let mut at = now;
        for _ in 0..=RING {
            if self.sum(at).saturating_add(amount) <= limit {
                return at.since(now);
            }
            at = at + Duration::from_millis(SLOT_MILLIS - at.as_millis() % SLOT_MILLIS);
        }
        Duration::from_secs(60)
    }

    fn count(&self, number: u64) -> u64 {
        let of = |word: u64| {
            let (owner, count) = unpack(word);
            (owner == tag(number)).then_some(count)
        };
        let present = of(self.present.load(Relaxed));
        present.or_else(|| of(self.past_slot(number).load(Relaxed))).unwrap_or(0)
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of 13")]
    fn past_slot(&self, number: u64) -> &AtomicU64 {
        &self.past[(tag(number) % RING as u64) as usize]
    }
}

/// Returns what is kept for this slot, or makes it and keeps it.
fn kept(cell: &AtomicU64, number: u64, make: impl FnOnce() -> u64) -> u64 {
    let (owner, kept) = unpack(cell.load(Relaxed));
    if owner == tag(number) && kept != 0xFFFF_FFFF {
        return kept;
    }
    let made = make();
    cell.store(pack(number, made), Relaxed);
    made
}

/// Numbered from 1, so that a fresh slot belongs to no time.
const fn slot_number(now: Timestamp) -> u64 {
    now.as_millis() / SLOT_MILLIS + 1
}

/// The low half of a slot's number tells it from the others of the last 680 years.
const fn tag(number: u64) -> u64 {
    number & 0xFFFF_FFFF
}

const fn pack(number: u64, count: u64) -> u64 {
    let count = if count > 0xFFFF_FFFF { 0xFFFF_FFFF } else { count };
    tag(number) << 32 | count
}

const fn unpack(word: u64) -> (u64, u64) {
    (word >> 32, word & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let window = MinuteWindow::new();
        window.add(3, at(0));
        window.add(4, at(30_000));
        assert_eq!(window.sum(at(59_999)), 7);
        assert_eq!(window.sum(at(65_000)), 4);
        assert_eq!(window.sum(at(95_000)), 0);
        assert_eq!(window.sum(at(9_000_000)), 0);
    }

    #[test]
    fn the_wait_says_when_there_is_room() {
        let window = MinuteWindow::new();
        window.add(10, at(0));
        let wait = window.wait_for(1, 10, at(20_000));
        assert!((40..=45).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(window.wait_for(1, 11, at(20_000)), Duration::ZERO);
    }

    #[test]
    fn what_is_taken_back_is_gone_and_no_more_than_that() {
        let window = MinuteWindow::new();
        window.add(10, at(0));
        window.remove(4, at(1_000));
        assert_eq!(window.sum(at(2_000)), 6);
        window.remove(100, at(2_000));
        window.remove(100, at(200_000));
        assert_eq!(window.sum(at(3_000)), 0);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let window = MinuteWindow::new();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let window = &window;
                scope.spawn(move || {
                    // All walk through the same fifty seconds, no two in step.
                    for n in 0..10_000 {
                        window.add(1, at(5_000 + n * 5 + thread));
                        window.sum(at(5_000 + n * 5));
                    }
                });
            }
        });
        let sum = window.sum(at(55_000));
        assert!((39_900..=40_000).contains(&sum), "{sum}");
    }

    proptest! {
        /// Against exact bookkeeping: never less than what lies within the last 60 s, never more than within 65 s.
        #[test]
        fn the_sum_lies_between_60_and_65_seconds(adds in prop::collection::vec((0..9_000_u64, 0..50_u64), 1..200)) {
            let window = MinuteWindow::new();
            let mut log: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (pause, amount) in adds {
                now += pause;
                window.add(amount, at(now));
                log.push((now, amount));
                let within = |span: u64| log.iter().filter(|(then, _)| now - then < span).map(|(_, n)| n).sum::<u64>();
                let sum = window.sum(at(now));
                prop_assert!(sum <= within(65_001), "{sum} > {}", within(65_001));
                prop_assert!(sum >= within(55_000), "{sum} < {}", within(55_000));
            }
        }
    }
}
