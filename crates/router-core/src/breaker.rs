//! Keeps a failing deployment out of the way: the circuit breaker of one deployment.
//!
//! *Closed* lets traffic through. Too many failures within a minute, or one that leaves no doubt, *open* it for a cooldown.
//! When that ends it is *half-open*: a single probe goes through, whose outcome closes or reopens it. Reading is a few
//! atomic loads; only failures take a lock.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Fault, ProviderError, ProviderErrorKind, Timestamp};

/// The longest cooldown a provider's Retry-After can ask for: Envoy's `max_ejection_time`, 300 s. Google and Azure have been
/// seen asking for a day when a request was larger than the whole budget.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The shortest cooldown after a 429: "Retry-After: 0" does not make the limit go away.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerPolicy {
    pub(crate) allowed_fails: u32,
    pub(crate) cooldown_time: Duration,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Traffic flows.
    Closed,
    /// Cooling down; nothing is admitted before `until`.
    Open {
        /// When it will be half-open.
        until: Timestamp,
        /// What opened it.
        cause: ProviderErrorKind,
    },
    /// The cooldown is over; one probe decides.
    HalfOpen {
        /// Whether that probe is on its way.
        probing: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    /// When the cooldown ends, in milliseconds; [`CLOSED`] when there is none.
    until: AtomicU64,
    /// Why, as a position in [`CAUSES`].
    cause: AtomicU8,
    probing: AtomicBool,
    failures: Mutex<FailureWindow>,
}

const CLOSED: u64 = 0;

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self {
            until: AtomicU64::new(CLOSED),
            cause: AtomicU8::new(0),
            probing: AtomicBool::new(false),
            failures: Mutex::new(FailureWindow::new()),
        }
    }

    pub(crate) fn state(&self, now: Timestamp) -> BreakerState {
        match self.until.load(Relaxed) {
            CLOSED => BreakerState::Closed,
            until if now.as_millis() < until => {
                let cause = CAUSES.get(usize::from(self.cause.load(Relaxed)));
                let cause = cause.copied().unwrap_or(ProviderErrorKind::Server);
                BreakerState::Open { until: Timestamp::from_millis(until), cause }
            }
            _ => BreakerState::HalfOpen { probing: self.probing.load(Relaxed) },
        }
    }

    /// Takes the single probe of a half-open breaker; false when somebody else has it.
    pub(crate) fn take_probe(&self) -> bool {
        self.probing.compare_exchange(false, true, Relaxed, Relaxed).is_ok()
    }

    /// Gives the probe back undecided, so that another request can make it.
    pub(crate) fn release_probe(&self) {
        self.probing.store(false, Relaxed);
    }

    /// Closes after a successful probe.
    pub(crate) fn close(&self) {
        self.failures().clear();
        self.until.store(CLOSED, Relaxed);
        self.probing.store(false, Relaxed);
    }

    /// Takes note of a failure. Returns until when the deployment now cools, when this failure decided so.
    pub(crate) fn fail(
        &self,
        error: &ProviderError,
        policy: BreakerPolicy,
        was_probe: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let cooldown = match verdict(error, policy, was_probe) {
            Verdict::Innocent => None,
            Verdict::Cool(span) => Some(span),
            Verdict::Count => {
                let failures = self.failures().add(now);
                (failures > policy.allowed_fails).then_some(policy.cooldown_time)
            }
        };
        let opened = cooldown.filter(|span| !span.is_zero()).map(|span| {
            let until = now + span;
            self.cool(until, error.kind());
            until
        });
        if was_probe {
            self.probing.store(false, Relaxed);
        }
        opened
    }

    /// Opens until this moment at least: a deadline only ever moves away.
    pub(crate) fn cool(&self, until: Timestamp, cause: ProviderErrorKind) {
        if self.until.fetch_max(until.as_millis(), Relaxed) < until.as_millis() {
            let position = CAUSES.iter().position(|kind| *kind == cause).and_then(|n| u8::try_from(n).ok());
            self.cause.store(position.unwrap_or(0), Relaxed);
        }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, FailureWindow> {
        // A poisoned window is a window: counting cannot leave it half-done.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Verdict {
    Innocent,
    Count,
    Cool(Duration),
}

/// The one place that says what a failure does to its deployment.
fn verdict(error: &ProviderError, policy: BreakerPolicy, was_probe: bool) -> Verdict {
    let BreakerPolicy { cooldown_time, .. } = policy;
    if error.fault() == Fault::Request || cooldown_time.is_zero() {
        return Verdict::Innocent;
    }
    match error.kind() {
        ProviderErrorKind::RateLimited => {
            let asked = error.retry_after().map(|span| span.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER));
            Verdict::Cool(asked.unwrap_or(cooldown_time))
        }
        ProviderErrorKind::Authentication
        | ProviderErrorKind::Permission
        | ProviderErrorKind::QuotaExhausted
        | ProviderErrorKind::NotFound => Verdict::Cool(cooldown_time),
        _ if was_probe => Verdict::Cool(cooldown_time),
        _ => Verdict::Count,
    }
}

/// The kinds that can open a breaker, so that the cause fits one atomic byte.
const CAUSES: [ProviderErrorKind; 11] = [
    ProviderErrorKind::Server,
    ProviderErrorKind::Authentication,
    ProviderErrorKind::Permission,
    ProviderErrorKind::QuotaExhausted,
    ProviderErrorKind::NotFound,
    ProviderErrorKind::RateLimited,
    ProviderErrorKind::Overloaded,
    ProviderErrorKind::Timeout,
    ProviderErrorKind::Connection,
    ProviderErrorKind::MalformedReply,
    ProviderErrorKind::StreamInterrupted,
];

