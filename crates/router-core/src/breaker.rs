//! Keeps a failing deployment out of the way: the circuit breaker of one deployment.
//!
//! *Closed* lets traffic through. Too many failures within a minute, unless they are few among many calls, or one that leaves no
//! doubt, *open* it for a cooldown.
//! When that ends it is *half-open*: a single probe goes through, whose outcome closes or reopens it, each time for longer. After
//! closing it warms up: its traffic grows over half a minute. Reading is a few atomic loads; only failures take a lock.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::KindPolicy;
use crate::window::Recent;
use crate::{Dice, Fault, ProviderError, ProviderErrorKind, Timestamp};

/// The longest cooldown a provider's Retry-After can ask for: Envoy's `max_ejection_time`, 300 s. Google and Azure have been
/// seen asking for a day when a request was larger than the whole budget.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The shortest cooldown after a 429: "Retry-After: 0" does not make the limit go away.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often a cooldown can double while probes fail, as long as it stays under [`MAX_COOLDOWN`].
const MAX_DOUBLINGS: u32 = 16;

/// The longest cooldown that grows by failed probes: Envoy's `max_ejection_time`, 300 s. A `cooldown_time` set longer stays.
const MAX_COOLDOWN: Duration = Duration::from_secs(300);

/// How long a recovered deployment takes to get its full share, and the share it begins with: Envoy's slow start begins with
/// 10 %; its length is up to the operator there, 30 s here.
const WARM_UP: Duration = Duration::from_secs(30);
const COLDEST_PERCENT: u64 = 10;

/// Failures that are allowed by number are also allowed as long as they are no more than one in so many of the last seconds' calls,
/// unless all came in a row. At hundreds of calls a second a number alone would eject a deployment that fails one call in a
/// thousand, over and over.
const NOISE_IS_ONE_IN: u64 = 10;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerPolicy {
    pub(crate) allowed_fails: u32,
    pub(crate) by_kind: KindPolicy,
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
    /// Probes that failed since it last closed.
    failed_probes: AtomicU32,
    /// Failures since the last success.
    in_a_row: AtomicU32,
    /// When it last closed, in milliseconds; 0 when it never opened.
    closed_at: AtomicU64,
    /// Apart from the rest, which every decision reads.
    failures: Box<Mutex<Failures>>,
}

