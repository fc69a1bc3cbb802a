//! What a person decided, before it is checked. [`Catalog`](crate::Catalog) is what it becomes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::strategy::{SimpleShuffle, Strategy};
use crate::{Abilities, Alias, DeploymentId, Price, ProviderErrorKind};

/// Everything the core needs to know, as written by a person or a program.
///
/// Names follow LiteLLM's settings; spans are [`Duration`]s.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The deployments; those that share an alias form its pool.
    pub deployments: Vec<DeploymentConfig>,
    /// Where a pool's requests go on when the pool gave up.
    pub fallbacks: Vec<FallbackConfig>,
    /// Settings of single pools.
    pub pools: Vec<PoolConfig>,
    /// Further names for pools: `model_group_alias`.
    pub aliases: Vec<(Alias, Alias)>,
    /// Settings of the whole router.
    pub settings: Settings,
}

/// One provider model with its share, limits and times.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeploymentConfig {
    /// The alias whose pool it belongs to.
    pub alias: Alias,
    /// Its stable name; made of alias and model when absent.
    pub id: Option<DeploymentId>,
    /// The provider, such as `anthropic`.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// Its share of the pool's traffic, relative to the others. 0 makes it a stand-by.
    pub weight: Option<f64>,
    /// Requests per minute it may get; also its share where no weight is given.
    pub rpm: Option<u64>,
    /// Tokens per minute it may use; also its share where neither weight nor rpm is given.
    pub tpm: Option<u64>,
    /// The longest prompt it takes, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Overrides [`Settings::timeout`].
    pub timeout: Option<Duration>,
    /// Overrides [`Settings::stream_timeout`].
    pub stream_timeout: Option<Duration>,
    /// Overrides [`Settings::cooldown_time`].
    pub cooldown_time: Option<Duration>,
    /// Overrides [`Settings::allowed_fails`].
    pub allowed_fails: Option<u32>,
    /// Overrides [`Settings::allowed_fails_policy`].
    pub allowed_fails_policy: Option<KindPolicy>,
    /// Its priority in the pool: the lowest that is ready gets the traffic. Those without come last.
    pub order: Option<u32>,
    /// The most calls in flight at a time. Overrides [`Settings::default_max_parallel_requests`].
    pub max_parallel_requests: Option<u32>,
    /// Overrides [`Settings::strict_limits`].
    pub strict_limits: Option<bool>,
    /// What it charges; `None` when that is not known.
    pub price: Option<Price>,
    /// Tags by which requests choose it.
    pub tags: Vec<String>,
    /// Whether it goes on with an answer that somebody else began.
    pub supports_assistant_prefill: bool,
    /// What it can do beyond text, as far as that is known.
    pub has: Abilities,
    /// What it is known not to be able to do: requests that need it go elsewhere.
    pub lacks: Abilities,
    /// Which credential it uses: deployments with the same number share one. `None` shares with nobody.
    pub credential: Option<u32>,
}

/// A number per kind of error; kinds that are not listed have none of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindPolicy(Vec<(ProviderErrorKind, u32)>);

impl KindPolicy {
    /// Makes a policy of these numbers.
    pub fn new(numbers: impl IntoIterator<Item = (ProviderErrorKind, u32)>) -> Self {
        Self(numbers.into_iter().collect())
    }

    /// Returns the number of a kind.
    pub fn get(&self, kind: ProviderErrorKind) -> Option<u32> {
        self.0.iter().find(|(listed, _)| *listed == kind).map(|(_, number)| *number)
    }

    /// Returns the largest number; `None` when there is none.
    pub fn largest(&self) -> Option<u32> {
        self.0.iter().map(|(_, number)| *number).max()
    }
}

impl DeploymentConfig {
    /// Makes a deployment with the router's own settings.
    #[must_use]
    pub fn new(alias: Alias, provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            alias,
            id: None,
            provider: provider.into(),
            model: model.into(),
            weight: None,
            rpm: None,
            tpm: None,
            max_input_tokens: None,
            timeout: None,
            stream_timeout: None,
            cooldown_time: None,
            allowed_fails: None,
            allowed_fails_policy: None,
            order: None,
            max_parallel_requests: None,
            strict_limits: None,
            price: None,
            tags: Vec::new(),
            supports_assistant_prefill: false,
            has: Abilities::NONE,
            lacks: Abilities::NONE,
            credential: None,
        }
    }
}

/// One edge list of the fallback graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackConfig {
    /// What sends a request along these edges.
    pub kind: FallbackKind,
    /// The pool that gave up; `None` is every pool that has no edges of this kind of its own.
    pub from: Option<Alias>,
    /// Where to go on, in this order.
    pub to: Vec<Alias>,
}

/// Why a request goes on to another alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackKind {
    /// The pool failed.
    General,
    /// The prompt is too long.
    ContextWindow,
    /// The content policy refused it.
    ContentPolicy,
}

