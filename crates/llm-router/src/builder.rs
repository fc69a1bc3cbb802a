//! Assembles a [`Router`] from settings and parts.

mod cloud;
mod deployment;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use router_core::{
    Alias, BlankName, ByteEstimate, Catalog, Classifier, Clock, Config, DeploymentConfig, FallbackConfig,
    FallbackKind, Fleet, KindPolicy, Observer, Place, PoolConfig, Provider, Settings, StateStore, Strategy,
    TokenCounter, strategies,
};
use router_providers::Providers;
#[cfg(feature = "redis")]
use router_state::{RedisAddress, RedisError, RedisStore};
use router_telemetry::Prices;
use secrecy::{ExposeSecret, SecretString};

pub use self::deployment::Deployment;
use self::deployment::{connect, core_config, fingerprint};
use crate::auto::{Auto, AutoRouting, LlmLayer};
use crate::clock::SystemClock;
use crate::config::{Location, Problem, lines};
use crate::router::{Parts, Router, first_seed};
use crate::tariffs::Tariffs;

/// Builds a [`Router`]. The settings are those of a `config.yaml`, under the same names.
///
/// ```no_run
/// use llm_router::{Deployment, Router};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::builder()
///     .deployment(Deployment::new("fast", "openai/gpt-4o-mini"))
///     .deployment(Deployment::new("fast", "anthropic/claude-haiku-4-5"))
///     .deployment(Deployment::new("capable", "openai/gpt-4o"))
///     .fallbacks("fast", ["capable"])
///     .num_retries(2)
///     .timeout(Duration::from_secs(30))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct RouterBuilder {
    deployments: Vec<Deployment>,
    /// `*` stands for every pool.
    fallbacks: Vec<(FallbackKind, String, Vec<String>)>,
    aliases: Vec<(String, String)>,
    pools: Vec<(String, PoolSettings)>,
    settings: Settings,
    drop_params: bool,
    observers: Vec<Arc<dyn Observer>>,
    observes_content: bool,
    forwards_trace: bool,
    prices: Option<Prices>,
    state_store: Option<Arc<dyn StateStore>>,
    #[cfg(feature = "redis")]
    redis: Option<RedisAddress>,
    #[cfg(feature = "redis")]
    is_redis_required: bool,
    auto: Option<Chooser>,
    token_counter: Option<Arc<dyn TokenCounter>>,
    clock: Option<Arc<dyn Clock>>,
    /// What a file adds to the environment.
    variables: Vec<(String, SecretString)>,
    /// Where settings stand in the file they came from.
    places: HashMap<Place, (String, Location)>,
}

/// A configuration that makes no router.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct BuildError(pub Vec<Problem>);

/// Settings of one pool that differ from the router's.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PoolSettings {
    routing_strategy: Option<Arc<dyn Strategy>>,
    num_retries: Option<u32>,
    retry_policy: Option<KindPolicy>,
}

impl PoolSettings {
    /// Starts with everything as the router has it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how the pool chooses.
    pub fn routing_strategy(mut self, strategy: Arc<dyn Strategy>) -> Self {
        self.routing_strategy = Some(strategy);
        self
    }

    /// Sets the further attempts in the pool after its first one.
    pub const fn num_retries(mut self, retries: u32) -> Self {
        self.num_retries = Some(retries);
        self
    }

    /// Sets the retries by kind of error.
    pub fn retry_policy(mut self, policy: KindPolicy) -> Self {
        self.retry_policy = Some(policy);
        self
    }
}

/// Returns the strategy of this name, or the names there are.
pub(crate) fn strategy_named(name: &str) -> Result<Arc<dyn Strategy>, String> {
    // LiteLLM's second version of the same idea.
    let name = if name == "usage-based-routing-v2" { "usage-based-routing" } else { name };
    let known = strategies();
    let found = known.iter().find(|strategy| strategy.name() == name).cloned();
    found.ok_or_else(|| known.iter().map(|strategy| strategy.name()).collect::<Vec<_>>().join(", "))
}

