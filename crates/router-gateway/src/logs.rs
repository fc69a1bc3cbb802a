//! Logs: for people on a terminal, JSON lines elsewhere. They go to stderr.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) fn init(levels: &str) -> anyhow::Result<()> {
    // A bare word that is no level would be taken for the name of a target.
    let words = levels.split(',').filter(|word| !word.contains('='));
    for word in words {
        word.parse::<LevelFilter>().ok().with_context(|| {
            format!("--log {levels}: expected off, error, warn, info, debug or trace, found `{word}`")
        })?;
    }
    let filter: Targets = levels
        .parse()
        .with_context(|| format!("--log {levels}: expected levels such as `info,router_core=debug`"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if std::io::stderr().is_terminal() { layer.boxed() } else { layer.json().boxed() };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().context("logs cannot be set up")
}
