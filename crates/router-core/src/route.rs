//! The whole life of one request, as a state machine that somebody else drives.

mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::search::Readiness;
use crate::breaker::BreakerState;
use crate::catalog::{Catalog, Deployment, DeploymentIndex, PoolIndex};
use crate::config::FallbackKind;
use crate::fleet::{Fleet, HealthChange, Reservation};
use crate::strategy::{Candidates, Eligible};
use crate::{Dice, ProviderError, ProviderErrorKind, Remedy, Timestamp};

/// The longest a route waits for anything before it gives up, 30 s: longer than a caller likes to wait, shorter than most
/// clients' own timeouts.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The first back-off, and the largest one before jitter. The OpenAI SDKs' numbers: 0.5 s, doubling, at most 8 s.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LARGEST_BACKOFF: Duration = Duration::from_secs(8);

/// One request on its way through pools and deployments.
///
/// Drive it with two verbs: [`next`](Self::next) says what to do, [`record`](Self::record) takes what came of it.
///
/// ```
/// use router_core::{Alias, Catalog, Config, DeploymentConfig, Dice, Fleet, RequestKind, Route, Step, Timestamp};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fast = Alias::try_from("fast")?;
/// let deployments = vec![DeploymentConfig::new(fast, "openai", "gpt-4o-mini")];
/// let catalog = Arc::new(Catalog::new(Config { deployments, ..Config::default() })?);
/// let pool = catalog.pool("fast").ok_or("there is a pool")?;
/// let fleet = Arc::new(Fleet::new(catalog));
///
/// let (now, mut dice) = (Timestamp::from_millis(0), Dice::from_seed(1));
/// let mut route = Route::new(fleet, pool, RequestKind::Whole, now);
/// let answered = loop {
///     match route.next(now, &mut dice) {
///         Step::Attempt(attempt) => {
///             // Call the deployment here.
///             route.record(attempt, Ok(()), now);
///         }
///         Step::Wait(_span) => { /* Sleep here, or move a virtual clock. */ }
///         Step::Done(verdict) => break verdict.is_ok(),
///     }
/// };
/// assert!(answered);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Route {
    fleet: Arc<Fleet>,
    kind: RequestKind,
    started: Timestamp,
    deadline: Option<Timestamp>,
    /// The pools entered so far, in order; the last is the present one.
    entered: SmallVec<[PoolIndex; 8]>,
    retries_left: u32,
    cause: AttemptCause,
    trail: SmallVec<[AttemptRecord; 4]>,
    turn: Turn,
}

/// Whether the caller wants the reply whole or streamed; each has its own time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// Whole.
    Whole,
    /// Streamed.
    Stream,
}

/// What to do next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Call this deployment and [`record`](Route::record) the outcome. Dropping the attempt instead means that the caller left.
    Attempt(Attempt),
    /// Wait this long, then ask again.
    Wait(Duration),
    /// It is over.
    Done(Result<(), RouteFailure>),
}

/// One call to make.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    reservation: Reservation,
    pool: PoolIndex,
    cause: AttemptCause,
    started: Timestamp,
    timeout: Duration,
}

/// Why an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptCause {
    /// It is the first.
    First,
    /// The one before failed; this is another in the same pool.
    Retry,
    /// The pool before gave up.
    Fallback {
        /// That pool.
        from: PoolIndex,
        /// Which edges led on.
        kind: FallbackKind,
    },
}

impl Attempt {
    /// Returns which deployment to call.
    pub const fn deployment(&self) -> DeploymentIndex {
        self.reservation.deployment()
    }

    /// Returns for which pool.
    pub const fn pool(&self) -> PoolIndex {
        self.pool
    }

    /// Returns why.
    pub const fn cause(&self) -> AttemptCause {
        self.cause
    }

    /// Returns whether it is the single probe of a deployment that was cooling.
    pub const fn is_probe(&self) -> bool {
        self.reservation.is_probe()
    }

