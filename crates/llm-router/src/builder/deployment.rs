//! One entry of `model_list`.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use router_core::{Abilities, Alias, BlankName, DeploymentConfig, DeploymentId, KindPolicy, Provider};
use router_providers::{Endpoint, ModelRef, Providers};
use router_telemetry::{Prices, RateCard};
use secrecy::{ExposeSecret, SecretString};

use super::cloud;

/// One deployment: an entry of `model_list`.
#[derive(Debug, Clone)]
#[must_use]
pub struct Deployment {
    alias: String,
    pub(super) endpoint: Endpoint,
    provider: Option<Arc<dyn Provider>>,
    drop_params: Option<bool>,
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
    allowed_fails_policy: Option<KindPolicy>,
    order: Option<u32>,
    max_parallel_requests: Option<u32>,
    strict_limits: Option<bool>,
    /// By their names in price tables, in dollars.
    prices: Vec<(String, f64)>,
    base_model: Option<String>,
    tags: Vec<String>,
    supports_assistant_prefill: Option<bool>,
    supports_function_calling: Option<bool>,
    supports_vision: Option<bool>,
}

impl Deployment {
    /// Puts `model` into the pool of `alias`. The text before the first slash of the model names the provider; without a
    /// slash it is OpenAI's, or Anthropic's when it begins with `claude-`. Where no key is given, the provider's usual environment variable is read when the router is built.
    pub fn new(alias: impl Into<String>, model: impl Into<String>) -> Self {
        let endpoint = Endpoint::new(model.into());
        Self { alias: alias.into(), endpoint, provider: None, drop_params: None, limits: Limits::default() }
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

    /// Sets the version of the provider's interface, where there are several: at Azure.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_api_version(version);
        self
    }

    /// Sets a token of Microsoft Entra ID, which Azure takes instead of a key.
    pub fn azure_ad_token(mut self, token: impl Into<SecretString>) -> Self {
        self.endpoint = self.endpoint.with_azure_ad_token(token);
        self
    }

    /// Lets fields that the provider cannot do be left out of a request, instead of passing the deployment over.
    pub fn drop_params(mut self, drop: bool) -> Self {
        self.drop_params = Some(drop);
        self
    }

