//! What the provider itself says is left of its rate limits.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Timestamp;

/// What a reply's rate-limit headers said. Fields are `None` where the provider did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Headroom {
    /// The limit of requests.
    pub requests_limit: Option<u64>,
    /// Requests left.
    pub requests_remaining: Option<u64>,
    /// When the requests are whole again.
    pub requests_reset: Option<Duration>,
    /// The limit of tokens.
    pub tokens_limit: Option<u64>,
    /// Tokens left.
    pub tokens_remaining: Option<u64>,
    /// When the tokens are whole again.
    pub tokens_reset: Option<Duration>,
}

/// What is known to be left at one deployment: the last headers, less what was sent since.
#[derive(Debug)]
pub(crate) struct HeadroomGauge {
    requests: Gauge,
    tokens: Gauge,
}

#[derive(Debug)]
struct Gauge {
    remaining: AtomicI64,
    limit: AtomicU64,
    /// When it is whole again, in milliseconds; 0 when nothing is known.
    reset: AtomicU64,
}

/// How long headers are believed that do not say when the limit is whole again: a minute, which limits are counted by.
const USUAL_RESET: Duration = Duration::from_secs(60);

impl HeadroomGauge {
    pub(crate) const fn new() -> Self {
        Self { requests: Gauge::new(), tokens: Gauge::new() }
    }

    pub(crate) fn set(&self, headroom: Headroom, now: Timestamp) {
        self.requests.set(headroom.requests_remaining, headroom.requests_limit, headroom.requests_reset, now);
        self.tokens.set(headroom.tokens_remaining, headroom.tokens_limit, headroom.tokens_reset, now);
    }

    /// Whether the provider never said anything.
    pub(crate) fn is_silent(&self) -> bool {
        self.requests.reset.load(Relaxed) == 0 && self.tokens.reset.load(Relaxed) == 0
    }

    /// Counts a request that is about to be sent.
    pub(crate) fn take(&self, tokens: u64) {
        self.requests.take(1);
        self.tokens.take(tokens);
    }

    /// Returns when there will be room for a prompt of this length; `None` when there is now, or nothing is known.
    pub(crate) fn exhausted_until(&self, tokens: u64, now: Timestamp) -> Option<Timestamp> {
        let requests = self.requests.exhausted_until(1, now);
        requests.or_else(|| self.tokens.exhausted_until(tokens.max(1), now))
    }

    /// Returns the used share of the tighter limit, in thousandths; `None` when nothing is known.
    pub(crate) fn used(&self, now: Timestamp) -> Option<u64> {
        self.requests.used(now).max(self.tokens.used(now))
    }
}

impl Gauge {
    const fn new() -> Self {
        Self { remaining: AtomicI64::new(0), limit: AtomicU64::new(0), reset: AtomicU64::new(0) }
    }

    fn set(&self, remaining: Option<u64>, limit: Option<u64>, reset: Option<Duration>, now: Timestamp) {
        let Some(remaining) = remaining else { return };
        self.remaining.store(i64::try_from(remaining).unwrap_or(i64::MAX), Relaxed);
        self.limit.store(limit.unwrap_or(0), Relaxed);
        self.reset.store((now + reset.unwrap_or(USUAL_RESET)).as_millis(), Relaxed);
    }

    fn is_known(&self, now: Timestamp) -> bool {
        now.as_millis() < self.reset.load(Relaxed)
    }

    fn take(&self, amount: u64) {
        if self.reset.load(Relaxed) != 0 {
            self.remaining.fetch_sub(i64::try_from(amount).unwrap_or(i64::MAX), Relaxed);
        }
    }

    fn exhausted_until(&self, wanted: u64, now: Timestamp) -> Option<Timestamp> {
        let short =
            self.is_known(now) && self.remaining.load(Relaxed) < i64::try_from(wanted).unwrap_or(i64::MAX);
        // A prompt beyond the whole limit is the provider's to refuse: waiting would not help it.
        let hopeless = matches!(self.limit.load(Relaxed), limit if limit > 0 && wanted > limit);
        (short && !hopeless).then(|| Timestamp::from_millis(self.reset.load(Relaxed)))
    }

    fn used(&self, now: Timestamp) -> Option<u64> {
        let limit = self.limit.load(Relaxed);
        let remaining = u64::try_from(self.remaining.load(Relaxed)).unwrap_or(0);
        (limit > 0 && self.is_known(now)).then(|| 1000 - remaining.min(limit).saturating_mul(1000) / limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn what_was_sent_since_the_headers_is_gone_until_the_reset() {
        let gauge = HeadroomGauge::new();
        assert_eq!(gauge.exhausted_until(1, at(0)), None, "nothing is known");
        gauge.set(
            Headroom {
                requests_remaining: Some(2),
                requests_limit: Some(10),
                requests_reset: Some(Duration::from_secs(6)),
                ..Headroom::default()
            },
            at(0),
        );
        assert_eq!(gauge.used(at(0)), Some(800));
        gauge.take(100);
        assert_eq!(gauge.exhausted_until(100, at(1)), None);
        gauge.take(100);
        assert_eq!(gauge.exhausted_until(100, at(1)), Some(at(6)));
        assert_eq!(gauge.exhausted_until(100, at(6)), None, "whole again");
        assert_eq!(gauge.used(at(6)), None);
    }

    #[test]
    fn a_prompt_that_can_never_fit_is_not_held_back() {
        let gauge = HeadroomGauge::new();
        gauge.set(
            Headroom { tokens_remaining: Some(900), tokens_limit: Some(1_000), ..Headroom::default() },
            at(0),
        );
        assert_eq!(gauge.exhausted_until(950, at(1)), Some(at(60)));
        assert_eq!(gauge.exhausted_until(5_000, at(1)), None);
    }
}
