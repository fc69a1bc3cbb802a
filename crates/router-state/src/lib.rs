//! Lets routers share what they learn about deployments.
//!
//! [`MemoryStore`] connects the routers of one process, for example one per tenant over the same provider accounts: what cools
//! in one gets no traffic from the others. [`RedisStore`] (feature `redis`) connects processes, and `RedisCache`
//! keeps values for all of them. Both stores implement
//! [`router_core::StateStore`]; one suite, `tests/conformance.rs`, holds for both.

mod account;
mod latencies;
mod memory;
#[cfg(feature = "redis")]
mod redis;

pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::{RedisAddress, RedisCache, RedisCacheStatus, RedisError, RedisStatus, RedisStore};