impl RouterBuilder {
    /// Adds a deployment. Those that share an alias form its pool.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.deployments.push(deployment);
        self
    }

    /// Sends requests on to these aliases, in this order, when the pool of `from` gave up.
    pub fn fallbacks<T: Into<String>>(
        self,
        from: impl Into<String>,
        to: impl IntoIterator<Item = T>,
    ) -> Self {
        self.fallback_edges(FallbackKind::General, from, to)
    }

    /// Sends requests on to these aliases when the prompt is too long for `from`.
    pub fn context_window_fallbacks<T: Into<String>>(
        self,
        from: impl Into<String>,
        to: impl IntoIterator<Item = T>,
    ) -> Self {
        self.fallback_edges(FallbackKind::ContextWindow, from, to)
    }

    /// Sends requests on to these aliases when the content policy of `from` refuses them.
    pub fn content_policy_fallbacks<T: Into<String>>(
        self,
        from: impl Into<String>,
        to: impl IntoIterator<Item = T>,
    ) -> Self {
        self.fallback_edges(FallbackKind::ContentPolicy, from, to)
    }

    pub(crate) fn fallback_edges<T: Into<String>>(
        mut self,
        kind: FallbackKind,
        from: impl Into<String>,
        to: impl IntoIterator<Item = T>,
    ) -> Self {
        self.fallbacks.push((kind, from.into(), to.into_iter().map(Into::into).collect()));
        self
    }

    /// Overrides settings for one pool.
    pub fn pool(mut self, alias: impl Into<String>, settings: PoolSettings) -> Self {
        self.pools.push((alias.into(), settings));
        self
    }

    /// Sets how pools choose; one of router-core's strategies or your own.
    pub fn routing_strategy(mut self, strategy: Arc<dyn Strategy>) -> Self {
        self.settings.routing_strategy = strategy;
        self
    }

    /// Tells providers of the trace that a request belongs to, as a `traceparent` header; off by default. Each attempt is a span of its
    /// own, in the caller's trace where there is one.
    pub const fn forward_trace(mut self, forward: bool) -> Self {
        self.forwards_trace = forward;
        self
    }

    /// Lets fields that a provider cannot do be left out of a request, at deployments that do not say otherwise. Default: off.
    pub fn drop_params(mut self, drop: bool) -> Self {
        self.drop_params = drop;
        self
    }

    /// Sets the further attempts in a pool after its first one. Default 2.
    pub fn num_retries(mut self, retries: u32) -> Self {
        self.settings.num_retries = retries;
        self
    }

    /// Sets the least wait before a deployment that just failed is asked again. Default 0.
    pub fn retry_after(mut self, span: Duration) -> Self {
        self.settings.retry_after = span;
        self
    }

    /// Sets the time one attempt may take. Default 600 s.
    pub fn timeout(mut self, span: Duration) -> Self {
        self.settings.timeout = span;
        self
    }

    /// Sets the time a stream may take to its first token and between two chunks. Default: as `timeout`.
    pub fn stream_timeout(mut self, span: Duration) -> Self {
        self.settings.stream_timeout = Some(span);
        self
    }

    /// Sets the time one request may take over all attempts and waits. Default: no limit of its own.
    pub fn total_timeout(mut self, span: Duration) -> Self {
        self.settings.total_timeout = Some(span);
        self
    }

    /// Sets how long a failing deployment gets no traffic. Default 5 s; 0 never cools.
    pub fn cooldown_time(mut self, span: Duration) -> Self {
        self.settings.cooldown_time = span;
        self
    }

    /// Sets how many failures within a minute do not cool a deployment yet. Default 3.
    pub fn allowed_fails(mut self, fails: u32) -> Self {
        self.settings.allowed_fails = fails;
        self
    }

    /// Sets the same by kind of error, each kind counted apart.
    pub fn allowed_fails_policy(mut self, policy: KindPolicy) -> Self {
        self.settings.allowed_fails_policy = policy;
        self
    }

    /// Sets the retries by kind of error.
    pub fn retry_policy(mut self, policy: KindPolicy) -> Self {
        self.settings.retry_policy = policy;
        self
    }

    /// Sets the most pools a request goes on to after its first. Default 5.
    pub fn max_fallbacks(mut self, pools: u32) -> Self {
        self.settings.max_fallbacks = pools;
        self
    }

    /// Sets how long a request waits for room when every deployment is at its limit. Default: not at all.
    pub fn queue_timeout(mut self, span: Duration) -> Self {
        self.settings.queue_timeout = span;
        self
    }

    /// Keeps prompts from deployments whose window they do not fit. Default: off.
    pub fn enable_pre_call_checks(mut self, enable: bool) -> Self {
        self.settings.enable_pre_call_checks = enable;
        self
    }

    /// Lets a stream that breaks after its first token go on at a deployment that can continue an answer. Default: off.
    pub fn enable_mid_stream_fallback_continuation(mut self, enable: bool) -> Self {
        self.settings.enable_mid_stream_fallback_continuation = enable;
        self
    }

    /// Lets requests choose deployments by the tags in `metadata.tags`. Default: off.
    pub fn enable_tag_filtering(mut self, enable: bool) -> Self {
        self.settings.enable_tag_filtering = enable;
        self
    }

    /// Sets the most calls in flight at deployments that set none themselves. Default: no limit.
    pub fn default_max_parallel_requests(mut self, most: u32) -> Self {
        self.settings.default_max_parallel_requests = Some(most);
        self
    }

    /// Lets rpm and tpm hold exactly across all routers that share a store, at deployments that do not say otherwise: each call
    /// asks the store for a place first. Default: off.
    pub fn strict_limits(mut self, strict: bool) -> Self {
        self.settings.strict_limits = strict;
        self
    }

    /// Sends the requests of every pool without fallbacks of its own on to these aliases.
    pub fn default_fallbacks<T: Into<String>>(self, to: impl IntoIterator<Item = T>) -> Self {
        self.fallbacks("*", to)
    }

    /// Gives a pool a further name.
    pub fn model_group_alias(mut self, name: impl Into<String>, alias: impl Into<String>) -> Self {
        self.aliases.push((name.into(), alias.into()));
        self
    }

    /// Adds somebody who is told of every event. Several may listen.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Tells observers what was asked and answered, too. Default: off, prompts and answers stay between caller and provider.
    pub fn observe_content(mut self, enable: bool) -> Self {
        self.observes_content = enable;
        self
    }

    /// Takes what models cost, how long their prompts may be and what they can do from these tables. Default: the built-in one.
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = Some(prices);
        self
    }

    /// Shares cooldowns and what was consumed of limits with other processes through Redis. `build` then has to be called in a tokio
    /// runtime; it does not wait for the connection. A [`state_store`](Self::state_store) of your own wins.
    #[cfg(feature = "redis")]
    pub fn redis(mut self, address: RedisAddress) -> Self {
        self.redis = Some(address);
        self
    }

    /// Says that nothing is to be served without Redis: see [`probe_redis`](Self::probe_redis).
    #[cfg(feature = "redis")]
    pub const fn redis_required(mut self) -> Self {
        self.is_redis_required = true;
        self
    }

    /// Connects to Redis once, where it is required.
    ///
    /// # Errors
    /// When it cannot be reached, or refuses us.
    #[cfg(feature = "redis")]
    pub async fn probe_redis(&self) -> Result<(), RedisError> {
        match &self.redis {
            Some(address) if self.is_redis_required => RedisStore::probe(address).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Shares what is learned about deployments with other routers.
    pub fn state_store(mut self, store: Arc<dyn StateStore>) -> Self {
        self.state_store = Some(store);
        self
    }

    /// Lets `classifier` choose the alias of requests to the model `name`, such as `auto`.
    pub fn classifier(mut self, name: impl Into<String>, classifier: Arc<dyn Classifier>) -> Self {
        self.auto = Some(Chooser::Own(name.into(), classifier));
        self
    }

    /// Routes requests to one name, such as `auto`, by what they are about and how hard they are.
    pub fn auto_routing(mut self, routing: AutoRouting) -> Self {
        self.auto = Some(Chooser::Tasks(routing));
        self
    }

    /// Remembers that the file's classifier makes none, and why.
    pub(crate) fn no_classifier(mut self, place: Place, why: String) -> Self {
        self.auto = Some(Chooser::Wrong(place, why));
        self
    }

    /// Estimates prompts by another rule than four bytes per token.
    pub fn token_counter(mut self, counter: Arc<dyn TokenCounter>) -> Self {
        self.token_counter = Some(counter);
        self
    }

    /// Tells the time by another clock. Timeouts and waits stay with the runtime.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Adds to the environment in which credentials are looked for.
    pub(crate) fn variables(mut self, variables: Vec<(String, SecretString)>) -> Self {
        self.variables = variables;
        self
    }

    /// Remembers where a setting stands in a file.
    pub(crate) fn at(&mut self, place: Place, path: &str, location: Location) {
        self.places.insert(place, (path.to_owned(), location));
    }

    pub(crate) fn fallback_count(&self) -> usize {
        self.fallbacks.len()
    }

    pub(crate) fn alias_count(&self) -> usize {
        self.aliases.len()
    }

    pub(crate) fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// Checks everything and makes the router. Nothing is called and nothing is started.
    ///
    /// # Errors
    /// Every problem there is, each with its place and remedy.
    pub fn build(self) -> Result<Router, BuildError> {
        self.build_from(None)
    }

    /// Makes the router that takes over from `previous` with a new configuration. Deployments with the same id, address, credential and
    /// settings go on as they are, with their cooldowns, latencies and limits; requests under way at `previous` are not
    /// disturbed, and what they teach is known here.
    ///
    /// # Errors
    /// As [`build`](Self::build); `previous` stays as it is.
    pub fn build_after(self, previous: &Router) -> Result<Router, BuildError> {
        self.build_from(Some(previous))
    }

    fn build_from(self, previous: Option<&Router>) -> Result<Router, BuildError> {
        let mut problems = Problems { found: Vec::new(), places: &self.places };
        let prices = self.prices.unwrap_or_else(Prices::built_in);
        let deployments = self.deployments.iter().enumerate().filter_map(|(n, deployment)| {
            problems.or(Place::Deployment(n, "model"), core_config(deployment, n, &prices))
        });
        let (mut deployments, cards): (Vec<DeploymentConfig>, Vec<_>) = deployments.unzip();
        let fallbacks = self.fallbacks.iter().enumerate().filter_map(|(n, (kind, from, to))| {
            let from = match from.as_str() {
                "*" => None,
                from => Some(problems.or(Place::FallbackFrom(n), alias(from))?),
            };
            let targets = to.iter().enumerate();
            let to = targets.filter_map(|(m, to)| problems.or(Place::FallbackTo(n, m), alias(to))).collect();
            Some(FallbackConfig { kind: *kind, from, to })
        });
        let fallbacks: Vec<FallbackConfig> = fallbacks.collect();
        let pools = self.pools.iter().enumerate().filter_map(|(n, (name, settings))| {
            let alias = problems.or(Place::Pool(n), alias(name))?;
            let PoolSettings { routing_strategy, num_retries, retry_policy } = settings.clone();
            Some(PoolConfig { alias, routing_strategy, num_retries, retry_policy })
        });
        let pools: Vec<PoolConfig> = pools.collect();
        if let Some(Chooser::Wrong(place, why)) = &self.auto {
            problems.add(*place, why.clone());
        }
        let aliases = self.aliases.iter().enumerate().filter_map(|(n, (name, target))| {
            Some((problems.or(Place::Alias(n), alias(name))?, problems.or(Place::Alias(n), alias(target))?))
        });
        let aliases: Vec<(Alias, Alias)> = aliases.collect();
        if !problems.found.is_empty() {
            return Err(BuildError(problems.found));
        }
        number_credentials(&self.deployments, &mut deployments);
        let config = Config { deployments, fallbacks, pools, aliases, settings: self.settings.clone() };
        let catalog = match Catalog::new(config) {
            Ok(catalog) => catalog,
            Err(errors) => {
                errors.0.into_iter().for_each(|error| problems.add(error.place, error.message));
                return Err(BuildError(problems.found));
            }
        };
        let auto = self.auto.and_then(|chooser| chooser.settle(&catalog, &mut problems));
        if !problems.found.is_empty() {
            return Err(BuildError(problems.found));
        }
        let http = match Providers::new() {
            Ok(http) => http,
            Err(error) => {
                problems.add(Place::Deployments, error.to_string());
                return Err(BuildError(problems.found));
            }
        };
        let providers = self.deployments.iter().enumerate().filter_map(|(n, deployment)| {
            problems.or(
                Place::Deployment(n, "model"),
                connect(&http, deployment, self.drop_params, &self.variables),
            )
        });
        let providers: Box<[Arc<dyn Provider>]> = providers.collect();
        if !problems.found.is_empty() {
            return Err(BuildError(problems.found));
        }
        let fingerprints: Box<[u64]> = self.deployments.iter().map(fingerprint).collect();
        let catalog = Arc::new(catalog);
        let fleet = match previous {
            Some(Router { parts, .. }) => parts.fleet.hand_over(catalog, |before, after| {
                parts.fingerprints.get(before.get()) == fingerprints.get(after.get())
            }),
            None => Fleet::new(catalog),
        };
        #[cfg(feature = "redis")]
        if self.is_redis_required && self.redis.is_none() {
            let message = "there is no Redis to require: set `redis_host` or `redis_url`";
            problems.add(Place::Setting("redis"), message.to_owned());
            return Err(BuildError(problems.found));
        }
        #[cfg(feature = "redis")]
        let redis = match self.redis.map(|address| redis_store(address, previous)).transpose() {
            Ok(redis) => redis,
            Err(error) => {
                problems.add(Place::Setting("redis"), error.to_string());
                return Err(BuildError(problems.found));
            }
        };
        #[cfg(feature = "redis")]
        let shared = redis.clone().map(|store| store as Arc<dyn StateStore>);
        #[cfg(not(feature = "redis"))]
        let shared: Option<Arc<dyn StateStore>> = None;
        // Moments of the one are moments of the other.
        let clock = self.clock.or_else(|| previous.map(|router| Arc::clone(&router.parts.clock)));
        Ok(Router::assemble(Parts {
            fleet: Arc::new(fleet),
            fingerprints,
            providers,
            observers: self.observers.into(),
            observes_content: self.observes_content,
            forwards_trace: self.forwards_trace,
            tariffs: Tariffs::new(prices, cards.into()),
            state_store: self.state_store.or(shared),
            #[cfg(feature = "redis")]
            redis,
            auto,
            token_counter: self.token_counter.unwrap_or_else(|| Arc::new(ByteEstimate)),
            clock: clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            seeds: first_seed(),
        }))
    }
}

/// The store of the router before, when it is at the same address: its connection and its books go on.
#[cfg(feature = "redis")]
fn redis_store(address: RedisAddress, previous: Option<&Router>) -> Result<Arc<RedisStore>, RedisError> {
    match previous.and_then(|router| router.parts.redis.as_ref()) {
        Some(store) if *store.address() == address => Ok(Arc::clone(store)),
        Some(_) | None => RedisStore::start(address).map(Arc::new),
    }
}

fn alias(name: &str) -> Result<Alias, String> {
    Alias::try_from(name).map_err(|BlankName| "an alias must not be blank".to_owned())
}

/// Numbers the credentials, so that the core knows who shares one and nothing else. Deployments without a key share none.
fn number_credentials(deployments: &[Deployment], configs: &mut [DeploymentConfig]) {
    let mut known: Vec<&SecretString> = Vec::new();
    for (deployment, config) in deployments.iter().zip(configs) {
        let Some(key) = &deployment.endpoint.api_key else { continue };
        let position = known.iter().position(|other| other.expose_secret() == key.expose_secret());
        let position = position.unwrap_or_else(|| {
            known.push(key);
            known.len() - 1
        });
        config.credential = u32::try_from(position).ok();
    }
}

/// Who chooses the alias of requests to one name.
#[derive(Debug)]
enum Chooser {
    Own(String, Arc<dyn Classifier>),
    Tasks(AutoRouting),
    /// What a file says makes none.
    Wrong(Place, String),
}

impl Chooser {
    /// Sees to it that every alias it can choose is there, and that it cannot choose itself.
    fn settle(self, catalog: &Catalog, problems: &mut Problems<'_>) -> Option<Auto> {
        let place = Place::Setting("classifier");
        match self {
            Self::Own(name, classifier) => {
                let name = problems.or(place, name_of_its_own(&name, catalog))?;
                Some(Auto::by_own(name, classifier))
            }
            Self::Tasks(routing) => {
                let name = problems.or(place, name_of_its_own(&routing.name, catalog))?;
                for target in routing.classifier.aliases() {
                    if let Err(why) = known_alias(target.as_str(), &name, catalog) {
                        problems.add(Place::Setting("classifier.labels"), why);
                    }
                }
                let llm = match &routing.llm {
                    Some(LlmLayer { alias, threshold, .. }) => {
                        if !(0.0..=1.0).contains(threshold) {
                            let why = format!("expected a confidence from 0 to 1, found {threshold}");
                            problems.add(Place::Setting("classifier.threshold"), why);
                        }
                        problems.or(Place::Setting("classifier.llm"), known_alias(alias, &name, catalog))
                    }
                    None => None,
                };
                Some(Auto::by_task(name, routing, llm))
            }
            // That has been said.
            Self::Wrong(..) => None,
        }
    }
}

fn name_of_its_own(name: &str, catalog: &Catalog) -> Result<Alias, String> {
    let name = alias(name)?;
    if catalog.pools().iter().any(|pool| *pool.alias() == name) {
        return Err(format!("`{name}` is the name of a pool: give the classifier one of its own"));
    }
    Ok(name)
}

fn known_alias(target: &str, classifier: &Alias, catalog: &Catalog) -> Result<Alias, String> {
    if target == classifier.as_str() {
        return Err(format!("`{target}` is the classifier itself, which cannot be asked by itself"));
    }
    if catalog.pool(target).is_none() {
        let known: Vec<&str> = catalog.pools().iter().map(|pool| pool.alias().as_str()).collect();
        return Err(format!("there is no alias `{target}`: known are {}", known.join(", ")));
    }
    alias(target)
}

/// Collects problems and puts the place in the file to them.
struct Problems<'a> {
    found: Vec<Problem>,
    places: &'a HashMap<Place, (String, Location)>,
}

impl Problems<'_> {
    fn add(&mut self, place: Place, message: String) {
        // A setting that does not stand in the file has the place of what it belongs to.
        let fallback = match place {
            Place::Deployment(n, _) => self.places.get(&Place::Deployment(n, "model")),
            Place::Setting(name) if name.starts_with("classifier.") => {
                self.places.get(&Place::Setting("classifier"))
            }
            _ => None,
        };
        let known = self.places.get(&place).or(fallback);
        let (path, location) = match known {
            Some((path, location)) => (path.clone(), Some(location.clone())),
            None => (place.to_string(), None),
        };
        self.found.push(Problem { location, path, message });
    }

    fn or<T>(&mut self, place: Place, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(place, message)).ok()
    }
}
