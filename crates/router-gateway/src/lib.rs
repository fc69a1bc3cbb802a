//! An OpenAI-compatible gateway over [`llm_router`].
//!
//! The binary `llm-router` is a thin shell around this library: [`app`] makes the HTTP service of a router, [`Server`] serves
//! it until it is told to stop and then drains.

mod api;
mod server;

pub use self::api::{App, app};
pub use self::server::Server;
