//! Counters for Prometheus.

mod exposition;
mod histogram;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use router_core::{
    AttemptFacts, AttemptOutcome, Bill, BreakerState, CauseFacts, Event, Fleet, HealthChange, Observer,
    RouteFacts, Timestamp,
};

use self::exposition::{Exposition, Kind};
use self::histogram::Histogram;
use crate::telemetry::SinkCounts;

/// Counts what happens, for Prometheus. An [`Observer`]: give it to a router, and serve what [`render`](Self::render) returns.
///
/// Labels hold what is configured, pools, deployments, providers and models, and kinds of errors; never what a caller sends. So there
/// are at most as many series as the configuration has deployments, times the few dozen names below.
#[derive(Debug, Default)]
pub struct Metrics {
    pools: RwLock<BTreeMap<Box<str>, Arc<PoolSeries>>>,
    /// By pool and deployment.
    deployments: RwLock<BTreeMap<Pair, Arc<DeploymentSeries>>>,
    /// By the pools from and to, and the edges.
    fallbacks: Mutex<BTreeMap<(Pair, &'static str), u64>>,
    cooldowns: Mutex<BTreeMap<Box<str>, u64>>,
}

/// What was counted of one pool: its requests by how they ended, and what the calls to its deployments used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are those of the metrics")]
pub struct PoolCounts {
    pub pool: Box<str>,
    pub answered: u64,
    pub failed: u64,
    pub abandoned: u64,
    pub fallbacks: u64,
    pub attempts: u64,
    pub tokens: u64,
    pub cost_pico_usd: u64,
    pub unknown_costs: u64,
}

type Pair = (Box<str>, Box<str>);

type Labels<'a> = [(&'a str, &'a str)];

#[derive(Debug, Default)]
struct PoolSeries {
    answered: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
    duration: Histogram,
    first_token: Histogram,
}

#[derive(Debug, Default)]
struct DeploymentSeries {
    provider: Box<str>,
    model: Box<str>,
    answered: AtomicU64,
    abandoned: AtomicU64,
    /// By kind of error.
    failed: Mutex<BTreeMap<&'static str, u64>>,
    retries: AtomicU64,
    duration: Histogram,
    /// Prompt, completion, cached, written for five minutes and an hour, reasoning: those that have prices.
    tokens: [AtomicU64; 6],
    /// In pico-dollars.
    cost: AtomicU64,
    unknown_costs: AtomicU64,
}

const TOKEN_KINDS: [&str; 6] =
    ["prompt", "completion", "cached_read", "cache_write_5m", "cache_write_1h", "reasoning"];

impl Metrics {
    /// Starts with nothing counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the counts in Prometheus' text format, with the state of the fleet and what became of the records.
    pub fn render(&self, fleet: Option<(&Fleet, Timestamp)>, sinks: &[SinkCounts]) -> String {
        let mut out = Exposition::default();
        out.family("llm_router_build_info", Kind::Gauge, "The version that runs.");
        out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.render_pools(&mut out);
        self.render_deployments(&mut out);
        out.family("llm_router_fallbacks_total", Kind::Counter, "Requests that went on to another pool.");
        for (((from, to), kind), count) in &*self.fallbacks.lock().unwrap_or_else(PoisonError::into_inner) {
            out.sample(&[("from", from), ("to", to), ("kind", kind)], *count);
        }
        out.family("llm_router_cooldowns_total", Kind::Counter, "Times that a deployment began to cool.");
        for (deployment, count) in &*self.cooldowns.lock().unwrap_or_else(PoisonError::into_inner) {
            out.sample(&[("deployment", deployment)], *count);
        }
        if let Some((fleet, now)) = fleet {
            render_fleet(&mut out, fleet, now);
        }
        render_sinks(&mut out, sinks);
        out.finish()
    }

