//! Assembles a [`Router`] from settings and parts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use router_core::{
    Alias, BlankName, Catalog, Classifier, Clock, Config, DeploymentConfig, DeploymentId, FallbackConfig,
    FallbackKind, Fleet, Observer, Place, PoolConfig, Provider, Settings, SimpleShuffle, StateStore,
    Strategy,
};
use router_providers::{Endpoint, ModelRef, Providers};
use secrecy::SecretString;

use crate::clock::SystemClock;
use crate::config::{Location, Problem, lines};
use crate::router::{Parts, Router, first_seed};

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
    fallbacks: Vec<(FallbackKind, String, Vec<String>)>,
    pools: Vec<(String, PoolSettings)>,
    settings: Settings,
    observers: Vec<Arc<dyn Observer>>,
    state_store: Option<Arc<dyn StateStore>>,
    classifier: Option<(String, Arc<dyn Classifier>)>,
    clock: Option<Arc<dyn Clock>>,
    /// Where settings stand in the file they came from.
    places: HashMap<Place, (String, Location)>,
}

/// A configuration that makes no router.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct BuildError(pub Vec<Problem>);

/// One deployment: an entry of `model_list`.
#[derive(Debug, Clone)]
#[must_use]
pub struct Deployment {
    alias: String,
    endpoint: Endpoint,
    provider: Option<Arc<dyn Provider>>,
    limits: Limits,
}

#[derive(Debug, Clone, Default)]
struct Limits {
    id: Option<String>,
    weight: Option<f64>,
    rpm: Option<u64>,
    tpm: Option<u64>,
    max_input_tokens: Option<u64>,
    timeout: Option<Duration>,
    stream_timeout: Option<Duration>,
    cooldown_time: Option<Duration>,
    allowed_fails: Option<u32>,
}

impl Deployment {
    /// Puts `model` into the pool of `alias`. The text before the first slash of the model names the provider; without a
    /// slash it is OpenAI's, or Anthropic's when it begins with `claude-`. Where no key is given, the provider's usual environment variable is read when the router is built.
    pub fn new(alias: impl Into<String>, model: impl Into<String>) -> Self {
        let endpoint = Endpoint::new(model.into());
        Self { alias: alias.into(), endpoint, provider: None, limits: Limits::default() }
    }

    /// Puts a provider of your own into the pool of `alias`; `model` is only its name.
    pub fn with_provider(
        alias: impl Into<String>,
        model: impl Into<String>,
        provider: Arc<dyn Provider>,
    ) -> Self {
        Self { provider: Some(provider), ..Self::new(alias, model) }
    }

    /// Sets the credential.
    pub fn api_key(mut self, key: impl Into<SecretString>) -> Self {
        self.endpoint = self.endpoint.with_api_key(key);
        self
    }

    /// Sets the base of the provider's address, such as `http://localhost:8000/v1`.
    pub fn api_base(mut self, base: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_api_base(base);
        self
    }

    /// Sets the organization that the provider bills.
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_organization(organization);
        self
    }

    /// Names the provider apart from the model.
    pub fn custom_llm_provider(mut self, provider: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_custom_llm_provider(provider);
        self
    }

    /// Adds a header to every request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.endpoint = self.endpoint.with_header(name, value);
        self
    }

    /// Sets the stable id; made of alias and model when absent.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.limits.id = Some(id.into());
        self
    }

    /// Sets its share of the pool's traffic, relative to the others; 0 makes it a stand-by.
    pub fn weight(mut self, weight: f64) -> Self {
        self.limits.weight = Some(weight);
        self
    }

    /// Sets the requests per minute of its account; its share where no weight is given.
    pub fn rpm(mut self, rpm: u64) -> Self {
        self.limits.rpm = Some(rpm);
        self
    }

    /// Sets the tokens per minute of its account; its share where neither weight nor rpm is given.
    pub fn tpm(mut self, tpm: u64) -> Self {
        self.limits.tpm = Some(tpm);
        self
    }

    /// Sets the longest prompt it takes, in tokens.
    pub fn max_input_tokens(mut self, tokens: u64) -> Self {
        self.limits.max_input_tokens = Some(tokens);
        self
    }

    /// Sets the time one attempt may take.
    pub fn timeout(mut self, span: Duration) -> Self {
        self.limits.timeout = Some(span);
        self
    }

    /// Sets the time a stream may take to its first token and between two chunks.
    pub fn stream_timeout(mut self, span: Duration) -> Self {
        self.limits.stream_timeout = Some(span);
        self
    }

    /// Sets how long it gets no traffic after failing; 0 never cools it.
    pub fn cooldown_time(mut self, span: Duration) -> Self {
        self.limits.cooldown_time = Some(span);
        self
    }

    /// Sets how many failures within a minute do not cool it yet.
    pub fn allowed_fails(mut self, fails: u32) -> Self {
        self.limits.allowed_fails = Some(fails);
        self
    }
}