impl FallbackKind {
    /// Returns the setting that lists such edges.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::General => "fallbacks",
            Self::ContextWindow => "context_window_fallbacks",
            Self::ContentPolicy => "content_policy_fallbacks",
        }
    }
}

/// Settings of one pool.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// The pool's alias.
    pub alias: Alias,
    /// Overrides [`Settings::routing_strategy`].
    pub routing_strategy: Option<Arc<dyn Strategy>>,
    /// Overrides [`Settings::num_retries`].
    pub num_retries: Option<u32>,
    /// Overrides [`Settings::retry_policy`].
    pub retry_policy: Option<KindPolicy>,
}

/// Settings of the whole router. The defaults are LiteLLM's where it has one that can be kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How to choose within a pool. Default: [`SimpleShuffle`].
    pub routing_strategy: Arc<dyn Strategy>,
    /// Further attempts in a pool after its first one. Default 2, as the OpenAI SDKs.
    pub num_retries: u32,
    /// The least wait before a deployment that just failed is asked again. Default 0; the exponential back-off starts at
    /// half a second all the same.
    pub retry_after: Duration,
    /// The time one attempt may take. Default 600 s, as the OpenAI SDKs.
    pub timeout: Duration,
    /// The time a stream may take to its first token, and between two chunks. Default: `timeout`.
    pub stream_timeout: Option<Duration>,
    /// The time one request may take over all its attempts and waits. Default: no limit beyond that of the attempts.
    pub total_timeout: Option<Duration>,
    /// How long a failing deployment gets no traffic. Default 5 s; 0 never cools it.
    pub cooldown_time: Duration,
    /// Failures within a minute that do not cool a deployment yet. Default 3.
    pub allowed_fails: u32,
    /// The same by kind of error, each kind counted apart. Default: none.
    pub allowed_fails_policy: KindPolicy,
    /// Retries by kind of error. Default: `num_retries` for every kind.
    pub retry_policy: KindPolicy,
    /// The most pools a request goes on to after its first. Default 5, as LiteLLM, where it bounds depth.
    pub max_fallbacks: u32,
    /// How long a request waits for room when every deployment that could take it is at its limit. Default 0: not at all.
    pub queue_timeout: Duration,
    /// Whether prompts longer than a deployment's window are kept from it. Default: false, as LiteLLM.
    pub enable_pre_call_checks: bool,
    /// Whether a stream that breaks after its first token goes on at a deployment that can continue an answer. Default: false, as
    /// LiteLLM.
    pub enable_mid_stream_fallback_continuation: bool,
    /// Whether requests choose deployments by tags. Default: false.
    pub enable_tag_filtering: bool,
    /// The most calls in flight at a deployment that sets none itself. Default: no limit.
    pub default_max_parallel_requests: Option<u32>,
    /// Whether rpm and tpm hold exactly across all routers that share a store, at the price of asking it before each call. Default:
    /// false.
    pub strict_limits: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            routing_strategy: Arc::new(SimpleShuffle),
            num_retries: 2,
            retry_after: Duration::ZERO,
            timeout: Duration::from_secs(600),
            stream_timeout: None,
            total_timeout: None,
            cooldown_time: Duration::from_secs(5),
            allowed_fails: 3,
            allowed_fails_policy: KindPolicy::default(),
            retry_policy: KindPolicy::default(),
            max_fallbacks: 5,
            queue_timeout: Duration::ZERO,
            enable_pre_call_checks: false,
            enable_mid_stream_fallback_continuation: false,
            enable_tag_filtering: false,
            default_max_parallel_requests: None,
            strict_limits: false,
        }
    }
}

/// Every problem of a configuration, none of them hidden behind the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    fn lines(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where it is.
    pub place: Place,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// A place in a [`Config`], by position, so that whoever read the configuration from a file can name the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The list of deployments as a whole.
    Deployments,
    /// A setting of the deployment at this position.
    Deployment(usize, &'static str),
    /// The edge list at this position: where it starts.
    FallbackFrom(usize),
    /// The target at the second position of the edge list at the first.
    FallbackTo(usize, usize),
    /// The pool settings at this position.
    Pool(usize),
    /// The further name at this position.
    Alias(usize),
    /// A setting of the router.
    Setting(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployments => f.write_str("deployments"),
            Self::Deployment(n, setting) => write!(f, "deployments[{n}].{setting}"),
            Self::FallbackFrom(n) => write!(f, "fallbacks[{n}]"),
            Self::FallbackTo(n, m) => write!(f, "fallbacks[{n}][{m}]"),
            Self::Pool(n) => write!(f, "pools[{n}]"),
            Self::Alias(n) => write!(f, "model_group_alias[{n}]"),
            Self::Setting(setting) => f.write_str(setting),
        }
    }
}
