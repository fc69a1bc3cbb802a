//! What happened on the way to an answer, or to none.

use std::time::Duration;

use router_core::{Alias, Classification, DeploymentId, ProviderErrorKind, Route, Timestamp, Usage, Usd};

use crate::metering::Account;

/// How a request was routed.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RouteReport {
    /// The alias that was asked for, or that the classifier chose.
    pub requested: Alias,
    /// What the classifier said, where it chose the alias.
    pub classification: Option<Classification>,
    /// The pool that answered, or that was asked last.
    pub pool: Alias,
    /// The deployment that answered, or that was called last; `None` when none was called.
    pub deployment: Option<DeploymentId>,
    /// Every call to a deployment, in order.
    pub attempts: Vec<AttemptReport>,
    /// Whether another pool than the one asked for was called.
    pub fallback_triggered: bool,
    /// From the request to the answer; of a stream, to its first token.
    pub latency: Duration,
    /// The fields of the request that the deployment which answered could not do and left out, as `drop_params` allows.
    pub dropped_params: Vec<String>,
    /// How much of that was spent on calls and waits; the rest is the router's own.
    pub upstream: Duration,
    /// The seed of this route's dice: it names the route in logs, and its decisions can be made again from it.
    pub seed: u64,
}

/// One call to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttemptReport {
    /// The pool it was called for.
    pub pool: Alias,
    /// The deployment.
    pub deployment: DeploymentId,
    /// How long it took; of a stream, to its first token.
    pub latency: Duration,
    /// The tokens it used, estimated where the provider did not count them; `None` where nothing is known, and for a stream that is
    /// still under way.
    pub usage: Option<Usage>,
    /// What it costs; `None` when that is not known.
    pub cost: Option<Usd>,
    /// Why it failed; `None` when it answered.
    pub error: Option<AttemptError>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttemptError {
    /// What kind of failure it was.
    pub kind: ProviderErrorKind,
    /// The HTTP status, when it came as one.
    pub status: Option<u16>,
    /// The provider's own words.
    pub message: String,
}

impl RouteReport {
    /// Returns how many attempts followed a failure in the same pool.
    pub fn retries(&self) -> usize {
        self.neighbours().filter(|(before, after)| before.pool == after.pool).count()
    }

    /// Returns how many attempts followed a failure in another pool.
    pub fn fallbacks(&self) -> usize {
        self.neighbours().filter(|(before, after)| before.pool != after.pool).count()
    }

    fn neighbours(&self) -> impl Iterator<Item = (&AttemptReport, &AttemptReport)> {
        self.attempts.iter().zip(self.attempts.iter().skip(1))
    }

    pub(crate) fn new(
        route: &Route,
        accounts: &[Account],
        requested: Alias,
        seed: u64,
        upstream: Duration,
        now: Timestamp,
    ) -> Self {
        let catalog = route.catalog();
        let attempts: Vec<AttemptReport> = route
            .trail()
            .iter()
            .zip(accounts)
            .map(|(record, account)| AttemptReport {
                pool: catalog[record.pool].alias().clone(),
                deployment: catalog[record.deployment].id().clone(),
                latency: record.ended.since(record.started),
                usage: account.metered.usage(),
                cost: account.bill.total(),
                error: record.error.as_ref().map(|error| AttemptError {
                    kind: error.kind(),
                    status: error.status().map(|status| status.as_u16()),
                    message: error.message().to_owned(),
                }),
            })
            .collect();
        let pool = route.entered().last().map(|pool| catalog[*pool].alias().clone());
        Self {
            pool: pool.unwrap_or_else(|| requested.clone()),
            requested,
            classification: None,
            deployment: attempts.last().map(|attempt| attempt.deployment.clone()),
            attempts,
            fallback_triggered: route.entered().len() > 1,
            latency: now.since(route.started()),
            dropped_params: Vec::new(),
            upstream,
            seed,
        }
    }

    /// Returns what all attempts cost; `None` when that of one is not known, as for a stream that is still under way.
    pub fn cost(&self) -> Option<Usd> {
        self.attempts.iter().try_fold(Usd::default(), |sum, attempt| Some(sum.plus(attempt.cost?)))
    }
}