    /// Returns how long the call may take: a whole reply, or the first token of a stream.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// What came of one attempt.
#[derive(Debug)]
pub struct AttemptRecord {
    /// The pool it was for.
    pub pool: PoolIndex,
    /// The deployment that was called.
    pub deployment: DeploymentIndex,
    /// When it began.
    pub started: Timestamp,
    /// When its outcome was known: for a stream, at the first token.
    pub ended: Timestamp,
    /// Why it failed; `None` when it answered.
    pub error: Option<ProviderError>,
}

/// Why a route ended without an answer. The errors of its attempts are in its [`trail`](Route::trail).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteFailure {
    /// The last attempt's error stands: nothing else could help, or nothing else was left.
    Attempted {
        /// When a deployment of the reachable pools will be ready again, if they all cool.
        retry_after: Option<Duration>,
    },
    /// Every deployment of every reachable pool is cooling; none was called.
    Cooling {
        /// When the first will be ready again.
        retry_after: Duration,
        /// What put it there.
        cause: ProviderErrorKind,
    },
    /// The time for the whole request is over.
    DeadlineExceeded,
}

#[derive(Debug)]
enum Turn {
    /// Choose a deployment of the present pool.
    Choose,
    /// The deployment that just failed may be asked again, but not before this moment.
    WaitUntil(Timestamp),
    /// An attempt is under way.
    Attempting,
    /// The last attempt failed: where to now?
    Reconsider,
    Over(Result<(), RouteFailure>),
}

impl Route {
    /// Starts at a pool of this fleet's catalog.
    pub fn new(fleet: Arc<Fleet>, pool: PoolIndex, kind: RequestKind, now: Timestamp) -> Self {
        let deadline = fleet.catalog().settings().total_timeout.map(|span| now + span);
        let retries_left = fleet.catalog()[pool].num_retries();
        Self {
            fleet,
            kind,
            started: now,
            deadline,
            entered: std::iter::once(pool).collect(),
            retries_left,
            cause: AttemptCause::First,
            trail: SmallVec::new(),
            turn: Turn::Choose,
        }
    }

