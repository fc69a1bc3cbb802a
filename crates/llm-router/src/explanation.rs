//! What would become of a request, in words.

use std::time::Duration;

use router_core::{
    Alias, ChatRequest, Deployment, DeploymentId, ExplainedPool, Fleet, Health, RequestKind, Route, Snapshot,
    Timestamp, Unfit, Verdict,
};
use serde::Serialize;

use crate::error::RouteError;
use crate::router::{Resolved, Router};

/// What would become of a request: where it would go, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The alias that was asked for.
    pub requested: Alias,
    /// The estimated tokens of its prompt.
    pub prompt_tokens: u64,
    /// The most calls it can cause, should all of them fail.
    pub attempts_at_most: u64,
    /// The deployment that would be called first; `None` when none is ready in any pool.
    pub first: Option<DeploymentId>,
    /// The pools it can come to, in the order they would be asked.
    pub pools: Vec<PoolExplanation>,
}

/// What would happen in one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolExplanation {
    /// The pool.
    pub pool: Alias,
    /// The pool whose fallback it is.
    pub fallback_of: Option<Alias>,
    /// How it chooses.
    pub strategy: String,
    /// Attempts after its first.
    pub num_retries: u32,
    /// Its deployments.
    pub deployments: Vec<DeploymentExplanation>,
}

/// What would become of one deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeploymentExplanation {
    /// Whether it would be called: `picked`, `outdone`, `outranked`, `not_ready` or `unfit`.
    pub verdict: &'static str,
    /// Why.
    pub why: String,
    /// The deployment, as it is now.
    #[serde(flatten)]
    pub state: DeploymentState,
}

/// A deployment, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeploymentState {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its provider.
    pub provider: String,
    /// The provider's name for its model.
    pub model: String,
    /// `healthy`, `warming_up`, `cooling` or `half_open`.
    pub health: &'static str,
    /// Why it is not healthy.
    pub why_not: Option<String>,
    /// What is left of its cooldown, in milliseconds.
    pub cooldown_left_ms: Option<u64>,
    /// Calls in flight.
    pub in_flight: u32,
    /// Calls in flight it may have.
    pub max_parallel_requests: Option<u32>,
    /// The median latency of its last whole answers, in milliseconds.
    pub p50_ms: Option<u64>,
    /// The median time to the first token of its last streams, in milliseconds.
    pub first_token_p50_ms: Option<u64>,
    /// Requests within the last minute.
    pub requests_last_minute: u64,
    /// Requests per minute it may get.
    pub rpm: Option<u64>,
    /// Tokens within the last minute.
    pub tokens_last_minute: u64,
    /// Tokens per minute it may use.
    pub tpm: Option<u64>,
    /// What is left of the provider's own limit, in thousandths.
    pub provider_headroom_permille: Option<u64>,
}

impl Router {
    /// Returns what would become of a request, and why, by the same rules that decide. Nobody is called and nothing is reserved. Where
    /// chance has a part, the next request can fare otherwise.
    ///
    /// # Errors
    /// As [`completion`](Self::completion), when the request names no alias or is wrong.
    pub fn explain(&self, request: &ChatRequest) -> Result<Explanation, RouteError> {
        let Resolved { requested, pool, .. } = self.resolve(request.model(), self.choose_locally(request))?;
        let kind = if request.is_stream() { RequestKind::Stream } else { RequestKind::Whole };
        let demand = self.demand(request, kind)?;
        let (fleet, now) = (self.fleet(), self.now());
        let prompt_tokens = demand.prompt_tokens;
        let route = Route::new(fleet.clone(), pool, demand, now);
        let explained = route.explain(now, &mut router_core::Dice::from_seed(self.parts.next_seed()));
        let mut told = explained.iter().flat_map(|pool| &pool.deployments);
        let first = told.find(|told| told.verdict == Verdict::Picked);
        let catalog = fleet.catalog();
        Ok(Explanation {
            requested,
            prompt_tokens,
            attempts_at_most: catalog.attempt_bound(pool),
            first: first.map(|told| catalog[told.deployment].id().clone()),
            pools: explained.iter().map(|pool| in_words(fleet, pool, now)).collect(),
        })
    }

