//! Lets routers share what they learn about deployments.
//!
//! [`MemoryStore`] connects the routers of one process, for example one per tenant over the same provider accounts: what cools
//! in one gets no traffic from the others. A store that reaches other processes implements the same port,
//! [`router_core::StateStore`].

mod memory;

pub use self::memory::MemoryStore;
