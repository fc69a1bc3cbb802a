//! Where the pools come from when there is no config file.

use anyhow::Context;
use llm_router::{Deployment, Router, RouterBuilder};
use router_mock::MockServer;

/// Pools that no file describes.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) builder: RouterBuilder,
    /// Where they come from, in words.
    pub(crate) origin: String,
    /// The simulated providers behind them, which live as long as this.
    pub(crate) mock: Option<MockServer>,
}

impl Source {
    /// Makes `fast` and `capable` of the providers whose keys are in the environment; without any, of simulated ones.
    pub(crate) async fn without_file() -> anyhow::Result<Self> {
        if let Some((builder, keys)) = from_environment() {
            return Ok(Self {
                builder,
                origin: format!("from the environment ({})", keys.join(", ")),
                mock: None,
            });
        }
        let server =
            MockServer::start("127.0.0.1:0").await.context("the simulated providers cannot start")?;
        let origin = "SIMULATED: no --config and no provider key, so the answers are made up".to_owned();
        Ok(Self { builder: simulated(&server), origin, mock: Some(server) })
    }
}

/// A model of each tier per provider, and the variable that holds the provider's key.
const PROVIDERS: [Tiers; 2] = [
    Tiers { key: "OPENAI_API_KEY", fast: "openai/gpt-4o-mini", capable: "openai/gpt-4o" },
    Tiers {
        key: "ANTHROPIC_API_KEY",
        fast: "anthropic/claude-haiku-4-5-20251001",
        capable: "anthropic/claude-sonnet-4-6",
    },
];

struct Tiers {
    key: &'static str,
    fast: &'static str,
    capable: &'static str,
}

/// Makes `fast` and `capable` of the providers whose keys are in the environment; `None` when there are none. Also returns the
/// names of the variables used.
fn from_environment() -> Option<(RouterBuilder, Vec<&'static str>)> {
    let is_set = |provider: &&Tiers| std::env::var(provider.key).is_ok_and(|key| !key.is_empty());
    let providers: Vec<&Tiers> = PROVIDERS.iter().filter(is_set).collect();
    if providers.is_empty() {
        return None;
    }
    let builder = providers.iter().fold(Router::builder(), |builder, provider| {
        builder
            .deployment(Deployment::new("fast", provider.fast))
            .deployment(Deployment::new("capable", provider.capable))
    });
    Some((with_mutual_fallback(builder), providers.iter().map(|provider| provider.key).collect()))
}

/// Makes the same pools of simulated providers.
fn simulated(mock: &MockServer) -> RouterBuilder {
    let openai = mock.upstream("openai").openai_base();
    let anthropic = mock.upstream("anthropic").anthropic_base();
    let [open, claude] = &PROVIDERS;
    let builder = Router::builder()
        .deployment(Deployment::new("fast", open.fast).api_base(&openai))
        .deployment(Deployment::new("fast", claude.fast).api_base(&anthropic))
        .deployment(Deployment::new("capable", open.capable).api_base(&openai))
        .deployment(Deployment::new("capable", claude.capable).api_base(&anthropic));
    with_mutual_fallback(builder)
}

fn with_mutual_fallback(builder: RouterBuilder) -> RouterBuilder {
    builder.fallbacks("fast", ["capable"]).fallbacks("capable", ["fast"])
}
