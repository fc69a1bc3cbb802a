//! The state of a deployment at one moment, for people and programs that look at it.

use std::time::Duration;

use super::Fleet;
use crate::breaker::BreakerState;
use crate::catalog::DeploymentIndex;
use crate::demand::RequestKind;
use crate::{ProviderErrorKind, Timestamp};

/// The state of a deployment at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Whether it gets traffic.
    pub health: Health,
    /// Calls in flight.
    pub in_flight: u32,
    /// The median latency of its last whole answers.
    pub p50: Option<Duration>,
    /// The median time to the first token of its last streams.
    pub first_token_p50: Option<Duration>,
    /// Requests within the last minute.
    pub requests: u64,
    /// Tokens within the last minute; what is in flight counts by its estimate.
    pub tokens: u64,
    /// Requests per minute it may get.
    pub rpm: Option<u64>,
    /// Tokens per minute it may use.
    pub tpm: Option<u64>,
    /// Calls in flight it may have.
    pub max_parallel_requests: Option<u32>,
    /// How much of the provider's own limit is used, in thousandths, by its last headers and what was sent since.
    pub provider_limit_used: Option<u64>,
}

/// Whether a deployment gets traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Healthy,
    /// It recovered a moment ago and gets this share of its traffic, in percent.
    WarmingUp(u64),
    /// It does not.
    Cooling {
        /// For how long yet.
        left: Duration,
        /// Why.
        cause: ProviderErrorKind,
    },
    /// Its cooldown is over; the next call decides.
    HalfOpen {
        /// Whether that call is on its way.
        probing: bool,
    },
}

impl Fleet {
    /// Returns the state of a deployment now.
    pub fn snapshot(&self, deployment: DeploymentIndex, now: Timestamp) -> Snapshot {
        let live = self.live(deployment);
        let limits = self.catalog[deployment].limits;
        let (requests, tokens) = self.used(deployment, now);
        let health = match live.breaker.state(now) {
            BreakerState::Closed => match live.breaker.warmth(now) {
                100.. => Health::Healthy,
                share => Health::WarmingUp(share),
            },
            BreakerState::Open { until, cause } => Health::Cooling { left: until.since(now), cause },
            BreakerState::HalfOpen { probing } => Health::HalfOpen { probing },
        };
        Snapshot {
            health,
            in_flight: live.in_flight(),
            p50: self.p50(deployment, RequestKind::Whole),
            first_token_p50: self.p50(deployment, RequestKind::Stream),
            requests,
            tokens,
            rpm: limits.rpm,
            tpm: limits.tpm,
            max_parallel_requests: limits.max_parallel_requests,
            provider_limit_used: live.gauge.used(now),
        }
    }
}