const CLOSED: u64 = 0;

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            until: AtomicU64::new(CLOSED),
            cause: AtomicU8::new(0),
            probing: AtomicBool::new(false),
            failed_probes: AtomicU32::new(0),
            in_a_row: AtomicU32::new(0),
            closed_at: AtomicU64::new(0),
            failures: Box::new(Mutex::new(Failures::new())),
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

    /// Whether it is closed and has always been.
    pub(crate) fn never_opened(&self) -> bool {
        self.until.load(Relaxed) == CLOSED && self.closed_at.load(Relaxed) == 0
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
    pub(crate) fn close(&self, now: Timestamp) {
        self.failures().clear();
        self.failed_probes.store(0, Relaxed);
        self.in_a_row.store(0, Relaxed);
        self.closed_at.store(now.as_millis(), Relaxed);
        self.until.store(CLOSED, Relaxed);
        self.probing.store(false, Relaxed);
    }

    /// Returns how much of its share it can take, in percent: less than 100 while it warms up.
    pub(crate) fn warmth(&self, now: Timestamp) -> u64 {
        match self.closed_at.load(Relaxed) {
            0 => 100,
            closed_at => {
                let passed = now.since(Timestamp::from_millis(closed_at)).as_millis();
                let percent = passed * 100 / WARM_UP.as_millis();
                u64::try_from(percent).map_or(100, |percent| percent.clamp(COLDEST_PERCENT, 100))
            }
        }
    }

    /// Takes note of a success.
    pub(crate) fn succeed(&self) {
        if self.in_a_row.load(Relaxed) != 0 {
            self.in_a_row.store(0, Relaxed);
        }
    }

    /// Takes note of a failure, among so many recent calls. Returns until when the deployment now cools, when this failure decided so.
    pub(crate) fn fail(
        &self,
        error: &ProviderError,
        policy: &BreakerPolicy,
        was_probe: bool,
        recent: Recent,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let verdict = verdict(error, policy, was_probe);
        let in_a_row = match verdict {
            Verdict::Innocent => 0,
            Verdict::Cool(_) | Verdict::CoolLonger(_) | Verdict::Count { .. } => {
                self.in_a_row.fetch_add(1, Relaxed).saturating_add(1)
            }
        };
        let cooldown = match verdict {
            Verdict::Innocent => None,
            Verdict::Cool(span) => Some(span),
            Verdict::CoolLonger(span) => Some(self.grown(span, now)),
            Verdict::Count { allowed, apart } => {
                let kind = apart.then_some(error.kind());
                let mut failures = self.failures();
                let window = failures.of(kind);
                let is_beyond = window.add(now) > allowed;
                let is_share = window.since(recent.since) * NOISE_IS_ONE_IN > recent.amount;
                (is_beyond && (is_share || in_a_row > allowed)).then_some(policy.cooldown_time)
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

    /// Doubles a cooldown for each failed probe, with up to a tenth more so that deployments which failed together are not probed
    /// together.
    fn grown(&self, span: Duration, now: Timestamp) -> Duration {
        let doublings = (self.failed_probes.fetch_add(1, Relaxed) + 1).min(MAX_DOUBLINGS);
        let grown = span.saturating_mul(1 << doublings).min(span.max(MAX_COOLDOWN));
        let tenth = u64::try_from(grown.as_millis() / 10).unwrap_or(0);
        // The moment is chance enough, and the same moment gives the same cooldown again.
        grown + Duration::from_millis(Dice::from_seed(now.as_millis()).below(tenth + 1))
    }

    /// Opens until this moment at least: a deadline only ever moves away.
    /// Returns whether that is news.
    pub(crate) fn cool(&self, until: Timestamp, cause: ProviderErrorKind) -> bool {
        let is_later = self.until.fetch_max(until.as_millis(), Relaxed) < until.as_millis();
        if is_later {
            let position = CAUSES.iter().position(|kind| *kind == cause).and_then(|n| u8::try_from(n).ok());
            self.cause.store(position.unwrap_or(0), Relaxed);
        }
        is_later
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        // A poisoned window is a window: counting cannot leave it half-done.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Verdict {
    Innocent,
    /// One of so many that are allowed within a minute, counted with all others or by its own kind.
    Count {
        allowed: u32,
        apart: bool,
    },
    Cool(Duration),
    /// Longer each time it comes to this.
    CoolLonger(Duration),
}

/// The one place that says what a failure does to its deployment.
fn verdict(error: &ProviderError, policy: &BreakerPolicy, was_probe: bool) -> Verdict {
    let cooldown_time = policy.cooldown_time;
    if error.fault() == Fault::Request || cooldown_time.is_zero() {
        return Verdict::Innocent;
    }
    let asked = error.retry_after().map(|span| span.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER));
    if was_probe {
        // Who says when to come back is believed each time.
        return asked.map_or(Verdict::CoolLonger(cooldown_time), Verdict::Cool);
    }
    if let Some(allowed) = policy.by_kind.get(error.kind()) {
        return Verdict::Count { allowed, apart: true };
    }
    match error.kind() {
        ProviderErrorKind::RateLimited => Verdict::Cool(asked.unwrap_or(cooldown_time)),
        ProviderErrorKind::Authentication
        | ProviderErrorKind::Permission
        | ProviderErrorKind::QuotaExhausted
        | ProviderErrorKind::NotFound => Verdict::Cool(cooldown_time),
        _ => Verdict::Count { allowed: policy.allowed_fails, apart: false },
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

/// The failures of one deployment: all together, and apart those whose kind has a limit of its own.
#[derive(Debug)]
struct Failures {
    together: FailureWindow,
    apart: Vec<(ProviderErrorKind, FailureWindow)>,
}

impl Failures {
    const fn new() -> Self {
        Self { together: FailureWindow::new(), apart: Vec::new() }
    }

    fn clear(&mut self) {
        self.together.clear();
        self.apart.clear();
    }

    fn of(&mut self, kind: Option<ProviderErrorKind>) -> &mut FailureWindow {
        let Some(kind) = kind else { return &mut self.together };
        let position = self.apart.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.apart.push((kind, FailureWindow::new()));
            self.apart.len() - 1
        });
        self.apart.get_mut(position).map_or(&mut self.together, |(_, window)| window)
    }
}

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

    /// Returns how many there were from this moment on, to the second.
    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    fn since(&self, moment: Timestamp) -> u64 {
        let first = (moment.as_millis() / 1000).max((self.newest + 1).saturating_sub(SPAN_SECONDS as u64));
        (first..=self.newest).map(|second| u64::from(self.seconds[index(second)])).sum()
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    fn slot(&mut self, second: u64) -> &mut u32 {
        &mut self.seconds[index(second)]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only the remainder counts")]
const fn index(second: u64) -> usize {
    second as usize % SPAN_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProviderErrorKind::{Authentication, Cancelled, InvalidRequest, RateLimited, Server, Timeout};

    fn policy() -> BreakerPolicy {
        BreakerPolicy {
            allowed_fails: 2,
            by_kind: KindPolicy::default(),
            cooldown_time: Duration::from_secs(60),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn error(kind: ProviderErrorKind) -> ProviderError {
        ProviderError::new(kind, "")
    }

    /// Nothing but these failures.
    fn alone(now: Timestamp) -> Recent {
        Recent { amount: 0, since: now }
    }

    fn fail(breaker: &Breaker, kind: ProviderErrorKind, now: Timestamp) -> Option<Timestamp> {
        breaker.fail(&error(kind), &policy(), false, alone(now), now)
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
    fn a_few_failures_among_many_calls_are_noise_unless_they_come_in_a_row() {
        let among = |calls| Recent { amount: calls, since: at(50) };
        let fail = |breaker: &Breaker, calls, second| {
            breaker.fail(&error(Server), &policy(), false, among(calls), at(second))
        };
        let busy = Breaker::new();
        for second in 50..59 {
            assert_eq!(fail(&busy, 1_000, second), None);
            busy.succeed();
        }
        assert_eq!(fail(&busy, 100, 59), None, "ten of a hundred");
        busy.succeed();
        assert_eq!(fail(&busy, 100, 59), Some(at(119)), "eleven of a hundred");
        let dead = Breaker::new();
        assert_eq!(fail(&dead, 1_000, 50), None);
        assert_eq!(fail(&dead, 1_000, 50), None);
        assert_eq!(fail(&dead, 1_000, 50), Some(at(110)), "three in a row");
    }

    #[test]
    fn a_refused_credential_and_a_rate_limit_open_it_at_once() {
        assert_eq!(fail(&Breaker::new(), Authentication, at(0)), Some(at(60)));
        let limited = |seconds| {
            let error = error(RateLimited).with_retry_after(Duration::from_secs(seconds));
            Breaker::new().fail(&error, &policy(), false, alone(at(0)), at(0))
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
        breaker.fail(&short, &policy(), false, alone(at(1)), at(1));
        assert_eq!(breaker.state(at(59)), BreakerState::Open { until: at(60), cause: Authentication });
        fail(&breaker, Authentication, at(10));
        assert_eq!(breaker.state(at(69)), BreakerState::Open { until: at(70), cause: Authentication });
    }

    fn probe_fails(breaker: &Breaker, now: Timestamp) -> Duration {
        assert!(breaker.take_probe());
        breaker.fail(&error(Server), &policy(), true, alone(now), now).unwrap().since(now)
    }

    #[test]
    fn one_probe_decides() {
        let breaker = Breaker::new();
        fail(&breaker, Authentication, at(0));
        assert!(breaker.take_probe());
        assert!(!breaker.take_probe(), "only one");
        breaker.release_probe();
        assert!(probe_fails(&breaker, at(61)) >= Duration::from_secs(120), "one failure reopens, for longer");
        assert_eq!(breaker.state(at(400)), BreakerState::HalfOpen { probing: false });
        assert!(breaker.take_probe());
        breaker.close(at(400));
        assert_eq!(breaker.state(at(401)), BreakerState::Closed);
    }

    #[test]
    fn a_cooldown_grows_while_probes_fail_up_to_five_minutes_and_starts_anew() {
        let breaker = Breaker::new();
        fail(&breaker, Authentication, at(0));
        let spans: Vec<u64> = (1..=4).map(|n| probe_fails(&breaker, at(n * 1000)).as_secs()).collect();
        assert!((120..=132).contains(&spans[0]) && (240..=264).contains(&spans[1]), "{spans:?}");
        assert!(spans[2..].iter().all(|span| (300..=330).contains(span)), "{spans:?}");
        breaker.take_probe();
        breaker.close(at(9_000));
        assert_eq!(fail(&breaker, Authentication, at(9_500)), Some(at(9_560)));
    }

    #[test]
    fn a_retry_after_is_believed_at_each_probe() {
        let breaker = Breaker::new();
        let limited = error(RateLimited).with_retry_after(Duration::from_secs(30));
        breaker.fail(&limited, &policy(), false, alone(at(0)), at(0));
        for n in 1..5 {
            assert!(breaker.take_probe());
            assert_eq!(
                breaker.fail(&limited, &policy(), true, alone(at(0)), at(30 * n)),
                Some(at(30 * n + 30))
            );
        }
    }

    #[test]
    fn after_closing_it_warms_up_over_half_a_minute() {
        let breaker = Breaker::new();
        assert_eq!(breaker.warmth(at(0)), 100);
        breaker.close(at(0));
        let warmth: Vec<u64> = [0, 2, 15, 29, 30, 90].map(|second| breaker.warmth(at(second))).into();
        assert_eq!(warmth, [10, 10, 50, 96, 100, 100]);
    }

    #[test]
    fn a_kind_with_a_limit_of_its_own_is_counted_apart() {
        let by_kind = KindPolicy::new([(RateLimited, 2), (Timeout, 0)]);
        let policy = BreakerPolicy { by_kind, ..policy() };
        let breaker = Breaker::new();
        let fail = |kind, second| breaker.fail(&error(kind), &policy, false, alone(at(second)), at(second));
        assert_eq!(fail(RateLimited, 0), None, "even a 429 is allowed when the policy says so");
        assert_eq!(fail(Server, 1), None);
        assert_eq!(fail(Server, 1), None);
        assert_eq!(fail(RateLimited, 2), None, "server errors do not count for it");
        assert_eq!(fail(RateLimited, 3), Some(at(63)));
        assert_eq!(Breaker::new().fail(&error(Timeout), &policy, false, alone(at(0)), at(0)), Some(at(60)));
    }

    #[test]
    fn a_cooldown_time_of_zero_never_cools() {
        let policy = BreakerPolicy { allowed_fails: 0, cooldown_time: Duration::ZERO, ..policy() };
        for kind in [Server, Authentication, RateLimited] {
            assert_eq!(Breaker::new().fail(&error(kind), &policy, false, alone(at(0)), at(0)), None);
        }
    }
}
