//! How the deployments are doing: the live side of a catalog.

mod admission;
mod handover;
mod reservation;
mod sharing;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use self::admission::{Admission, Obstacle};
use self::admission::{PARALLEL_RECHECK, PROBE_RECHECK};
pub use self::reservation::{Lesson, Reservation};
use self::sharing::Untold;
pub use self::snapshot::{Health, Snapshot};
use crate::breaker::{Breaker, BreakerState};
use crate::catalog::{Catalog, Deployment, DeploymentIndex, Limits, PoolIndex};
use crate::demand::{Demand, RequestKind};
use crate::headroom::HeadroomGauge;
use crate::latency::Latency;
use crate::retry_budget::RetryBudget;
use crate::window::MinuteWindow;
use crate::{DeploymentId, Fault, Price, ProviderError, ProviderErrorKind, Timestamp};

/// A catalog with the live state of each of its deployments. Shared by every route; plain atomics.
#[derive(Debug)]
pub struct Fleet {
    catalog: Arc<Catalog>,
    /// Shared with the fleet of the configuration before and after, where a deployment is the same.
    live: Box<[Arc<Live>]>,
    pools: Box<[Arc<LivePool>]>,
    /// Retries of each provider, over all pools.
    provider_budgets: Box<[RetryBudget]>,
}

/// The live state of one deployment, and what every decision has to know of its settings. A decision over a large pool reads all of
/// its deployments, so this is kept small; what only a pick or a failure touches is boxed.
#[derive(Debug)]
pub(crate) struct Live {
    in_flight: AtomicU32,
    pub(crate) order: u32,
    turn: AtomicU64,
    token_turn: AtomicU64,
    is_standby: bool,
    /// Whether it has an rpm, tpm or max_parallel_requests of its own.
    pub(crate) is_limited: bool,
    /// For deployments with an rpm or tpm.
    untold: Option<Box<Untold>>,
    pub(crate) price: Option<Price>,
    pub(crate) breaker: Breaker,
    pub(crate) latency: Latency,
    pub(crate) requests: MinuteWindow,
    pub(crate) tokens: MinuteWindow,
    pub(crate) gauge: HeadroomGauge,
}

/// The live state of one pool.
#[derive(Debug)]
pub(crate) struct LivePool {
    /// The turns it has reached, for calls and for tokens; a deployment that was away starts here.
    round: AtomicU64,
    token_round: AtomicU64,
    pub(crate) retries: RetryBudget,
    /// The usual length of its answers in tokens, as a moving average, in parts of [`LENGTH_UNIT`].
    completion_length: AtomicU64,
    /// The answers it is made of.
    answers: AtomicU64,
}

const LENGTH_UNIT: u64 = 256;

/// How many answers the usual length is the mean of. A cost-based choice between prices that cross is only as good as this mean:
/// of 64 lengths with a log-normal's sigma of 0.8, it is right to a tenth.
const LENGTHS: u64 = 64;

/// What is assumed of an answer's length before any was seen, in tokens.
const USUAL_COMPLETION: u64 = 256;

impl LivePool {
    /// Returns the turns it has reached, for calls and for tokens.
    pub(crate) fn rounds(&self) -> (u64, u64) {
        (self.round.load(Relaxed), self.token_round.load(Relaxed))
    }

    /// Returns how many tokens an answer will probably have.
    pub(crate) fn expected_completion(&self, demand: &Demand) -> u64 {
        let usual = self.completion_length.load(Relaxed) / LENGTH_UNIT;
        demand.max_tokens.map_or(usual, |most| usual.min(most))
    }

    fn learn_completion(&self, tokens: u64) {
        // The plain mean at first, a moving one later. A lost update is a sample less.
        let answers = self.answers.fetch_add(1, Relaxed).saturating_add(1).min(LENGTHS);
        let usual = self.completion_length.load(Relaxed);
        let this = tokens.saturating_mul(LENGTH_UNIT);
        self.completion_length.store(usual - usual / answers + this / answers, Relaxed);
    }
}

impl Live {
    fn new(deployment: &Deployment) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            order: deployment.order,
            turn: AtomicU64::new(0),
            token_turn: AtomicU64::new(0),
            is_standby: deployment.stride.is_none(),
            is_limited: deployment.limits != Limits::default(),
            untold: (deployment.limits.rpm.is_some() || deployment.limits.tpm.is_some()).then(Box::default),
            price: deployment.price,
            breaker: Breaker::new(),
            latency: Latency::new(),
            requests: MinuteWindow::new(),
            tokens: MinuteWindow::new(),
            gauge: HeadroomGauge::new(),
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether nothing speaks against it, whatever the time and the demand: no limit, no cooldown, not warming up.
    pub(crate) fn is_carefree(&self) -> bool {
        !self.is_limited && self.breaker.never_opened() && self.gauge.is_silent()
    }