    /// Returns what was counted, pool by pool.
    pub fn pools(&self) -> Vec<PoolCounts> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<PoolCounts> = pools
            .iter()
            .map(|(pool, series)| PoolCounts {
                pool: pool.clone(),
                answered: series.answered.load(Relaxed),
                failed: series.failed.load(Relaxed),
                abandoned: series.abandoned.load(Relaxed),
                fallbacks: 0,
                attempts: 0,
                tokens: 0,
                cost_pico_usd: 0,
                unknown_costs: 0,
            })
            .collect();
        for ((pool, _), series) in &*self.deployments.read().unwrap_or_else(PoisonError::into_inner) {
            if let Some(counts) = counts.iter_mut().find(|counts| counts.pool == *pool) {
                let failed = series.failed.lock().unwrap_or_else(PoisonError::into_inner);
                counts.attempts += series.answered.load(Relaxed)
                    + series.abandoned.load(Relaxed)
                    + failed.values().sum::<u64>();
                // Prompt and completion; the others are parts of them.
                counts.tokens += series.tokens.iter().take(2).map(|count| count.load(Relaxed)).sum::<u64>();
                counts.cost_pico_usd += series.cost.load(Relaxed);
                counts.unknown_costs += series.unknown_costs.load(Relaxed);
            }
        }
        for (((from, _), _), count) in &*self.fallbacks.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some(counts) = counts.iter_mut().find(|counts| counts.pool == *from) {
                counts.fallbacks += count;
            }
        }
        counts
    }

    fn render_pools(&self, out: &mut Exposition) {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        out.family(
            "llm_router_requests_total",
            Kind::Counter,
            "Requests that ended, by the pool they were for.",
        );
        for (pool, series) in &*pools {
            for (outcome, count) in
                [("answered", &series.answered), ("failed", &series.failed), ("abandoned", &series.abandoned)]
            {
                out.sample(&[("pool", pool), ("outcome", outcome)], count.load(Relaxed));
            }
        }
        let name = "llm_router_request_duration_seconds";
        out.family(name, Kind::Histogram, "Time from a request to the end of its answer.");
        for (pool, series) in &*pools {
            series.duration.render(out, &[("pool", pool)]);
        }
        let name = "llm_router_time_to_first_token_seconds";
        out.family(name, Kind::Histogram, "Time from a request to the first token of its stream.");
        for (pool, series) in &*pools {
            series.first_token.render(out, &[("pool", pool)]);
        }
    }

    fn render_deployments(&self, out: &mut Exposition) {
        let all = self.deployments.read().unwrap_or_else(PoisonError::into_inner);
        let each = |write: &mut dyn FnMut(&Labels<'_>, &DeploymentSeries)| {
            for ((pool, deployment), series) in &*all {
                let labels = [
                    ("pool", &**pool),
                    ("deployment", deployment),
                    ("provider", &series.provider),
                    ("model", &series.model),
                ];
                write(&labels, series);
            }
        };
        out.family("llm_router_attempts_total", Kind::Counter, "Calls to deployments that ended, by how.");
        each(&mut |labels, series| {
            let mut sample =
                |outcome: &str, count| out.sample(&[labels, &[("outcome", outcome)]].concat(), count);
            sample("answered", series.answered.load(Relaxed));
            sample("abandoned", series.abandoned.load(Relaxed));
            for (kind, count) in &*series.failed.lock().unwrap_or_else(PoisonError::into_inner) {
                sample(&kind.replace(' ', "_"), *count);
            }
        });
        out.family(
            "llm_router_retries_total",
            Kind::Counter,
            "Calls that followed a failure in the same pool.",
        );
        each(&mut |labels, series| out.sample(labels, series.retries.load(Relaxed)));
        let name = "llm_router_attempt_duration_seconds";
        out.family(name, Kind::Histogram, "Time that calls to deployments took.");
        each(&mut |labels, series| series.duration.render(out, labels));
        out.family(
            "llm_router_tokens_total",
            Kind::Counter,
            "Tokens used; those of caches and reasoning are parts of the others.",
        );
        each(&mut |labels, series| {
            for (kind, count) in TOKEN_KINDS.iter().zip(&series.tokens) {
                out.sample(&[labels, &[("kind", *kind)]].concat(), count.load(Relaxed));
            }
        });
        out.family(
            "llm_router_cost_dollars_total",
            Kind::Counter,
            "What the tokens cost, as far as that is known.",
        );
        each(&mut |labels, series| {
            let pico = series.cost.load(Relaxed);
            out.sample_text(
                labels,
                &format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000),
            );
        });
        out.family("llm_router_unknown_costs_total", Kind::Counter, "Calls whose cost is not known.");
        each(&mut |labels, series| out.sample(labels, series.unknown_costs.load(Relaxed)));
    }

    fn count_route(&self, route: &RouteFacts<'_>, end: impl Fn(&PoolSeries) -> &AtomicU64) {
        let pool = route.attempts.first().map_or(route.requested, |attempt| attempt.pool);
        let series = pool_series(&self.pools, pool.as_str());
        end(&series).fetch_add(1, Relaxed);
        series.duration.add(route.latency());
        if let Some(span) = route.time_to_first_token() {
            series.first_token.add(span);
        }
        for attempt in route.attempts {
            self.count_attempt(attempt);
        }
    }

    fn count_attempt(&self, attempt: &AttemptFacts<'_>) {
        let series = self.deployment_series(attempt);
        match attempt.outcome {
            AttemptOutcome::Answered => {
                series.answered.fetch_add(1, Relaxed);
            }
            AttemptOutcome::Abandoned => {
                series.abandoned.fetch_add(1, Relaxed);
            }
            AttemptOutcome::Failed(error) => {
                let mut failed = series.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed.entry(error.kind().as_str()).or_default() += 1;
            }
        }
        if attempt.cause == CauseFacts::Retry {
            series.retries.fetch_add(1, Relaxed);
        }
        series.duration.add(attempt.ended.since(attempt.started));
        if let Some(usage) = attempt.metered.usage() {
            let counts = [
                usage.prompt,
                usage.completion,
                usage.cached_read,
                usage.cache_write_5m,
                usage.cache_write_1h,
                usage.reasoning,
            ];
            for (counter, count) in series.tokens.iter().zip(counts) {
                counter.fetch_add(count, Relaxed);
            }
        }
        match attempt.bill {
            Bill::Nothing => {}
            Bill::Known(cost) => {
                series.cost.fetch_add(cost.total().as_pico(), Relaxed);
            }
            Bill::Unknown => {
                series.unknown_costs.fetch_add(1, Relaxed);
            }
        }
    }

    fn deployment_series(&self, attempt: &AttemptFacts<'_>) -> Arc<DeploymentSeries> {
        let key = (attempt.pool.as_str().into(), attempt.deployment.id().as_str().into());
        if let Some(known) = self.deployments.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(known);
        }
        let new = || {
            Arc::new(DeploymentSeries {
                provider: attempt.deployment.provider().into(),
                model: attempt.deployment.model().into(),
                ..DeploymentSeries::default()
            })
        };
        let mut all = self.deployments.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key).or_insert_with(new))
    }
}

