//! A place in flight, and what is learned when it is given back.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Fleet, HealthChange, signed};
use crate::catalog::{DeploymentIndex, PoolIndex};
use crate::demand::RequestKind;
use crate::headroom::Headroom;
use crate::{ProviderError, Timestamp, Usage};

/// What a call taught about its deployment.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Lesson {
    /// The tokens used, when the provider told.
    pub usage: Option<Usage>,
    /// How long a whole reply took, or a stream to its first token.
    pub latency: Option<(RequestKind, Duration)>,
    /// What the provider's rate-limit headers said.
    pub headroom: Option<Headroom>,
}

impl Lesson {
    /// Adds the tokens used.
    #[must_use]
    pub const fn with_usage(mut self, usage: Option<Usage>) -> Self {
        self.usage = usage;
        self
    }

    /// Adds what the provider's rate-limit headers said.
    #[must_use]
    pub const fn with_headroom(mut self, headroom: Option<Headroom>) -> Self {
        self.headroom = headroom;
        self
    }
}

/// A place in flight at one deployment. Settling it reports how the call went; dropping it reports nothing, as when the
/// caller left. Either way the place is free again.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    pub(super) fleet: Arc<Fleet>,
    pub(super) pool: PoolIndex,
    pub(super) deployment: DeploymentIndex,
    pub(super) probe: bool,
    pub(super) reserved_at: Timestamp,
    pub(super) reserved_tokens: u64,
}

impl Reservation {
    /// Returns which deployment it is for.
    pub const fn deployment(&self) -> DeploymentIndex {
        self.deployment
    }

    /// Returns whether it is the single probe of a half-open breaker.
    pub const fn is_probe(&self) -> bool {
        self.probe
    }

    /// Reports how long the answer, or its first token, took.
    pub(crate) fn learn_latency(&self, kind: RequestKind, latency: Duration, now: Timestamp) {
        self.fleet.live(self.deployment).latency.of(kind).add(latency, now);
    }

    /// Reports after how long it failed, and how long it might have taken.
    pub(crate) fn learn_failure(&self, kind: RequestKind, after: Duration, limit: Duration, now: Timestamp) {
        self.fleet.live(self.deployment).latency.of(kind).add_failure(after, limit, now);
    }

    /// Takes everything back: nothing was sent.
    pub(crate) fn withdraw(self) {
        let live = self.fleet.live(self.deployment);
        live.requests.remove(1, self.reserved_at);
        live.tokens.remove(self.reserved_tokens, self.reserved_at);
        self.fleet.consume(self.deployment, -1, -signed(self.reserved_tokens));
    }

    /// Reports how the call went: the error, or none, and the tokens it used. Returns what this changes for everybody else.
    pub fn settle(
        mut self,
        error: Option<&ProviderError>,
        lesson: Lesson,
        now: Timestamp,
    ) -> Vec<HealthChange> {
        let deployment = &self.fleet.catalog[self.deployment];
        let live = self.fleet.live(self.deployment);
        if let Some(headroom) = lesson.headroom {
            live.gauge.set(headroom, now);
        }
        if let Some(usage) = lesson.usage {
            // The estimate was counted when the place was taken; what was really used takes its place.
            live.tokens.remove(self.reserved_tokens, self.reserved_at);
            live.tokens.add(usage.total(), now);
            self.fleet.correct(self.deployment, self.reserved_tokens, usage.total());
            let difference = signed(usage.total()).saturating_sub(signed(self.reserved_tokens));
            self.fleet.consume(self.deployment, 0, difference);
            self.fleet.live_pool(self.pool).learn_completion(usage.completion);
        }
        let mut changes = Vec::new();
        match error {
            None if self.probe => {
                live.breaker.close(now);
                changes.push(HealthChange::Recovered { deployment: deployment.id().clone() });
            }
            None => live.breaker.succeed(),
            Some(error) => {
                let recent = live.requests.recent(now);
                if let Some(until) = live.breaker.fail(error, &deployment.breaker, self.probe, recent, now) {
                    let cause = error.kind();
                    changes.push(HealthChange::Cooled { deployment: deployment.id().clone(), until, cause });
                    self.fleet.cool_domain(self.deployment, error, until, &mut changes);
                } else if self.probe {
                    live.breaker.release_probe();
                }
            }
        }
        self.probe = false;
        changes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let live = self.fleet.live(self.deployment);
        live.in_flight.fetch_sub(1, Relaxed);
        if self.probe {
            live.breaker.release_probe();
        }
    }
}