    /// Sets the organization that the provider bills.
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_organization(organization);
        self
    }

    /// Sets the project at Google Cloud, for `vertex_ai/…`.
    pub fn vertex_project(mut self, project: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_vertex_project(project);
        self
    }

    /// Sets the location at Google Cloud, such as `europe-west4` or `global`.
    pub fn vertex_location(mut self, location: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_vertex_location(location);
        self
    }

    /// Sets the credentials for Google Cloud: the key of a service account as JSON, or the path of its file.
    pub fn vertex_credentials(mut self, credentials: impl Into<SecretString>) -> Self {
        self.endpoint = self.endpoint.with_vertex_credentials(credentials);
        self
    }

    /// Sets the id of an access key of AWS, for `bedrock/…`.
    pub fn aws_access_key_id(mut self, id: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_aws_access_key_id(id);
        self
    }

    /// Sets the secret of an access key of AWS.
    pub fn aws_secret_access_key(mut self, secret: impl Into<SecretString>) -> Self {
        self.endpoint = self.endpoint.with_aws_secret_access_key(secret);
        self
    }

    /// Sets the token of a temporary access key of AWS.
    pub fn aws_session_token(mut self, token: impl Into<SecretString>) -> Self {
        self.endpoint = self.endpoint.with_aws_session_token(token);
        self
    }

    /// Sets the region of AWS, such as `eu-central-1`.
    pub fn aws_region_name(mut self, region: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_aws_region_name(region);
        self
    }

    /// Sets the address of Bedrock's runtime, instead of the region's public one.
    pub fn aws_bedrock_runtime_endpoint(mut self, address: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.with_aws_bedrock_runtime_endpoint(address);
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

    /// Sets the requests per minute it may get; also its share where no weight is given.
    pub fn rpm(mut self, rpm: u64) -> Self {
        self.limits.rpm = Some(rpm);
        self
    }

    /// Sets the tokens per minute it may use; also its share where neither weight nor rpm is given.
    pub fn tpm(mut self, tpm: u64) -> Self {
        self.limits.tpm = Some(tpm);
        self
    }

    /// Says whether rpm and tpm hold exactly across all routers that share a store: each call asks it for a place first.
    pub fn strict_limits(mut self, strict: bool) -> Self {
        self.limits.strict_limits = Some(strict);
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

    /// Sets how many failures of a kind within a minute do not cool it yet, each kind counted apart.
    pub fn allowed_fails_policy(mut self, policy: KindPolicy) -> Self {
        self.limits.allowed_fails_policy = Some(policy);
        self
    }

    /// Sets its priority in the pool: the lowest that is ready gets the traffic.
    pub fn order(mut self, order: u32) -> Self {
        self.limits.order = Some(order);
        self
    }

    /// Sets the most calls in flight at a time.
    pub fn max_parallel_requests(mut self, most: u32) -> Self {
        self.limits.max_parallel_requests = Some(most);
        self
    }

    /// Sets what a token of the prompt costs, in dollars. 0 is a price.
    pub fn input_cost_per_token(self, dollars: f64) -> Self {
        self.price("input_cost_per_token", dollars)
    }

    /// Sets what a token of the answer costs, in dollars. 0 is a price.
    pub fn output_cost_per_token(self, dollars: f64) -> Self {
        self.price("output_cost_per_token", dollars)
    }

    /// Sets a price, in dollars, by its name in price tables, such as `cache_read_input_token_cost` or
    /// `input_cost_per_token_above_200k_tokens`. The table's other prices for the model stay.
    pub fn price(mut self, name: impl Into<String>, dollars: f64) -> Self {
        self.limits.prices.push((name.into(), dollars));
        self
    }

    /// Names the model whose prices and limits it has, where its own name says nothing, such as that of an Azure deployment.
    pub fn base_model(mut self, model: impl Into<String>) -> Self {
        self.limits.base_model = Some(model.into());
        self
    }

    /// Says that it can go on with an answer that another deployment began.
    pub fn supports_assistant_prefill(mut self, can: bool) -> Self {
        self.limits.supports_assistant_prefill = Some(can);
        self
    }

    /// Says whether it can call tools; requests with `tools` pass over one that cannot.
    pub fn supports_function_calling(mut self, can: bool) -> Self {
        self.limits.supports_function_calling = Some(can);
        self
    }

    /// Says whether it can look at images; requests with images pass over one that cannot.
    pub fn supports_vision(mut self, can: bool) -> Self {
        self.limits.supports_vision = Some(can);
        self
    }

    /// Adds a tag by which requests choose it.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.limits.tags.push(tag.into());
        self
    }
}

/// Returns what the core needs to know of it, and what it charges. Where the configuration is silent the price table speaks.
pub(super) fn core_config(
    deployment: &Deployment,
    n: usize,
    prices: &Prices,
) -> Result<(DeploymentConfig, Option<RateCard>), String> {
    let Deployment { alias: name, endpoint, provider, limits, drop_params: _ } = deployment;
    let (provider, model) = match provider {
        Some(_) => ("custom".to_owned(), endpoint.model.clone()),
        None => {
            let model = identify(endpoint)?;
            (model.provider.to_owned(), model.model.to_owned())
        }
    };
    let alias =
        Alias::try_from(name.as_str()).map_err(|BlankName| format!("deployment {n} has a blank alias"))?;
    let card = rate_card(limits, &provider, &model, prices)?;
    let of_table = card.as_ref();
    let mut config = DeploymentConfig::new(alias, provider, model);
    if let Some(id) = &limits.id {
        let id = DeploymentId::try_from(id.as_str());
        config.id = Some(id.map_err(|BlankName| "an id must not be blank".to_owned())?);
    }
    config.weight = limits.weight;
    config.rpm = limits.rpm;
    config.tpm = limits.tpm;
    config.max_input_tokens = limits.max_input_tokens.or(of_table.and_then(|card| card.max_input_tokens));
    config.timeout = limits.timeout;
    config.stream_timeout = limits.stream_timeout;
    config.cooldown_time = limits.cooldown_time;
    config.allowed_fails = limits.allowed_fails;
    config.allowed_fails_policy = limits.allowed_fails_policy.clone();
    config.order = limits.order;
    config.max_parallel_requests = limits.max_parallel_requests;
    config.strict_limits = limits.strict_limits;
    config.price = of_table.and_then(RateCard::list_price);
    config.tags = limits.tags.clone();
    config.supports_assistant_prefill = limits
        .supports_assistant_prefill
        .or(of_table.and_then(|card| card.supports_assistant_prefill))
        .unwrap_or(false);
    let tools = limits.supports_function_calling.or(of_table.and_then(|card| card.supports_function_calling));
    let vision = limits.supports_vision.or(of_table.and_then(|card| card.supports_vision));
    for (can, ability) in [(tools, Abilities::TOOLS), (vision, Abilities::VISION)] {
        match can {
            Some(true) => config.has = config.has.with(ability),
            Some(false) => config.lacks = config.lacks.with(ability),
            None => {}
        }
    }
    Ok((config, card))
}

