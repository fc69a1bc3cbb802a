//! Decides where an LLM request goes: which deployment of a pool, whether to try again, where to fall back, whom to leave
//! alone for a while. It does no I/O, reads no clock and rolls no dice of its own, so every decision can be tested with
//! literals, replayed from a seed and simulated by the million.
//!
//! # A tour
//! - [`Config`] is what a person wrote; [`Catalog`] is what it becomes once checked: pools of [`Deployment`]s and the fallback
//!   graph between them.
//! - [`Fleet`] is a catalog with the live state of each deployment: its breaker, its calls in flight.
//! - [`Route`] is one request on its way. [`Route::next`] says what to do, [`Route::record`] takes what came of it.
//! - [`Strategy`] chooses within a pool; [`SimpleShuffle`] is the default, [`strategies`] lists the others.
//! - [`Demand`] is what a request asks for as far as routing goes: its length, its tags, its overrides.
//! - [`ProviderError`] is what can go wrong. Its two questions, [`remedy`](ProviderError::remedy) and
//!   [`fault`](ProviderError::fault), are all that decisions are made of.
//! - [`ChatRequest`], [`Reply`] and [`Chunk`] are the payload, [`EmbeddingRequest`] and [`EmbeddingReply`] that of embeddings:
//!   OpenAI's shape, kept as bytes.
//! - [`RequestContext`] is for whom a request is made; [`RouteFacts`] is its story, told to observers at its end.
//! - [`Provider`], [`Observer`], [`StateStore`], [`Classifier`], [`TokenCounter`] and [`Clock`] are the ports that other crates implement.
//!
//! See [`Route`] for the loop that drives it all.

mod abilities;
mod account;
mod breaker;
mod budget;
mod catalog;
mod check;
mod classifier;
mod config;
mod context;
mod demand;
mod dice;
mod embedding;
mod error;
mod fleet;
mod headroom;
mod latency;
mod money;
mod names;
mod observer;
mod pattern;
mod provider;
mod reply;
mod request;
mod retry_budget;
mod route;
mod state_store;
mod strategy;
mod time;
mod token_counter;
mod trace;
mod usage;
mod window;

pub use self::abilities::Abilities;
pub use self::account::{AccountId, AccountLimits, Claim, Hold, Refused, Reserved, Settlement};
pub use self::breaker::BreakerState;
pub use self::budget::{Budget, BudgetPeriod};
pub use self::catalog::{Catalog, Deployment, DeploymentIndex, Pool, PoolIndex};
pub use self::check::{Finding, Severity, check};
pub use self::classifier::{Classification, Classifier, Layer};
pub use self::config::{
    Config, ConfigError, ConfigErrors, DeploymentConfig, FallbackConfig, FallbackKind, KindPolicy, Place,
    PoolConfig, Settings,
};
pub use self::context::RequestContext;
pub use self::demand::{Demand, RequestKind, TagSet};
pub use self::dice::Dice;
pub use self::embedding::{EmbeddingReply, EmbeddingRequest, Encoding};
pub use self::error::{Fault, ProviderError, ProviderErrorKind, Remedy};
pub use self::fleet::{Admission, Fleet, Health, HealthChange, Lesson, Obstacle, Reservation, Snapshot};
pub use self::headroom::Headroom;
pub use self::latency::LatencySketch;
pub use self::money::{Bill, Cost, Price, Usd};
pub use self::names::{Alias, BlankName, DeploymentId};
pub use self::observer::{AttemptFacts, AttemptOutcome, CauseFacts, Content, Event, Observer, RouteFacts};
pub use self::provider::Provider;
pub use self::reply::{Chunk, ChunkKind, ChunkStream, Reply, StreamedReply};
pub use self::request::{
    ChatRequest, ChatRequestBuilder, Edit, JsonObject, Native, NativeFormat, RequestError,
};
pub use self::route::{
    Attempt, AttemptCause, AttemptRecord, Explained, ExplainedPool, Route, RouteFailure, Step, Unfit, Verdict,
};
pub use self::state_store::{Consumed, Peer, StateStore};
pub use self::strategy::{
    Candidate, Candidates, CostBased, LatencyBased, LeastBusy, PeakEwma, SimpleShuffle, Strategy, UsageBased,
    strategies,
};
pub use self::time::{Clock, Timestamp};
pub use self::token_counter::{ByteEstimate, TokenCounter};
pub use self::trace::TraceContext;
pub use self::usage::{Metered, ServiceTier, Usage};
pub use self::window::MinuteWindow;
