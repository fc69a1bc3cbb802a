//! Routes LLM requests: an application calls an alias, the router picks a deployment from its pool, tries again elsewhere when
//! that fails, falls back to another alias when the pool gives up, and keeps failing deployments out of the way.
//!
//! # A tour
//! - [`Router`] is what applications call: [`Router::completion`], [`Router::stream`] and [`Router::embedding`].
//! - [`Router::from_yaml_file`] reads a LiteLLM-style `config.yaml`; [`Router::builder`] takes the same settings in Rust.
//! - [`Completion`] and [`CompletionStream`] are the answers, each with a [`RouteReport`]: who answered after which attempts.
//! - [`RouteError`] is why there was none, with the last real error.
//! - [`AutoRouting`] routes requests to a name such as `auto` by what they are about, with an [`LlmLayer`] for doubtful ones.
//!
//! This crate assembles and runs the one loop. Decisions are made in [`router_core`], wire formats live in
//! [`router_providers`]; each can be used without this crate.

mod auto;
mod builder;
mod clock;
mod config;
mod continuation;
mod demand;
mod engine;
mod error;
mod estimate;
mod explanation;
mod metering;
mod payload;
mod place;
mod report;
mod router;
mod stream;
mod suggest;
mod tariffs;

pub use router_classify::{
    ClassifierError, Destination, Query, Rule, TaskClassifier, TaskClassifierBuilder, TaskModel, Tiers,
    keywords,
};
#[cfg(feature = "semantic")]
pub use router_classify::{Embeddings, EmbeddingsError, SemanticError, SemanticRoutes};
pub use router_core::{
    AccountId, AccountLimits, Alias, AttemptFacts, AttemptOutcome, Bill, BreakerState, Budget, BudgetPeriod,
    ByteEstimate, CauseFacts, ChatRequest, ChatRequestBuilder, Chunk, ChunkKind, Claim, Classification,
    Classifier, Clock, Consumed, Cost, DeploymentId, Edit, EmbeddingReply, EmbeddingRequest, Encoding, Event,
    Finding, HealthChange, Hold, JsonObject, KindPolicy, Layer, Metered, MinuteWindow, Native, NativeFormat,
    Observer, Obstacle, Peer, Price, Provider, ProviderError, ProviderErrorKind, Refused, Reply,
    RequestContext, RequestError, Reserved, RouteFacts, ServiceTier, Settlement, Severity, StateStore,
    Strategy, Timestamp, TokenCounter, TraceContext, Usage, Usd, check, strategies,
};
pub use router_state::MemoryStore;
#[cfg(feature = "redis")]
pub use router_state::{RedisAddress, RedisCache, RedisCacheStatus, RedisError, RedisStatus, RedisStore};
pub use router_telemetry::{Prices, PricesError, RateCard};

pub use self::auto::{AutoRouting, LlmLayer};
pub use self::builder::{BuildError, Deployment, PoolSettings, RouterBuilder};
pub use self::clock::SystemClock;
pub use self::config::{
    CacheSettings, CallbackSettings, Callbacks, ConfigFile, ConfigFileError, GeneralSettings, KeySetting,
    Location, Problem, VirtualKeySettings, config_schema,
};
pub use self::error::RouteError;
pub use self::estimate::Estimate;
pub use self::explanation::{DeploymentExplanation, DeploymentState, Explanation, PoolExplanation};
pub use self::payload::Payload;
pub use self::report::{AttemptError, AttemptReport, RouteReport};
pub use self::router::{Completion, Embedding, FromFileError, Router, completion_cost};
pub use self::stream::CompletionStream;
