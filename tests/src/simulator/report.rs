//! What happened in a world.

#![expect(clippy::cast_precision_loss, reason = "shares need no more than six digits")]

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use router_core::{RouteFailure, Usd};

use super::Histogram;

/// What happened in a world. Two runs of the same world give equal reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The pools, in the order they were added.
    pub pools: Vec<PoolReport>,
    /// The deployments of all pools, in the order they were added.
    pub deployments: Vec<DeploymentReport>,
    /// Requests that had not ended when nothing was left to happen, and wake-ups of requests that had: always 0.
    pub lost: u64,
    /// When the last request ended.
    pub ended: Duration,
}

/// What happened to the requests of one pool, whoever answered them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReport {
    /// Its alias.
    pub alias: String,
    /// Requests that came.
    pub arrived: u64,
    /// Requests that were answered, streams by their first token.
    pub answered: u64,
    /// Requests whose last attempt failed.
    pub attempted: u64,
    /// Requests for which nobody was called, because everybody was cooling or at a limit.
    pub unavailable: u64,
    /// Requests that ended in another way.
    pub otherwise: u64,
    /// Streams that broke off after their first token; they count as answered, too.
    pub interrupted: u64,
    /// Calls that were made for them.
    pub attempts: u64,
    /// The most calls that were made for one of them.
    pub most_attempts: u64,
    /// The most there may be: `Catalog::attempt_bound`.
    pub attempt_bound: u64,
    /// The most first attempts in a row that went to the same deployment.
    pub longest_run: u64,
    /// What the answers cost.
    pub spend: Usd,
    /// What they would have cost at the deployment of the pool that was the cheapest for the real lengths, of those that were
    /// ready when the request came.
    pub cheapest: Usd,
    pub(super) slices: Slices<PoolSlice>,
}

/// What happened at one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentReport {
    /// Its id.
    pub id: String,
    /// The position of its pool.
    pub pool: usize,
    /// Calls it got.
    pub calls: u64,
    /// Calls that failed, of whatever kind.
    pub errors: u64,
    /// Calls that were refused with a 429.
    pub rate_limited: u64,
    /// Probes it got while half-open.
    pub probes: u64,
    /// Calls in flight after the last request had ended: always 0.
    pub in_flight: u32,
    pub(super) slices: Slices<DeploymentSlice>,
}

/// What happened to the requests of a pool that came within one slice of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PoolSlice {
    pub(super) arrived: u64,
    pub(super) answered: u64,
    pub(super) latency: Histogram,
}

/// What a deployment got within one slice of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DeploymentSlice {
    pub(super) calls: u64,
    pub(super) errors: u64,
}

/// A series over time, in slices of equal width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slices<T> {
    width: u64,
    slices: Vec<T>,
}

impl<T: Default> Slices<T> {
    pub(super) fn new(width: Duration) -> Self {
        Self { width: micros(width).max(1), slices: Vec::new() }
    }

    pub(super) fn at(&mut self, moment: u64) -> &mut T {
        let position = usize::try_from(moment / self.width).unwrap();
        if self.slices.len() <= position {
            self.slices.resize_with(position + 1, T::default);
        }
        &mut self.slices[position]
    }

    /// The slices that lie within this time as a whole.
    fn within(&self, span: &Range<Duration>) -> impl Iterator<Item = &T> {
        let from = micros(span.start).div_ceil(self.width);
        let to = micros(span.end) / self.width;
        let take = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        self.slices.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)).take(take)
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Report {
    /// Returns a pool by its alias.
    ///
    /// # Panics
    /// When there is none.
    pub fn pool(&self, alias: &str) -> &PoolReport {
        self.pools.iter().find(|pool| pool.alias == alias).unwrap()
    }

    /// Returns a deployment by its id.
    ///
    /// # Panics
    /// When there is none.
    pub fn deployment(&self, id: &str) -> &DeploymentReport {
        self.deployments.iter().find(|deployment| deployment.id == id).unwrap()
    }

    /// Returns the deployments of a pool.
    ///
    /// # Panics
    /// When there is no such pool.
    pub fn members(&self, alias: &str) -> impl Iterator<Item = &DeploymentReport> {
        let position = self.pools.iter().position(|pool| pool.alias == alias).unwrap();
        self.deployments.iter().filter(move |deployment| deployment.pool == position)
    }

    /// Returns a deployment's share of its pool's calls in these times.
    ///
    /// # Panics
    /// When there is no such deployment.
    pub fn share(&self, id: &str, during: Range<Duration>) -> f64 {
        let own = self.deployment(id);
        let all: u64 = self
            .deployments
            .iter()
            .filter(|other| other.pool == own.pool)
            .map(|other| other.calls_during(during.clone()))
            .sum();
        own.calls_during(during) as f64 / all.max(1) as f64
    }
}

impl PoolReport {
    /// Returns the requests that ended without an answer.
    pub const fn failed(&self) -> u64 {
        self.attempted + self.unavailable + self.otherwise
    }

    /// Returns how long answers took, streams to their first token, waits and failed attempts included.
    pub fn latency(&self) -> Histogram {
        self.latency_during(Duration::ZERO..Duration::MAX)
    }

    /// Returns how long answers took to requests that came in these times.
    pub fn latency_during(&self, during: Range<Duration>) -> Histogram {
        let mut all = Histogram::default();
        self.slices.within(&during).for_each(|slice| all.merge(&slice.latency));
        all
    }

    /// Returns the share of the requests that came in these times and were answered.
    pub fn answered_during(&self, during: Range<Duration>) -> f64 {
        let count = |of: fn(&PoolSlice) -> u64| self.slices.within(&during).map(of).sum::<u64>() as f64;
        count(|slice| slice.answered) / count(|slice| slice.arrived).max(1.0)
    }

    /// Returns how much more was spent than at the cheapest, as a share of that.
    pub fn overspend(&self) -> f64 {
        self.spend.as_pico() as f64 / self.cheapest.as_pico().max(1) as f64 - 1.0
    }

    pub(super) const fn count_failure(&mut self, failure: RouteFailure) {
        match failure {
            RouteFailure::Attempted { .. } => self.attempted += 1,
            RouteFailure::Unavailable { .. } => self.unavailable += 1,
            RouteFailure::Unfit(_) | RouteFailure::DeadlineExceeded => self.otherwise += 1,
        }
    }
}

impl DeploymentReport {
    /// Returns its calls in these times.
    pub fn calls_during(&self, during: Range<Duration>) -> u64 {
        self.slices.within(&during).map(|slice| slice.calls).sum()
    }

    /// Returns its failed calls in these times.
    pub fn errors_during(&self, during: Range<Duration>) -> u64 {
        self.slices.within(&during).map(|slice| slice.errors).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pool in &self.pools {
            let latency = pool.latency();
            writeln!(
                f,
                "{}: {} requests, {} answered, {} failed, {:.4} attempts each, p50 {:?}, p99 {:?}",
                pool.alias,
                pool.arrived,
                pool.answered,
                pool.failed(),
                pool.attempts as f64 / pool.arrived.max(1) as f64,
                latency.p50(),
                latency.p99(),
            )?;
        }
        writeln!(f, "{:<16} {:>12} {:>10} {:>10} {:>8}", "deployment", "calls", "errors", "429s", "probes")?;
        for one in &self.deployments {
            writeln!(
                f,
                "{:<16} {:>12} {:>10} {:>10} {:>8}",
                one.id, one.calls, one.errors, one.rate_limited, one.probes
            )?;
        }
        Ok(())
    }
}
