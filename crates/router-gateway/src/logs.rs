//! Logs: for people on a terminal, JSON lines elsewhere. They go to stderr.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) fn init(levels: &str) -> anyhow::Result<()> {
    let filter: Targets =
        levels.parse().with_context(|| format!("--log {levels}: expected a level such as `info`"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if std::io::stderr().is_terminal() { layer.boxed() } else { layer.json().boxed() };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().context("logs cannot be set up")
}