    /// Its turn, not before this round; a stand-by comes last.
    pub(crate) fn turn_in(&self, round: u64) -> u64 {
        if self.is_standby { u64::MAX } else { self.turn.load(Relaxed).max(round) }
    }

    /// The same for tokens.
    pub(crate) fn token_turn_in(&self, round: u64) -> u64 {
        if self.is_standby { u64::MAX } else { self.token_turn.load(Relaxed).max(round) }
    }
}

/// A change of a deployment's health, worth telling others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthChange {
    /// It gets no traffic until this moment.
    Cooled {
        /// The deployment.
        deployment: DeploymentId,
        /// When the cooldown ends.
        until: Timestamp,
        /// What caused it.
        cause: ProviderErrorKind,
    },
    /// Its probe succeeded; traffic flows again.
    Recovered {
        /// The deployment.
        deployment: DeploymentId,
    },
}

impl Fleet {
    /// Starts with every deployment healthy and idle.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let live = catalog.deployments().iter().map(|deployment| Arc::new(Live::new(deployment))).collect();
        let pool = || LivePool {
            round: AtomicU64::new(0),
            token_round: AtomicU64::new(0),
            retries: RetryBudget::new(),
            completion_length: AtomicU64::new(USUAL_COMPLETION * LENGTH_UNIT),
            answers: AtomicU64::new(0),
        };
        let pools = catalog.pools().iter().map(|_| Arc::new(pool())).collect();
        let providers = catalog.deployments().iter().map(|found| found.provider_index + 1).max().unwrap_or(0);
        let provider_budgets = (0..providers).map(|_| RetryBudget::new()).collect();
        Self { catalog, live, pools, provider_budgets }
    }

    /// Returns the configuration it belongs to.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns where a deployment's breaker stands.
    pub fn breaker(&self, deployment: DeploymentIndex, now: Timestamp) -> BreakerState {
        self.live(deployment).breaker.state(now)
    }

    /// Returns a deployment's calls in flight.
    pub fn in_flight(&self, deployment: DeploymentIndex) -> u32 {
        self.live(deployment).in_flight()
    }

    /// Returns the median latency of a deployment's last answers: whole ones, or the first tokens of streams.
    pub fn p50(&self, deployment: DeploymentIndex, kind: RequestKind) -> Option<Duration> {
        self.live(deployment).latency.of(kind).p50().map(Duration::from_micros)
    }

    /// Returns the requests and tokens of a deployment within the last minute; what is in flight counts by its estimate.
    pub fn used(&self, deployment: DeploymentIndex, now: Timestamp) -> (u64, u64) {
        let live = self.live(deployment);
        (live.requests.sum(now), live.tokens.sum(now))
    }

    /// Returns whether a deployment may be called for this demand now. This is the one place that knows its limits.
    pub fn admission(&self, deployment: DeploymentIndex, demand: &Demand, now: Timestamp) -> Admission {
        let live = self.live(deployment);
        match live.breaker.state(now) {
            BreakerState::Closed | BreakerState::HalfOpen { probing: false } => {}
            BreakerState::HalfOpen { probing: true } => {
                return Admission::Later(now + PROBE_RECHECK, Obstacle::Probing);
            }
            BreakerState::Open { until, cause } => return Admission::Later(until, Obstacle::Cooling(cause)),
        }
        if live.is_limited
            && let Some(later) = self.own_limit(deployment, demand, now)
        {
            return later;
        }
        if let Some(until) = live.gauge.exhausted_until(demand.prompt_tokens, now) {
            return Admission::Later(until, Obstacle::ProviderLimit);
        }
        Admission::Ready
    }

    /// Why the deployment's own limits do not admit this demand now; `None` when they do.
    fn own_limit(&self, deployment: DeploymentIndex, demand: &Demand, now: Timestamp) -> Option<Admission> {
        let live = self.live(deployment);
        let limits = self.catalog[deployment].limits;
        if limits.max_parallel_requests.is_some_and(|most| live.in_flight() >= most) {
            return Some(Admission::Later(now + PARALLEL_RECHECK, Obstacle::MaxParallelRequests));
        }
        if let Some(rpm) = limits.rpm
            && live.requests.sum(now) >= rpm
        {
            return Some(Admission::Later(now + live.requests.wait_for(1, rpm, now), Obstacle::Rpm));
        }
        // A prompt larger than the whole limit is let through when nothing else is under way: no wait would help it.
        if let Some(tpm) = limits.tpm {
            let used = live.tokens.sum(now);
            let wanted = demand.prompt_tokens.max(1);
            if used > 0 && used.saturating_add(wanted) > tpm {
                let wait = live.tokens.wait_for(wanted.min(tpm), tpm, now);
                return Some(Admission::Later(now + wait, Obstacle::Tpm));
            }
        }
        None
    }

    #[expect(clippy::indexing_slicing, reason = "one live state per deployment of the own catalog")]
    pub(crate) fn live(&self, deployment: DeploymentIndex) -> &Live {
        &self.live[deployment.get()]
    }

    #[expect(clippy::indexing_slicing, reason = "one live state per pool of the own catalog")]
    pub(crate) fn live_pool(&self, pool: PoolIndex) -> &LivePool {
        &self.pools[pool.0 as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "one budget per provider of the own catalog")]
    pub(crate) fn provider_budget(&self, deployment: DeploymentIndex) -> &RetryBudget {
        &self.provider_budgets[self.catalog[deployment].provider_index as usize]
    }

    /// Counts a pick at once, so that the next pick sees it. `None` when somebody else was quicker: it would be a second probe, or
    /// over a limit.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        pool: PoolIndex,
        deployment: DeploymentIndex,
        demand: &Demand,
        now: Timestamp,
    ) -> Option<Reservation> {
        let live = self.live(deployment);
        let settings = &self.catalog[deployment];
        // Taken first and given back if it was one too many, so that two at once cannot both slip under a limit.
        let in_flight = live.in_flight.fetch_add(1, Relaxed);
        if settings.limits.max_parallel_requests.is_some_and(|most| in_flight >= most) {
            live.in_flight.fetch_sub(1, Relaxed);
            return None;
        }
        live.requests.add(1, now);
        if settings.limits.rpm.is_some_and(|rpm| live.requests.sum(now) > rpm) {
            live.requests.remove(1, now);
            live.in_flight.fetch_sub(1, Relaxed);
            return None;
        }
        let probe = match live.breaker.state(now) {
            BreakerState::Closed => false,
            BreakerState::HalfOpen { .. } if live.breaker.take_probe() => true,
            BreakerState::HalfOpen { .. } | BreakerState::Open { .. } => {
                live.requests.remove(1, now);
                live.in_flight.fetch_sub(1, Relaxed);
                return None;
            }
        };
        live.tokens.add(demand.prompt_tokens, now);
        live.gauge.take(demand.prompt_tokens);
        self.consume(deployment, 1, signed(demand.prompt_tokens));
        live.latency.of(demand.kind).ask(now);
        self.advance(pool, deployment, settings, demand.prompt_tokens);
        Some(Reservation {
            fleet: Arc::clone(self),
            pool,
            deployment,
            probe,
            reserved_at: now,
            reserved_tokens: demand.prompt_tokens,
        })
    }

    /// Moves a deployment's turns on by its stride: one call, and the tokens it is estimated to use.
    fn advance(&self, pool: PoolIndex, deployment: DeploymentIndex, settings: &Deployment, tokens: u64) {
        if let Some(stride) = settings.stride {
            let live = self.live(deployment);
            let pool = self.live_pool(pool);
            advance(&live.turn, &pool.round, stride);
            advance(&live.token_turn, &pool.token_round, token_stride(stride, tokens.max(1)));
        }
    }

    /// Puts the tokens that a call really used in the place of the estimate.
    fn correct(&self, deployment: DeploymentIndex, estimated: u64, used: u64) {
        let turn = &self.live(deployment).token_turn;
        if let Some(stride) = self.catalog[deployment].stride {
            if used >= estimated {
                turn.fetch_add(token_stride(stride, used - estimated), Relaxed);
            } else {
                // The estimate was added before, so this stays above nothing.
                turn.fetch_sub(token_stride(stride, estimated - used), Relaxed);
            }
        }
    }

    /// Cools what shares the failure domain of an error: the credential, or the account and model.
    fn cool_domain(
        &self,
        deployment: DeploymentIndex,
        error: &ProviderError,
        until: Timestamp,
        changes: &mut Vec<HealthChange>,
    ) {
        let settings = &self.catalog[deployment];
        let peers = match error.fault() {
            Fault::Credential => &settings.same_credential,
            Fault::AccountModel => &settings.same_account_model,
            Fault::Request | Fault::Region | Fault::Path => return,
        };
        for peer in peers {
            let peer_settings = &self.catalog[*peer];
            if !peer_settings.breaker.cooldown_time.is_zero()
                && self.live(*peer).breaker.cool(until, error.kind())
            {
                let deployment = peer_settings.id().clone();
                changes.push(HealthChange::Cooled { deployment, until, cause: error.kind() });
            }
        }
    }
}

fn advance(turn: &AtomicU64, round: &AtomicU64, stride: u64) {
    let start = turn.load(Relaxed).max(round.load(Relaxed));
    round.fetch_max(start, Relaxed);
    // Two threads that pick the same deployment at once each move it on by a stride.
    turn.fetch_max(start, Relaxed);
    turn.fetch_add(stride, Relaxed);
}

/// How far so many tokens move a turn on. Finer than a stride can be told for a single token, coarse enough that turns do not run
/// out.
const fn token_stride(stride: u64, tokens: u64) -> u64 {
    (stride >> 8).saturating_mul(tokens)
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
