//! What a fleet shares with the fleets of its peers.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::{Fleet, HealthChange};
use crate::DeploymentId;
use crate::Timestamp;
use crate::account::AccountId;
use crate::breaker::BreakerState;
use crate::catalog::DeploymentIndex;
use crate::demand::RequestKind;
use crate::latency::LatencySketch;
use crate::state_store::Consumed;

/// What was consumed here of a deployment's limits and not told to the peers yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    requests: AtomicI64,
    tokens: AtomicI64,
}

impl Untold {
    pub(super) fn add(&self, requests: i64, tokens: i64) {
        self.requests.fetch_add(requests, Relaxed);
        self.tokens.fetch_add(tokens, Relaxed);
    }

    fn take(&self) -> Consumed {
        Consumed { requests: self.requests.swap(0, Relaxed), tokens: self.tokens.swap(0, Relaxed) }
    }
}

impl Fleet {
    /// Takes over what a peer found out. What it tells of deployments that are not here is none of our business.
    ///
    /// A peer's recovery closes nothing here: our own probe decides that, since our way there may be another.
    pub fn apply(&self, change: &HealthChange) {
        match change {
            HealthChange::Cooled { deployment, until, cause } => {
                if let Some(index) = self.catalog.deployment(deployment.as_str()) {
                    self.live(index).breaker.cool(*until, *cause);
                }
            }
            HealthChange::Recovered { .. } => {}
        }
    }

    /// Takes over what peers consumed of a deployment's limits at that moment.
    pub fn apply_consumed(&self, account: &AccountId, consumed: Consumed, at: Timestamp) {
        let Some(index) = account.deployment().and_then(|id| self.catalog.deployment(id)) else { return };
        let live = self.live(index);
        for (window, amount) in [(&live.requests, consumed.requests), (&live.tokens, consumed.tokens)] {
            if amount >= 0 {
                window.add(amount.unsigned_abs(), at);
            } else {
                window.remove(amount.unsigned_abs(), at);
            }
        }
    }

    /// Tells what was consumed here of deployments with limits since this was last asked. Each amount is told once, so one store
    /// asks.
    pub fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
        for (deployment, live) in self.catalog.deployments().iter().zip(&self.live) {
            let consumed = live.untold.as_ref().map_or_else(Consumed::default, |untold| untold.take());
            if !consumed.is_zero() {
                tell(deployment.account(), consumed);
            }
        }
    }

    /// Tells which deployments cool, why and until when.
    pub fn tell_cooling(&self, now: Timestamp, tell: &mut dyn FnMut(HealthChange)) {
        for (deployment, live) in self.catalog.deployments().iter().zip(&self.live) {
            if let BreakerState::Open { until, cause } = live.breaker.state(now) {
                tell(HealthChange::Cooled { deployment: deployment.id().clone(), until, cause });
            }
        }
    }

    /// Tells how fast deployments have been here.
    pub fn tell_latencies(
        &self,
        now: Timestamp,
        tell: &mut dyn FnMut(&DeploymentId, RequestKind, LatencySketch),
    ) {
        for (deployment, live) in self.catalog.deployments().iter().zip(&self.live) {
            for kind in [RequestKind::Whole, RequestKind::Stream] {
                let sketch = live.latency.of(kind).sketch(now);
                if !sketch.is_empty() {
                    tell(deployment.id(), kind, sketch);
                }
            }
        }
    }

    /// Begins with how fast a deployment has been for others, where nothing is known here: own experience is never replaced.
    pub fn apply_latency(
        &self,
        deployment: &DeploymentId,
        kind: RequestKind,
        others: &LatencySketch,
        now: Timestamp,
    ) {
        if let Some(index) = self.catalog.deployment(deployment.as_str()) {
            self.live(index).latency.of(kind).warm(others, now);
        }
    }

    /// Takes note of what is to be told.
    pub(super) fn consume(&self, deployment: DeploymentIndex, requests: i64, tokens: i64) {
        if let Some(untold) = &self.live(deployment).untold {
            untold.add(requests, tokens);
        }
    }
}