    /// Returns what to do next.
    ///
    /// It always comes to [`Step::Done`]: each pool is entered once, and each attempt and each wait in a pool uses up one of
    /// its retries.
    pub fn next(&mut self, now: Timestamp, dice: &mut Dice) -> Step {
        loop {
            if let Turn::Over(outcome) = self.turn {
                return Step::Done(outcome);
            }
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.turn = Turn::Over(Err(RouteFailure::DeadlineExceeded));
                continue;
            }
            match self.turn {
                Turn::Over(_) => {}
                Turn::Choose => match self.choose(now, dice) {
                    Some(attempt) => {
                        self.turn = Turn::Attempting;
                        return Step::Attempt(attempt);
                    }
                    None => self.turn = self.leave_pool(now, dice),
                },
                Turn::WaitUntil(moment) if now < moment => return Step::Wait(moment.since(now)),
                Turn::WaitUntil(_) => self.turn = Turn::Choose,
                // The attempt was dropped without an outcome: the caller left.
                Turn::Attempting => {
                    self.turn = Turn::Over(Err(RouteFailure::Attempted { retry_after: None }))
                }
                Turn::Reconsider => self.turn = self.reconsider(now, dice),
            }
        }
    }

    /// Takes what came of an attempt. Returns what it changes for everybody else.
    pub fn record(
        &mut self,
        attempt: Attempt,
        outcome: Result<(), ProviderError>,
        now: Timestamp,
    ) -> Option<HealthChange> {
        let Attempt { reservation, pool, started, .. } = attempt;
        let deployment = reservation.deployment();
        let change = reservation.settle(outcome.as_ref().err(), now);
        self.turn = if outcome.is_ok() { Turn::Over(Ok(())) } else { Turn::Reconsider };
        self.trail.push(AttemptRecord { pool, deployment, started, ended: now, error: outcome.err() });
        change
    }

    /// Takes note that a stream's first token has arrived: the route is over, the call is not. Settle the reservation when
    /// the stream ends.
    pub fn record_first_token(&mut self, attempt: Attempt, now: Timestamp) -> Reservation {
        let Attempt { reservation, pool, started, .. } = attempt;
        let deployment = reservation.deployment();
        self.turn = Turn::Over(Ok(()));
        self.trail.push(AttemptRecord { pool, deployment, started, ended: now, error: None });
        reservation
    }

    /// Returns what came of each attempt, in order.
    pub fn trail(&self) -> &[AttemptRecord] {
        &self.trail
    }

    /// Takes the last attempt's error out of the trail, for whoever has to answer with it.
    pub fn take_error(&mut self) -> Option<ProviderError> {
        self.trail.last_mut()?.error.take()
    }

    /// Returns when the route began.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Returns the configuration it goes by.
    pub fn catalog(&self) -> &Catalog {
        self.fleet.catalog()
    }

    /// Returns the pools entered, in order: the one that was asked for first, the present one last.
    pub fn entered(&self) -> &[PoolIndex] {
        &self.entered
    }

    fn pool(&self) -> PoolIndex {
        // The first pool is entered when the route is made.
        self.entered.last().copied().unwrap_or(PoolIndex(0))
    }

    /// Picks and reserves a deployment of the present pool: untried ones first, the one that just failed last.
    fn choose(&self, now: Timestamp, dice: &mut Dice) -> Option<Attempt> {
        let index = self.pool();
        let pool = &self.catalog()[index];
        let mut eligible = Eligible::default();
        let mut best = Standing::JustFailed;
        for (member, deployment) in pool.members().iter().enumerate() {
            let Some(standing) = self.standing(*deployment) else {
                continue;
            };
            if standing > best || !self.is_admitted(*deployment, now) {
                continue;
            }
            if standing < best {
                eligible.clear();
                best = standing;
            }
            eligible.insert(member);
        }
        loop {
            let floor = self.fleet.round(index).load(std::sync::atomic::Ordering::Relaxed);
            let candidates = Candidates::new(&self.fleet, pool, floor, &eligible)?;
            let picked = pool.strategy().pick(&candidates, dice).index;
            if let Some(reservation) = self.fleet.reserve(index, picked, now) {
                let timeout = self.attempt_timeout(&self.catalog()[picked], now);
                return Some(Attempt { reservation, pool: index, cause: self.cause, started: now, timeout });
            }
            // Another route took the probe, or cooled it, between the look and the grip.
            let position = pool.members().iter().position(|member| *member == picked)?;
            eligible.remove(position);
        }
    }

    fn attempt_timeout(&self, deployment: &Deployment, now: Timestamp) -> Duration {
        let limit = match self.kind {
            RequestKind::Whole => deployment.timeout(),
            RequestKind::Stream => deployment.stream_timeout(),
        };
        self.deadline.map_or(limit, |deadline| limit.min(deadline.since(now)))
    }

    /// After a failure: another deployment of the pool, another pool, the same deployment later, or the end.
    fn reconsider(&mut self, now: Timestamp, dice: &mut Dice) -> Turn {
        let Some(error) = self.last_error() else {
            return Turn::Choose;
        };
        match error.remedy() {
            Remedy::GiveUp => Turn::Over(Err(RouteFailure::Attempted { retry_after: None })),
            Remedy::ContextFallback => self.go_on(FallbackKind::ContextWindow, now),
            Remedy::ContentFallback => self.go_on(FallbackKind::ContentPolicy, now),
            Remedy::RetryElsewhere | Remedy::RetryLater if self.retries_left == 0 => {
                self.go_on(FallbackKind::General, now)
            }
            Remedy::RetryElsewhere | Remedy::RetryLater => {
                if self.has_another_ready(now) {
                    self.retries_left -= 1;
                    self.cause = AttemptCause::Retry;
                    return Turn::Choose;
                }
                self.leave_pool(now, dice)
            }
        }
    }

    /// Nobody else in this pool is ready: a fallback that is, or a wait, or the end.
    fn leave_pool(&mut self, now: Timestamp, dice: &mut Dice) -> Turn {
        let readiness = match self.search(FallbackKind::General, now) {
            Ok(pool) => return self.enter(pool, FallbackKind::General),
            Err(readiness) => readiness,
        };
        if self.trail.is_empty()
            && let Readiness::Later(moment, cause) = readiness
        {
            return Turn::Over(Err(RouteFailure::Cooling { retry_after: moment.since(now), cause }));
        }
        if let (Some(moment), true) = (self.ready_again(now, dice), self.retries_left > 0)
            && moment.since(now) <= MAX_WAIT
            && self.deadline.is_none_or(|deadline| moment < deadline)
        {
            self.retries_left -= 1;
            self.cause = AttemptCause::Retry;
            return Turn::WaitUntil(moment);
        }
        Turn::Over(Err(attempted(readiness, now)))
    }

    /// Goes on along the edges of this kind; ends where they lead nowhere.
    fn go_on(&mut self, kind: FallbackKind, now: Timestamp) -> Turn {
        match self.search(kind, now) {
            Ok(pool) => self.enter(pool, kind),
            Err(readiness) if kind == FallbackKind::General => Turn::Over(Err(attempted(readiness, now))),
            // Coming back later would not make the prompt shorter or the policy milder.
            Err(_) => Turn::Over(Err(RouteFailure::Attempted { retry_after: None })),
        }
    }

    fn enter(&mut self, pool: PoolIndex, kind: FallbackKind) -> Turn {
        self.cause = AttemptCause::Fallback { from: self.pool(), kind };
        self.entered.push(pool);
        self.retries_left = self.catalog()[pool].num_retries();
        Turn::Choose
    }

    fn last_error(&self) -> Option<&ProviderError> {
        self.trail.last()?.error.as_ref()
    }

    /// When a deployment of the present pool may be asked again, back-off and cooldown considered.
    fn ready_again(&self, now: Timestamp, dice: &mut Dice) -> Option<Timestamp> {
        let backoff = now + self.backoff(dice);
        let pool = &self.catalog()[self.pool()];
        let moments =
            pool.members().iter().filter(|member| self.standing(**member).is_some()).map(|member| match self
                .fleet
                .breaker(*member, now)
            {
                BreakerState::Open { until, .. } => until.max(backoff),
                BreakerState::Closed | BreakerState::HalfOpen { .. } => backoff,
            });
        let asked = self.last_error().and_then(ProviderError::retry_after);
        moments.min().map(|moment| asked.map_or(moment, |span| moment.max(now + span.min(MAX_WAIT))))
    }

    /// Exponential, never under `retry_after`, with up to half as much again on top so that callers do not come back in step.
    fn backoff(&self, dice: &mut Dice) -> Duration {
        let pool = self.pool();
        let retries = self.trail.iter().filter(|record| record.pool == pool).count().saturating_sub(1);
        let doubled = FIRST_BACKOFF.saturating_mul(1 << retries.min(8)).min(LARGEST_BACKOFF);
        let base = doubled.max(self.catalog().settings().retry_after);
        let half = u64::try_from(base.as_millis() / 2).unwrap_or(u64::MAX);
        base + Duration::from_millis(dice.below(half.saturating_add(1)))
    }
}

