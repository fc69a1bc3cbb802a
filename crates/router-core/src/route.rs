//! The whole life of one request, as a state machine that somebody else drives.

mod explain;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

pub use self::explain::{Explained, ExplainedPool, Verdict};
use self::search::Readiness;
use crate::catalog::{Catalog, Deployment, DeploymentIndex, PoolIndex};
use crate::config::FallbackKind;
use crate::demand::{Demand, RequestKind};
use crate::fleet::{Admission, Fleet, HealthChange, Lesson, Obstacle, Reservation};
use crate::strategy::{Candidates, Eligible};
use crate::{Abilities, Dice, Fault, ProviderError, Remedy, Timestamp};

/// The longest a route waits for anything before it gives up, 30 s: longer than a caller likes to wait, shorter than most
/// clients' own timeouts.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The first back-off, and the largest one before jitter. The OpenAI SDKs' numbers: 0.5 s, doubling, at most 8 s.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LARGEST_BACKOFF: Duration = Duration::from_secs(8);

/// How often a strict limit is asked for one deployment before the route waits or leaves the pool: so that every route ends.
const MOST_REFUSALS: u32 = 3;

/// One request on its way through pools and deployments.
///
/// Drive it with two verbs: [`next`](Self::next) says what to do, [`record`](Self::record) takes what came of it.
///
/// ```
/// use router_core::{Alias, Catalog, Config, Demand, DeploymentConfig, Dice, Fleet, Lesson, Route, Step, Timestamp};
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
/// let mut route = Route::new(fleet, pool, Demand::whole(), now);
/// let answered = loop {
///     match route.next(now, &mut dice) {
///         Step::Attempt(attempt) => {
///             // Call the deployment here.
///             route.record(attempt, Ok(Lesson::default()), now);
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
    demand: Demand,
    started: Timestamp,
    deadline: Option<Timestamp>,
    /// The pools entered so far, in order; the last is the present one.
    entered: SmallVec<[PoolIndex; 8]>,
    /// Retries in the present pool.
    retries: u32,
    cause: AttemptCause,
    trail: SmallVec<[AttemptRecord; 4]>,
    /// Deployments that a strict limit did not admit.
    refused: Vec<Refusal>,
    turn: Turn,
}

/// A strict limit that did not admit an attempt.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    deployment: DeploymentIndex,
    until: Timestamp,
    obstacle: Obstacle,
    times: u32,
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

    /// Returns when it was decided on.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Takes note that the call is made only now: what came before was waiting for a strict limit.
    pub const fn start(&mut self, now: Timestamp) {
        self.started = now;
    }
}

/// What came of one attempt.
#[derive(Debug)]
pub struct AttemptRecord {
    /// The pool it was for.
    pub pool: PoolIndex,
    /// The deployment that was called.
    pub deployment: DeploymentIndex,
    /// Why it was called.
    pub cause: AttemptCause,
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
    /// Every deployment of every reachable pool is cooling or at its limit; none was called.
    Unavailable {
        /// When the first will be ready again.
        retry_after: Duration,
        /// What keeps it until then.
        obstacle: Obstacle,
    },
    /// No deployment of any reachable pool can take such a request; none was called.
    Unfit(Unfit),
    /// The time for the whole request is over.
    DeadlineExceeded,
}

/// Why no deployment can take a request, now or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unfit {
    /// The prompt is longer than every window.
    ContextWindow,
    /// Every deployment is known to lack something of these.
    Abilities(Abilities),
    /// No deployment has the tags that were asked for.
    Tags,
    /// No deployment can go on with an answer that another began.
    Continuation,
}

#[derive(Debug)]
enum Turn {
    /// Choose a deployment of the present pool.
    Choose,
    /// Somebody may be asked again, or has room again, but not before this moment.
    WaitUntil(Timestamp),
    /// An attempt is under way.
    Attempting,
    /// The last attempt failed: where to now?
    Reconsider,
    Over(Result<(), RouteFailure>),
}