/// Settings of one pool that differ from the router's.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PoolSettings {
    routing_strategy: Option<Arc<dyn Strategy>>,
    num_retries: Option<u32>,
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
}

/// Returns the strategy of this name, or the names there are.
pub(crate) fn strategy_named(name: &str) -> Result<Arc<dyn Strategy>, String> {
    let known: [Arc<dyn Strategy>; 1] = [Arc::new(SimpleShuffle)];
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

    /// Adds somebody who is told of every event. Several may listen.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Shares what is learned about deployments with other routers.
    pub fn state_store(mut self, store: Arc<dyn StateStore>) -> Self {
        self.state_store = Some(store);
        self
    }

    /// Lets `classifier` choose the alias of requests to the model `name`, such as `auto`.
    pub fn classifier(mut self, name: impl Into<String>, classifier: Arc<dyn Classifier>) -> Self {
        self.classifier = Some((name.into(), classifier));
        self
    }

    /// Tells the time by another clock. Timeouts and waits stay with the runtime.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Remembers where a setting stands in a file.
    pub(crate) fn at(&mut self, place: Place, path: &str, location: Location) {
        self.places.insert(place, (path.to_owned(), location));
    }

    pub(crate) fn fallback_count(&self) -> usize {
        self.fallbacks.len()
    }

    pub(crate) fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// Checks everything and makes the router. Nothing is called and nothing is started.
    ///
    /// # Errors
    /// Every problem there is, each with its place and remedy.
    pub fn build(self) -> Result<Router, BuildError> {
        let mut problems = Problems { found: Vec::new(), places: &self.places };
        let deployments = self.deployments.iter().enumerate().filter_map(|(n, deployment)| {
            problems.or(Place::Deployment(n, "model"), core_config(deployment, n))
        });
        let deployments: Vec<DeploymentConfig> = deployments.collect();
        let fallbacks = self.fallbacks.iter().enumerate().filter_map(|(n, (kind, from, to))| {
            let from = problems.or(Place::FallbackFrom(n), alias(from))?;
            let targets = to.iter().enumerate();
            let to = targets.filter_map(|(m, to)| problems.or(Place::FallbackTo(n, m), alias(to))).collect();
            Some(FallbackConfig { kind: *kind, from, to })
        });
        let fallbacks: Vec<FallbackConfig> = fallbacks.collect();
        let pools = self.pools.iter().enumerate().filter_map(|(n, (name, settings))| {
            let alias = problems.or(Place::Pool(n), alias(name))?;
            let PoolSettings { routing_strategy, num_retries } = settings.clone();
            Some(PoolConfig { alias, routing_strategy, num_retries })
        });
        let pools: Vec<PoolConfig> = pools.collect();
        let classifier = match &self.classifier {
            Some((name, classifier)) => {
                let name = problems.or(Place::Setting("classifier"), alias(name));
                name.map(|name| (name, Arc::clone(classifier)))
            }
            None => None,
        };
        if !problems.found.is_empty() {
            return Err(BuildError(problems.found));
        }
        let config = Config { deployments, fallbacks, pools, settings: self.settings.clone() };
        let catalog = match Catalog::new(config) {
            Ok(catalog) => catalog,
            Err(errors) => {
                errors.0.into_iter().for_each(|error| problems.add(error.place, error.message));
                return Err(BuildError(problems.found));
            }
        };
        let http = match Providers::new() {
            Ok(http) => http,
            Err(error) => {
                problems.add(Place::Deployments, error.to_string());
                return Err(BuildError(problems.found));
            }
        };
        let providers = self.deployments.iter().enumerate().filter_map(|(n, deployment)| {
            problems.or(Place::Deployment(n, "model"), connect(&http, deployment))
        });
        let providers: Box<[Arc<dyn Provider>]> = providers.collect();
        if !problems.found.is_empty() {
            return Err(BuildError(problems.found));
        }
        Ok(Router::assemble(Parts {
            fleet: Arc::new(Fleet::new(Arc::new(catalog))),
            providers,
            observers: self.observers.into(),
            state_store: self.state_store,
            classifier,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            seeds: first_seed(),
        }))
    }
}

