//! An OpenAI-compatible gateway over [`llm_router`].
//!
//! The binary `llm-router` is a thin shell around this library.
//!
//! # A tour
//! - [`App`] is what requests share: the router, who may call it, its limits. [`App::replace`] swaps them under live traffic.
//! - [`app`] makes the HTTP service of it, one module per endpoint in `api/`.
//! - [`Access`] knows the keys; a [`Ledger`] counts what each of them uses.
//! - A [`ResponseCache`] keeps answers for identical requests.
//! - [`Watch`] sees the traffic: for `/metrics`, the live page `/ui`, and the sinks of records.
//! - [`Server`] serves on a socket within [`Limits`] until it is told to stop, and then drains.

mod access;
mod api;
mod app;
mod cache;
mod context;
mod serving;
mod shared_state;
mod watch;

pub use self::access::{
    Access, BudgetPeriod, Claim, KeyHash, KeyLimits, Ledger, LocalLedger, Refusal, SharedLedger, Used,
    VirtualKey, WrongKeyHash,
};
pub use self::api::app;
pub use self::app::{App, Serving};
#[cfg(feature = "redis")]
pub use self::cache::SharedCache;
pub use self::cache::{CacheKey, CachedAnswer, MemoryCache, ResponseCache};
pub use self::serving::{Limits, Server};
pub use self::watch::Watch;