const SPAN_SECONDS: usize = 60;

/// Failures of the last minute, counted by the second: constant memory however many there are.
#[derive(Debug)]
struct FailureWindow {
    seconds: [u32; SPAN_SECONDS],
    newest: u64,
}

impl FailureWindow {
    const fn new() -> Self {
        Self { seconds: [0; SPAN_SECONDS], newest: 0 }
    }

    fn clear(&mut self) {
        self.seconds.fill(0);
    }

    /// Adds one and returns how many there are within the last minute.
    fn add(&mut self, now: Timestamp) -> u32 {
        let second = now.as_millis() / 1000;
        if second > self.newest {
            for passed in (self.newest + 1..=second).rev().take(SPAN_SECONDS) {
                *self.slot(passed) = 0;
            }
            self.newest = second;
        }
        let slot = self.slot(second);
        *slot = slot.saturating_add(1);
        self.seconds.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    #[expect(clippy::cast_possible_truncation, reason = "only the remainder counts")]
    fn slot(&mut self, second: u64) -> &mut u32 {
        &mut self.seconds[second as usize % SPAN_SECONDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProviderErrorKind::{Authentication, Cancelled, InvalidRequest, RateLimited, Server, Timeout};

    const POLICY: BreakerPolicy = BreakerPolicy { allowed_fails: 2, cooldown_time: Duration::from_secs(60) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn error(kind: ProviderErrorKind) -> ProviderError {
        ProviderError::new(kind, "")
    }

    fn fail(breaker: &Breaker, kind: ProviderErrorKind, now: Timestamp) -> Option<Timestamp> {
        breaker.fail(&error(kind), POLICY, false, now)
    }

    #[test]
    fn more_failures_than_allowed_within_a_minute_open_it() {
        let breaker = Breaker::new();
        assert_eq!(fail(&breaker, Server, at(0)), None);
        assert_eq!(fail(&breaker, Timeout, at(30)), None);
        assert_eq!(fail(&breaker, Server, at(59)), Some(at(119)));
        assert_eq!(breaker.state(at(118)), BreakerState::Open { until: at(119), cause: Server });
        assert_eq!(breaker.state(at(119)), BreakerState::HalfOpen { probing: false });
    }

    #[test]
    fn failures_older_than_a_minute_do_not_count() {
        let breaker = Breaker::new();
        assert_eq!(fail(&breaker, Server, at(0)), None);
        assert_eq!(fail(&breaker, Server, at(1)), None);
        assert_eq!(fail(&breaker, Server, at(61)), None);
        assert_eq!(fail(&breaker, Server, at(500)), None);
    }

    #[test]
    fn a_refused_credential_and_a_rate_limit_open_it_at_once() {
        assert_eq!(fail(&Breaker::new(), Authentication, at(0)), Some(at(60)));
        let limited = |seconds| {
            let error = error(RateLimited).with_retry_after(Duration::from_secs(seconds));
            Breaker::new().fail(&error, POLICY, false, at(0))
        };
        assert_eq!(limited(7), Some(at(7)));
        assert_eq!(limited(0), Some(at(1)), "an immediate retry is not believed");
        assert_eq!(limited(86_400), Some(at(300)), "capped");
    }

    #[test]
    fn what_the_caller_did_never_opens_it() {
        let breaker = Breaker::new();
        for second in 0..20 {
            assert_eq!(fail(&breaker, InvalidRequest, at(second)), None);
            assert_eq!(fail(&breaker, Cancelled, at(second)), None);
        }
        assert_eq!(breaker.state(at(20)), BreakerState::Closed);
    }

    #[test]
    fn a_cooldown_is_only_ever_extended() {
        let breaker = Breaker::new();
        fail(&breaker, Authentication, at(0));
        let short = error(RateLimited).with_retry_after(Duration::from_secs(1));
        breaker.fail(&short, POLICY, false, at(1));
        assert_eq!(breaker.state(at(59)), BreakerState::Open { until: at(60), cause: Authentication });
        fail(&breaker, Authentication, at(10));
        assert_eq!(breaker.state(at(69)), BreakerState::Open { until: at(70), cause: Authentication });
    }

    #[test]
    fn one_probe_decides() {
        let breaker = Breaker::new();
        fail(&breaker, Authentication, at(0));
        assert!(breaker.take_probe());
        assert!(!breaker.take_probe(), "only one");
        assert_eq!(breaker.fail(&error(Server), POLICY, true, at(61)), Some(at(121)), "one failure reopens");
        assert_eq!(breaker.state(at(121)), BreakerState::HalfOpen { probing: false });
        assert!(breaker.take_probe());
        breaker.release_probe();
        assert!(breaker.take_probe(), "an undecided probe can be made again");
        breaker.close();
        assert_eq!(breaker.state(at(122)), BreakerState::Closed);
    }

    #[test]
    fn a_cooldown_time_of_zero_never_cools() {
        let policy = BreakerPolicy { allowed_fails: 0, cooldown_time: Duration::ZERO };
        for kind in [Server, Authentication, RateLimited] {
            assert_eq!(Breaker::new().fail(&error(kind), policy, false, at(0)), None);
        }
    }
}