    /// Returns each deployment as it is now, with the alias it belongs to, in the order of the configuration.
    pub fn state(&self) -> Vec<(Alias, DeploymentState)> {
        let (fleet, now) = (self.fleet(), self.now());
        let catalog = fleet.catalog();
        let members = catalog
            .pools()
            .iter()
            .flat_map(|pool| pool.members().iter().map(|member| (pool.alias(), *member)));
        members
            .map(|(alias, member)| {
                (alias.clone(), DeploymentState::of(&catalog[member], fleet.snapshot(member, now)))
            })
            .collect()
    }
}

impl DeploymentState {
    fn of(deployment: &Deployment, snapshot: Snapshot) -> Self {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let (health, why_not, left) = match snapshot.health {
            Health::Healthy => ("healthy", None, None),
            Health::WarmingUp(share) => (
                "warming_up",
                Some(format!("it recovered a moment ago and gets {share} % of its share")),
                None,
            ),
            Health::Cooling { left, cause } => ("cooling", Some(cause.to_string()), Some(millis(left))),
            Health::HalfOpen { probing: true } => {
                ("half_open", Some("its probe is on its way".to_owned()), None)
            }
            Health::HalfOpen { probing: false } => {
                ("half_open", Some("the next request decides".to_owned()), None)
            }
        };
        Self {
            deployment: deployment.id().clone(),
            provider: deployment.provider().to_owned(),
            model: deployment.model().to_owned(),
            health,
            why_not,
            cooldown_left_ms: left,
            in_flight: snapshot.in_flight,
            max_parallel_requests: snapshot.max_parallel_requests,
            p50_ms: snapshot.p50.map(millis),
            first_token_p50_ms: snapshot.first_token_p50.map(millis),
            requests_last_minute: snapshot.requests,
            rpm: snapshot.rpm,
            tokens_last_minute: snapshot.tokens,
            tpm: snapshot.tpm,
            provider_headroom_permille: snapshot
                .provider_limit_used
                .map(|used| 1000_u64.saturating_sub(used)),
        }
    }
}

fn in_words(fleet: &Fleet, explained: &ExplainedPool, now: Timestamp) -> PoolExplanation {
    let catalog = fleet.catalog();
    let pool = &catalog[explained.pool];
    let strategy = pool.strategy().name();
    let deployments = explained.deployments.iter().map(|told| {
        let (verdict, why) = match told.verdict {
            Verdict::Picked => ("picked", format!("{strategy} picks it")),
            Verdict::Outdone => ("outdone", format!("it is ready, but {strategy} prefers another")),
            Verdict::Outranked => (
                "outranked",
                "it is ready, but others come first: by `order`, or since it is warming up".to_owned(),
            ),
            Verdict::NotReady(moment, obstacle) => {
                ("not_ready", format!("{obstacle}; for {} ms", moment.since(now).as_millis()))
            }
            Verdict::Unfit(Some(Unfit::ContextWindow)) => {
                ("unfit", "the prompt exceeds its window".to_owned())
            }
            Verdict::Unfit(Some(Unfit::Tags)) => ("unfit", "it lacks the tags asked for".to_owned()),
            Verdict::Unfit(_) => ("unfit", "it cannot take such a request".to_owned()),
        };
        let state = DeploymentState::of(&catalog[told.deployment], fleet.snapshot(told.deployment, now));
        DeploymentExplanation { verdict, why, state }
    });
    PoolExplanation {
        pool: pool.alias().clone(),
        fallback_of: explained.fallback_of.map(|from| catalog[from].alias().clone()),
        strategy: strategy.to_owned(),
        num_retries: pool.num_retries(),
        deployments: deployments.collect(),
    }
}