fn alias(name: &str) -> Result<Alias, String> {
    Alias::try_from(name).map_err(|BlankName| "an alias must not be blank".to_owned())
}

fn core_config(deployment: &Deployment, n: usize) -> Result<DeploymentConfig, String> {
    let Deployment { alias: name, endpoint, provider, limits } = deployment;
    let (provider, model) = match provider {
        Some(_) => ("custom".to_owned(), endpoint.model.clone()),
        None => {
            let model = identify(endpoint)?;
            (model.provider.to_owned(), model.model.to_owned())
        }
    };
    let alias =
        Alias::try_from(name.as_str()).map_err(|BlankName| format!("deployment {n} has a blank alias"))?;
    let mut config = DeploymentConfig::new(alias, provider, model);
    if let Some(id) = &limits.id {
        let id = DeploymentId::try_from(id.as_str());
        config.id = Some(id.map_err(|BlankName| "an id must not be blank".to_owned())?);
    }
    config.weight = limits.weight;
    config.rpm = limits.rpm;
    config.tpm = limits.tpm;
    config.max_input_tokens = limits.max_input_tokens;
    config.timeout = limits.timeout;
    config.stream_timeout = limits.stream_timeout;
    config.cooldown_time = limits.cooldown_time;
    config.allowed_fails = limits.allowed_fails;
    Ok(config)
}

fn identify(endpoint: &Endpoint) -> Result<ModelRef<'_>, String> {
    Providers::identify(&endpoint.model, endpoint.custom_llm_provider.as_deref())
        .map_err(|error| error.to_string())
}

/// Binds a deployment to its upstream.
///
/// A key that is not given comes from the provider's usual environment variable, but only for the provider's own address: it
/// is not for whoever else stands in `api_base`.
fn connect(http: &Providers, deployment: &Deployment) -> Result<Arc<dyn Provider>, String> {
    if let Some(provider) = &deployment.provider {
        return Ok(Arc::clone(provider));
    }
    let mut endpoint = deployment.endpoint.clone();
    let model = identify(&deployment.endpoint)?;
    if let (None, None, Some(variable)) = (&endpoint.api_key, &endpoint.api_base, model.key_env) {
        match std::env::var(variable) {
            Ok(key) if !key.is_empty() => endpoint = endpoint.with_api_key(key),
            _ if model.works_without_key => {}
            _ => return Err(format!("no credential: set `api_key`, or export {variable}")),
        }
    }
    http.connect(&endpoint).map_err(|error| error.to_string())
}

/// Collects problems and puts the place in the file to them.
struct Problems<'a> {
    found: Vec<Problem>,
    places: &'a HashMap<Place, (String, Location)>,
}

impl Problems<'_> {
    fn add(&mut self, place: Place, message: String) {
        // A setting that does not stand in the file has its deployment's place.
        let fallback = match place {
            Place::Deployment(n, _) => self.places.get(&Place::Deployment(n, "model")),
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