fn attempted(readiness: Readiness, now: Timestamp) -> RouteFailure {
    let retry_after = match readiness {
        Readiness::Later(moment, _) => Some(moment.since(now)),
        Readiness::Now | Readiness::Never => None,
    };
    RouteFailure::Attempted { retry_after }
}

/// How much sense a deployment makes for this route, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Untried,
    Tried,
    JustFailed,
}

impl Route {
    /// `None` when the deployment already failed in a way that asking again cannot mend.
    fn standing(&self, deployment: DeploymentIndex) -> Option<Standing> {
        let mut standing = Standing::Untried;
        for (n, record) in self.trail.iter().enumerate() {
            if record.deployment == deployment {
                if record.error.as_ref().is_some_and(|error| error.remedy() != Remedy::RetryLater) {
                    return None;
                }
                standing = if n + 1 == self.trail.len() { Standing::JustFailed } else { Standing::Tried };
            }
        }
        Some(standing)
    }

    fn is_admitted(&self, deployment: DeploymentIndex, now: Timestamp) -> bool {
        match self.fleet.breaker(deployment, now) {
            BreakerState::Closed | BreakerState::HalfOpen { probing: false } => true,
            BreakerState::HalfOpen { probing: true } | BreakerState::Open { .. } => false,
        }
    }

    /// Whether the present pool has somebody ready who did not just fail.
    fn has_another_ready(&self, now: Timestamp) -> bool {
        self.catalog()[self.pool()].members().iter().any(|member| {
            self.standing(*member).is_some_and(|standing| standing < Standing::JustFailed)
                && self.is_admitted(*member, now)
        })
    }
}