/// The table's prices with those that were set in their place. Where the table does not know the model, one side alone counts with
/// the other as free, as LiteLLM has it.
fn rate_card(
    limits: &Limits,
    provider: &str,
    model: &str,
    prices: &Prices,
) -> Result<Option<RateCard>, String> {
    let of_base = limits.base_model.as_deref().and_then(|base| {
        let (base_provider, base_model) = base.split_once('/').unwrap_or((provider, base));
        prices.card(base_provider, base_model).or_else(|| prices.card(provider, base))
    });
    let found = of_base.or_else(|| prices.card(provider, model));
    if limits.prices.is_empty() {
        return Ok(found);
    }
    let mut card = found.unwrap_or_default();
    for (name, dollars) in &limits.prices {
        card.set(name, *dollars)?;
    }
    if card.provider().is_empty() {
        for side in ["input_cost_per_token", "output_cost_per_token"] {
            if !limits.prices.iter().any(|(name, _)| name == side) {
                card.set(side, 0.0)?;
            }
        }
    }
    Ok(Some(card))
}

/// Returns a number that is another when the upstream or the credential is: in this process, and nowhere else.
pub(super) fn fingerprint(deployment: &Deployment) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let Deployment { endpoint, provider, .. } = deployment;
    let mut hasher = KEY.build_hasher();
    // Everything but the secrets, which it hides.
    format!("{endpoint:?}").hash(&mut hasher);
    let (google, aws) = (&endpoint.google, &endpoint.aws);
    let secrets = [
        &endpoint.api_key,
        &endpoint.azure_ad_token,
        &google.vertex_credentials,
        &aws.secret_access_key,
        &aws.session_token,
    ];
    let secrets = secrets.into_iter().flatten().chain(endpoint.headers.iter().map(|(_, value)| value));
    secrets.for_each(|secret| secret.expose_secret().hash(&mut hasher));
    provider.as_ref().map(|provider| Arc::as_ptr(provider).cast::<()>()).hash(&mut hasher);
    hasher.finish()
}

fn identify(endpoint: &Endpoint) -> Result<ModelRef<'_>, String> {
    Providers::identify(&endpoint.model, endpoint.custom_llm_provider.as_deref())
        .map_err(|error| error.to_string())
}

/// Binds a deployment to its upstream. What is not given comes from the provider's usual environment variables.
///
/// That holds for a key only at the provider's own address: it is not for whoever else stands in `api_base`. What the file itself puts
/// into the environment, `variables`, is found first.
pub(super) fn connect(
    http: &Providers,
    deployment: &Deployment,
    drop_params: bool,
    variables: &[(String, SecretString)],
) -> Result<Arc<dyn Provider>, String> {
    if let Some(provider) = &deployment.provider {
        return Ok(Arc::clone(provider));
    }
    let model = identify(&deployment.endpoint)?;
    let environment = |name: &str| {
        let own = variables.iter().find(|(known, _)| known == name);
        own.map(|(_, value)| value.expose_secret().to_owned()).or_else(|| std::env::var(name).ok())
    };
    let is_own_address = deployment.endpoint.api_base.as_ref().is_none_or(|base| model.is_own_address(base));
    let mut endpoint = cloud::fill(deployment.endpoint.clone(), model.provider, is_own_address, environment)
        .with_drop_params(deployment.drop_params.unwrap_or(drop_params));
    let variable = |name: Option<&str>| environment(name?).filter(|value| !value.is_empty());
    if let (None, Some(base)) = (&endpoint.api_base, variable(model.base_env)) {
        endpoint = endpoint.with_api_base(base);
    }
    if let (None, Some(version)) = (&endpoint.api_version, variable(model.version_env)) {
        endpoint = endpoint.with_api_version(version);
    }
    let has_credential = endpoint.api_key.is_some() || endpoint.azure_ad_token.is_some();
    if let (false, true, Some(name)) = (has_credential, is_own_address, model.key_env) {
        match variable(Some(name)) {
            Some(key) => endpoint = endpoint.with_api_key(key),
            None if model.works_without_key => {}
            None => return Err(format!("no credential: set `api_key`, or export {name}")),
        }
    }
    http.connect(&endpoint).map_err(|error| error.to_string())
}
