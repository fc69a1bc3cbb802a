//! Several gateways on one Redis: the binary, real sockets, a real server, simulated providers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop at the first surprise; the figures are for people"
)]

mod cooldowns;
mod limits;
mod outage;
#[path = "../../../router-state/tests/redis/server.rs"]
#[expect(dead_code, reason = "other tests do more with it")]
mod server;
mod world;

/// One test at a time: the figures are of one world alone.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
