//! Whole-system tests.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod accounts;
mod auto;
mod bad_input;
mod config;
mod embeddings;
mod engine;
mod gateway;
mod live;
mod recorded_costs;
mod router_settings;
mod scenarios;
mod secrets;
mod sharing;
