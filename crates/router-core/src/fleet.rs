//! How the deployments are doing: the live side of a catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::breaker::{Breaker, BreakerState};
use crate::catalog::{Catalog, DeploymentIndex, PoolIndex};
use crate::{DeploymentId, ProviderError, ProviderErrorKind, Timestamp};

/// A catalog with the live state of each of its deployments. Shared by every route; plain atomics.
#[derive(Debug)]
pub struct Fleet {
    catalog: Arc<Catalog>,
    live: Box<[Live]>,
    /// The turn each pool has reached; a deployment that was away starts here.
    rounds: Box<[AtomicU64]>,
}

/// The live state of one deployment.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) breaker: Breaker,
    in_flight: AtomicU32,
    turn: AtomicU64,
}

impl Live {
    const fn new() -> Self {
        Self { breaker: Breaker::new(), in_flight: AtomicU32::new(0), turn: AtomicU64::new(0) }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Relaxed)
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
        let live = catalog.deployments().iter().map(|_| Live::new()).collect();
        let rounds = catalog.pools().iter().map(|_| AtomicU64::new(0)).collect();
        Self { catalog, live, rounds }
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

    /// Takes over what a peer found out. What it tells of deployments that are not here is none of our business.
    ///
    /// A peer's recovery closes nothing here: our own probe decides that, since our way there may be another.
    pub fn apply(&self, change: &HealthChange) {
        match change {
            HealthChange::Cooled { deployment, until, cause } => {
                let found = self.catalog.deployments().iter().position(|known| known.id() == deployment);
                if let Some(live) = found.and_then(|n| self.live.get(n)) {
                    live.breaker.cool(*until, *cause);
                }
            }
            HealthChange::Recovered { .. } => {}
        }
    }

    #[expect(clippy::indexing_slicing, reason = "one live state per deployment of the own catalog")]
    pub(crate) fn live(&self, deployment: DeploymentIndex) -> &Live {
        &self.live[deployment.get()]
    }

    #[expect(clippy::indexing_slicing, reason = "one round per pool of the own catalog")]
    pub(crate) fn round(&self, pool: PoolIndex) -> &AtomicU64 {
        &self.rounds[pool.0 as usize]
    }

    /// Counts a pick at once, so that the next pick sees it. `None` when it would be a second probe.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        pool: PoolIndex,
        deployment: DeploymentIndex,
        now: Timestamp,
    ) -> Option<Reservation> {
        let live = self.live(deployment);
        let probe = match live.breaker.state(now) {
            BreakerState::Closed => false,
            BreakerState::HalfOpen { .. } if live.breaker.take_probe() => true,
            BreakerState::HalfOpen { .. } | BreakerState::Open { .. } => return None,
        };
        live.in_flight.fetch_add(1, Relaxed);
        if let Some(stride) = self.catalog[deployment].stride {
            let start = live.turn().max(self.round(pool).load(Relaxed));
            self.round(pool).fetch_max(start, Relaxed);
            // Two threads that pick the same deployment at once each move it on by a stride.
            live.turn.fetch_max(start, Relaxed);
            live.turn.fetch_add(stride, Relaxed);
        }
        Some(Reservation { fleet: Arc::clone(self), deployment, probe })
    }
}

/// A place in flight at one deployment. Settling it reports how the call went; dropping it reports nothing, as when the
/// caller left. Either way the place is free again.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    fleet: Arc<Fleet>,
    deployment: DeploymentIndex,
    probe: bool,
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

    /// Reports how the call went: the error, or none. Returns what this changes for everybody else.
    pub fn settle(mut self, error: Option<&ProviderError>, now: Timestamp) -> Option<HealthChange> {
        let deployment = &self.fleet.catalog[self.deployment];
        let breaker = &self.fleet.live(self.deployment).breaker;
        let change = match error {
            None if self.probe => {
                breaker.close();
                Some(HealthChange::Recovered { deployment: deployment.id().clone() })
            }
            None => None,
            Some(error) => breaker.fail(error, deployment.breaker, self.probe, now).map(|until| {
                HealthChange::Cooled { deployment: deployment.id().clone(), until, cause: error.kind() }
            }),
        };
        self.probe = false;
        change
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