fn pool_series(pools: &RwLock<BTreeMap<Box<str>, Arc<PoolSeries>>>, pool: &str) -> Arc<PoolSeries> {
    if let Some(known) = pools.read().unwrap_or_else(PoisonError::into_inner).get(pool) {
        return Arc::clone(known);
    }
    let mut all = pools.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(all.entry(pool.into()).or_default())
}

impl Observer for Metrics {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Answered { route, .. } => self.count_route(route, |series| &series.answered),
            Event::Failed { route, .. } => self.count_route(route, |series| &series.failed),
            Event::Abandoned { route } => self.count_route(route, |series| &series.abandoned),
            Event::Fallback { from, to, kind, .. } => {
                let key = ((from.as_str().into(), to.as_str().into()), kind.setting());
                *self.fallbacks.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
            }
            Event::Health(HealthChange::Cooled { deployment, .. }) => {
                let key = deployment.as_str().into();
                *self.cooldowns.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
            }
            _ => {}
        }
    }
}

fn render_fleet(out: &mut Exposition, fleet: &Fleet, now: Timestamp) {
    let catalog = fleet.catalog();
    out.family(
        "llm_router_deployment_ready",
        Kind::Gauge,
        "1 when traffic flows, 0 while it cools or is probed.",
    );
    for index in catalog.indices() {
        let is_ready = fleet.breaker(index, now) == BreakerState::Closed;
        out.sample(&[("deployment", catalog[index].id().as_str())], u64::from(is_ready));
    }
    out.family("llm_router_deployment_in_flight", Kind::Gauge, "Calls under way.");
    for index in catalog.indices() {
        out.sample(&[("deployment", catalog[index].id().as_str())], u64::from(fleet.in_flight(index)));
    }
}

fn render_sinks(out: &mut Exposition, sinks: &[SinkCounts]) {
    let mut render = |name, help, count: fn(&SinkCounts) -> u64| {
        out.family(name, Kind::Counter, help);
        // A sink may be there twice, for successes and for failures.
        let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
        for sink in sinks {
            *by_name.entry(sink.name).or_default() += count(sink);
        }
        for (sink, count) in by_name {
            out.sample(&[("sink", sink)], count);
        }
    };
    render("llm_router_sink_records_total", "Records that a sink took.", |sink| sink.written);
    render("llm_router_sink_dropped_records_total", "Records that a sink did not take.", |sink| sink.dropped);
    render("llm_router_sink_errors_total", "Batches that a sink did not take at once.", |sink| sink.errors);
}

#[cfg(test)]
mod tests;
