//! Stores on real servers: `redis-server` from the path, which `cargo xtask test` installs where it is missing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]
#![expect(clippy::print_stdout, reason = "what was measured is worth a line")]

mod away;
mod cache;
mod conformance;
mod many;
mod peer;
mod server;
mod stores;
mod strict;
mod topologies;