impl Route {
    /// Starts at a pool of this fleet's catalog.
    pub fn new(fleet: Arc<Fleet>, pool: PoolIndex, demand: Demand, now: Timestamp) -> Self {
        let deadline = fleet.catalog().settings().total_timeout.map(|span| now + span);
        Self {
            fleet,
            demand,
            started: now,
            deadline,
            entered: std::iter::once(pool).collect(),
            retries: 0,
            cause: AttemptCause::First,
            trail: SmallVec::new(),
            refused: Vec::new(),
            turn: Turn::Choose,
        }
    }

    /// Returns what to do next.
    ///
    /// It always comes to [`Step::Done`]: each pool is entered once, each attempt and each wait in a pool uses up one of its
    /// retries, and waits for room end with the queue timeout.
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
                    None => self.turn = self.nobody_ready(now, dice),
                },
                Turn::WaitUntil(moment) if now < moment => return Step::Wait(moment.since(now)),
                Turn::WaitUntil(_) => {
                    self.refused.clear();
                    self.turn = Turn::Choose;
                }
                // The attempt was dropped without an outcome: the caller left.
                Turn::Attempting => {
                    self.turn = Turn::Over(Err(RouteFailure::Attempted { retry_after: None }))
                }
                Turn::Reconsider => self.turn = self.reconsider(now, dice),
            }
        }
    }

    /// Takes what came of an attempt: what it taught, or why it failed. Returns what that changes for everybody else.
    pub fn record(
        &mut self,
        attempt: Attempt,
        outcome: Result<Lesson, ProviderError>,
        now: Timestamp,
    ) -> Vec<HealthChange> {
        let Attempt { reservation, pool, cause, started, timeout } = attempt;
        let deployment = reservation.deployment();
        let kind = self.demand.kind;
        let (lesson, error) = match outcome {
            Ok(lesson) => {
                reservation.learn_latency(kind, now.since(started), now);
                (lesson, None)
            }
            Err(error) => {
                if error.fault() != Fault::Request {
                    reservation.learn_failure(kind, now.since(started), timeout, now);
                }
                (Lesson::default(), Some(error))
            }
        };
        let changes = reservation.settle(error.as_ref(), lesson, now);
        self.turn = if error.is_none() { Turn::Over(Ok(())) } else { Turn::Reconsider };
        self.trail.push(AttemptRecord { pool, deployment, cause, started, ended: now, error });
        changes
    }

    /// Takes note that a strict limit does not admit an attempt: it was not made, and the deployment is passed over until it has room.
    pub fn refuse(&mut self, attempt: Attempt, obstacle: Obstacle, wait: Duration, now: Timestamp) {
        let deployment = attempt.deployment();
        attempt.reservation.withdraw();
        let until = now + wait.max(Duration::from_millis(1));
        match self.refused.iter_mut().find(|refusal| refusal.deployment == deployment) {
            Some(refusal) => {
                *refusal = Refusal { until, obstacle, times: refusal.times + 1, ..*refusal };
            }
            None => self.refused.push(Refusal { deployment, until, obstacle, times: 1 }),
        }
        self.turn = Turn::Choose;
    }

    /// Takes note that a stream's first token has arrived: the route is over, the call is not. Settle the reservation when
    /// the stream ends.
    pub fn record_first_token(&mut self, attempt: Attempt, now: Timestamp) -> Reservation {
        let Attempt { reservation, pool, cause, started, .. } = attempt;
        let deployment = reservation.deployment();
        reservation.learn_latency(RequestKind::Stream, now.since(started), now);
        self.turn = Turn::Over(Ok(()));
        self.trail.push(AttemptRecord { pool, deployment, cause, started, ended: now, error: None });
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

    /// Returns what the request asks for.
    pub const fn demand(&self) -> &Demand {
        &self.demand
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

    /// Picks and reserves a deployment of the present pool.
    fn choose(&self, now: Timestamp, dice: &mut Dice) -> Option<Attempt> {
        let index = self.pool();
        let pool = &self.catalog()[index];
        let mut eligible = self.eligible(now, dice);
        loop {
            let candidates = Candidates::new(&self.fleet, index, &self.demand, now, &eligible)?;
            let picked = pool.strategy().pick(&candidates, dice).index;
            if let Some(reservation) = self.fleet.reserve(index, picked, &self.demand, now) {
                self.keep_accounts(index, picked);
                let timeout = self.attempt_timeout(&self.catalog()[picked], now);
                return Some(Attempt { reservation, pool: index, cause: self.cause, started: now, timeout });
            }
            // Another route took the probe, or the last place, between the look and the grip.
            let position = pool.members().iter().position(|member| *member == picked)?;
            eligible.remove(position);
        }
    }

    /// The deployments of the present pool that may be picked: untried ones first, the one that just failed last; among those of
    /// one standing the lowest `order`.
    fn eligible(&self, now: Timestamp, dice: &mut Dice) -> Eligible {
        let pool = &self.catalog()[self.pool()];
        let mut eligible = Eligible::default();
        let mut best = (Standing::JustFailed, u32::MAX);
        let alike = self.all_stand_alike();
        for (member, deployment) in pool.members().iter().enumerate() {
            let live = self.fleet.live(*deployment);
            let standing = if alike && live.is_carefree() {
                // Nearly everybody, nearly always; the rest of the loop comes to the same, more slowly.
                Standing::Untried
            } else {
                match self.standing(*deployment) {
                    Some(standing) if standing <= best.0 && self.is_admitted(*deployment, now) => {
                        let warmth = live.breaker.warmth(now);
                        let is_held_back = warmth < 100 && dice.below(100) >= warmth;
                        if is_held_back { standing.max(Standing::WarmingUp) } else { standing }
                    }
                    Some(_) | None => continue,
                }
            };
            let rank = (standing, live.order);
            if rank < best {
                eligible.clear();
                best = rank;
            }
            if rank == best {
                eligible.insert(member);
            }
        }
        eligible
    }

    /// First attempts earn retries, retries are paid for.
    fn keep_accounts(&self, pool: PoolIndex, deployment: DeploymentIndex) {
        let budgets = [&self.fleet.live_pool(pool).retries, self.fleet.provider_budget(deployment)];
        for budget in budgets {
            match self.cause {
                AttemptCause::First | AttemptCause::Fallback { .. } => budget.earn(),
                AttemptCause::Retry => budget.pay(),
            }
        }
    }

    fn attempt_timeout(&self, deployment: &Deployment, now: Timestamp) -> Duration {
        let limit = match self.demand.kind {
            RequestKind::Whole => deployment.timeout(),
            RequestKind::Stream => deployment.stream_timeout(),
        };
        self.deadline.map_or(limit, |deadline| limit.min(deadline.since(now)))
    }

    /// After a failure: another deployment of the pool, another pool, the same deployment later, or the end.
    fn reconsider(&mut self, now: Timestamp, dice: &mut Dice) -> Turn {
        let Some(error) = self.last_error() else { return Turn::Choose };
        match error.remedy() {
            Remedy::GiveUp => Turn::Over(Err(RouteFailure::Attempted { retry_after: None })),
            Remedy::ContextFallback => self.go_on(FallbackKind::ContextWindow, now),
            Remedy::ContentFallback => self.go_on(FallbackKind::ContentPolicy, now),
            Remedy::RetryElsewhere | Remedy::RetryLater => {
                if !self.may_retry(now) {
                    return self.go_on(FallbackKind::General, now);
                }
                if self.has_another_ready(now) {
                    return self.retry(Turn::Choose);
                }
                self.leave_pool(now, dice)
            }
        }
    }

    /// Whether the pool's retries, for this kind of error, and the shared budgets allow another attempt.
    fn may_retry(&self, now: Timestamp) -> bool {
        let Some(AttemptRecord { pool, deployment, error: Some(error), .. }) = self.trail.last() else {
            return false;
        };
        let settings = &self.catalog()[self.pool()];
        let allowed = self.demand.num_retries.unwrap_or_else(|| settings.retries_after(error.kind()));
        self.retries < allowed
            && self.fleet.live_pool(*pool).retries.affords(now)
            && self.fleet.provider_budget(*deployment).affords(now)
    }

    fn retry(&mut self, turn: Turn) -> Turn {
        self.retries += 1;
        self.cause = AttemptCause::Retry;
        turn
    }

    /// There was nobody to choose: too long a prompt for this pool, or everybody is cooling, at a limit or excluded.
    fn nobody_ready(&mut self, now: Timestamp, dice: &mut Dice) -> Turn {
        let pool = self.pool();
        let members = self.catalog()[pool].members();
        let too_long = members.iter().all(|member| !self.fits_window(*member));
        if too_long { self.go_on(FallbackKind::ContextWindow, now) } else { self.leave_pool(now, dice) }
    }

    /// Nobody else in this pool is ready: a fallback that is, or a wait, or the end.
    fn leave_pool(&mut self, now: Timestamp, dice: &mut Dice) -> Turn {
        let readiness = match self.search(FallbackKind::General, now) {
            Ok(pool) => return self.enter(pool, FallbackKind::General),
            Err(readiness) => readiness,
        };
        // Only a request that was not sent yet waits for room; afterwards each wait is a retry, so that attempts stay within their bound.
        if self.trail.is_empty()
            && let Some(turn) = self.queue(readiness, now)
        {
            return turn;
        }
        if self.may_retry(now)
            && let Some(moment) = self.ready_again(now, dice)
            && moment.since(now) <= MAX_WAIT
            && self.is_in_time(moment)
        {
            return self.retry(Turn::WaitUntil(moment));
        }
        Turn::Over(Err(self.failure(readiness, now)))
    }

    /// Waits for room at a limit, when that was asked for and time is left.
    fn queue(&self, readiness: Readiness, now: Timestamp) -> Option<Turn> {
        let end = self.started + self.catalog().settings().queue_timeout;
        match readiness {
            Readiness::Later(moment, obstacle) if obstacle.is_limit() && now < end => {
                let moment = moment.min(end).max(now + Duration::from_millis(1));
                self.is_in_time(moment).then_some(Turn::WaitUntil(moment))
            }
            Readiness::Later(..) | Readiness::Now | Readiness::Never => None,
        }
    }

    fn is_in_time(&self, moment: Timestamp) -> bool {
        self.deadline.is_none_or(|deadline| moment < deadline)
    }

    /// Goes on along the edges of this kind; ends where they lead nowhere.
    fn go_on(&mut self, kind: FallbackKind, now: Timestamp) -> Turn {
        match self.search(kind, now) {
            Ok(pool) => self.enter(pool, kind),
            Err(_) if kind != FallbackKind::General && !self.trail.is_empty() => {
                // Coming back later would not make the prompt shorter or the policy milder.
                Turn::Over(Err(RouteFailure::Attempted { retry_after: None }))
            }
            Err(readiness) => match self.queue(readiness, now) {
                Some(turn) if self.trail.is_empty() => turn,
                _ => Turn::Over(Err(self.failure(readiness, now))),
            },
        }
    }

    fn enter(&mut self, pool: PoolIndex, kind: FallbackKind) -> Turn {
        self.cause = AttemptCause::Fallback { from: self.pool(), kind };
        self.entered.push(pool);
        self.retries = 0;
        Turn::Choose
    }

    /// Why it ends here.
    fn failure(&self, readiness: Readiness, now: Timestamp) -> RouteFailure {
        let later = match readiness {
            Readiness::Later(moment, obstacle) => Some((moment.since(now), obstacle)),
            Readiness::Now | Readiness::Never => None,
        };
        match (later, self.trail.is_empty()) {
            (Some((retry_after, obstacle)), true) => RouteFailure::Unavailable { retry_after, obstacle },
            (later, false) => {
                RouteFailure::Attempted { retry_after: later.map(|(retry_after, _)| retry_after) }
            }
            (None, true) => {
                let members = self.catalog()[self.pool()].members();
                let has_tags = members.iter().any(|member| self.fits_tags(*member));
                let fits_window = members.iter().any(|member| self.fits_window(*member));
                let is_able = members.iter().any(|member| !self.is_unable(*member));
                RouteFailure::Unfit(match (has_tags, fits_window, is_able) {
                    (false, _, _) => Unfit::Tags,
                    (true, false, _) => Unfit::ContextWindow,
                    (true, true, false) => Unfit::Abilities(self.demand.needs),
                    (true, true, true) => Unfit::Continuation,
                })
            }
        }
    }

    fn last_error(&self) -> Option<&ProviderError> {
        self.trail.last()?.error.as_ref()
    }

    /// When a deployment of the present pool may be asked again: back-off, cooldowns, limits, and what the one that just failed
    /// asked for.
    fn ready_again(&self, now: Timestamp, dice: &mut Dice) -> Option<Timestamp> {
        let backoff = now + self.backoff(dice);
        let asked = self.last_error().and_then(ProviderError::retry_after).map_or(now, |span| now + span);
        let members = self.catalog()[self.pool()].members().iter();
        let moment = |member: &DeploymentIndex| {
            let soonest = match self.standing(*member)? {
                Standing::JustFailed => backoff.max(asked),
                Standing::Untried | Standing::Tried | Standing::WarmingUp => backoff,
            };
            Some(match self.admission(*member, now) {
                Admission::Later(moment, _) => moment.max(soonest),
                Admission::Ready => soonest,
            })
        };
        members.filter_map(moment).min()
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

/// How much sense a deployment makes for this route, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Untried,
    Tried,
    /// It recovered a moment ago and has had its share.
    WarmingUp,
    JustFailed,
}

impl Route {
    /// Whether every deployment stands alike, as for nearly every first attempt: then nobody needs to be looked at.
    fn all_stand_alike(&self) -> bool {
        let settings = self.catalog().settings();
        self.trail.is_empty()
            && self.refused.is_empty()
            && !settings.enable_pre_call_checks
            && !settings.enable_tag_filtering
            && self.demand.needs.is_empty()
            && self.demand.continues.is_none()
    }

    /// `None` when the deployment cannot take this request, or already failed in a way that asking again cannot mend.
    fn standing(&self, deployment: DeploymentIndex) -> Option<Standing> {
        if !self.fits_window(deployment) || !self.fits_tags(deployment) || self.is_unable(deployment) {
            return None;
        }
        let mut standing = match self.demand.continues {
            Some(_) if !self.catalog()[deployment].supports_assistant_prefill => return None,
            Some(broken) if broken == deployment => Standing::JustFailed,
            Some(_) | None => Standing::Untried,
        };
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

    fn fits_window(&self, deployment: DeploymentIndex) -> bool {
        let window = self.catalog()[deployment].max_input_tokens();
        !self.catalog().settings().enable_pre_call_checks
            || window.is_none_or(|window| self.demand.prompt_tokens <= window)
    }

    /// Whether it is known to lack something that the request needs.
    fn is_unable(&self, deployment: DeploymentIndex) -> bool {
        self.catalog()[deployment].lacks.overlaps(self.demand.needs)
    }

    /// A request with tags goes where one of them is; where the pool knows none of them, and for requests without tags, to those
    /// marked `default`, if there are any.
    fn fits_tags(&self, deployment: DeploymentIndex) -> bool {
        let catalog = self.catalog();
        if !catalog.settings().enable_tag_filtering {
            return true;
        }
        let (wanted, default) = (self.demand.tags, catalog.default_tag());
        let settings = &catalog[deployment];
        if settings.pool_tags.overlaps(wanted) {
            settings.tags.overlaps(wanted)
        } else if settings.pool_tags.overlaps(default) {
            settings.tags.overlaps(default)
        } else {
            wanted.is_empty()
        }
    }

    fn is_admitted(&self, deployment: DeploymentIndex, now: Timestamp) -> bool {
        self.admission(deployment, now) == Admission::Ready
    }

    /// Whether a deployment may be called for this route now: what the fleet says, and what strict limits said.
    fn admission(&self, deployment: DeploymentIndex, now: Timestamp) -> Admission {
        let refusal = self.refused.iter().find(|refusal| refusal.deployment == deployment);
        match refusal {
            Some(Refusal { until, obstacle, times, .. }) if now < *until || *times >= MOST_REFUSALS => {
                Admission::Later((*until).max(now + Duration::from_millis(1)), *obstacle)
            }
            Some(_) | None => self.fleet.admission(deployment, &self.demand, now),
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
