//! What CI and contributors run. `cargo xtask --help` lists it.

mod cargo;
mod classifier;
mod clients;
mod fuzz;
mod needs;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cargo::cargo;

/// Tests, checks and benches of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Xtask {
    /// Run every test: units, properties, documentation examples, whole-system tests.
    Test {
        /// Run real clients against the gateway instead: OpenAI's and Anthropic's SDKs, the Vercel AI SDK, LangChain.
        #[arg(long)]
        clients: bool,
        /// Further arguments for `cargo test`, such as the name of a test.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run what CI runs: formatting, lints, documentation, tests, real clients.
    Ci,
    /// Simulate ten million requests on a virtual clock and check what came of them.
    Simulate,
    /// Make the classifier's shipped models from the data that lies with them.
    TrainClassifier,
    /// Print every number that docs/classifier.md states.
    EvaluateClassifier,
    /// Call a real service a few times, when its key is in the environment.
    Live {
        /// `--provider NAME`, and perhaps `--model`, `--embedding-model`, `--api-base`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Fuzz the decoders and error mappers of the wire formats.
    Fuzz {
        /// One of the folders in `crates/router-providers/fuzz/corpus`; all of them in turn when left out.
        #[arg(long)]
        target: Option<String>,
        /// How long, for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Kill Redis under eight gateways, over and over; the tests do it once.
    Soak {
        /// How often. Each takes some twelve seconds.
        #[arg(long, default_value_t = 50)]
        rounds: u32,
    },
    /// Run the benchmarks.
    Bench {
        #[command(subcommand)]
        bench: Option<Bench>,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// One routing decision over pools of 2 to 1,000 deployments.
    Decision,
    /// `router.completion` against the same call by bare reqwest.
    Overhead,
    /// Requests and replies translated between the canonical shape and each provider's.
    Translate,
    /// What sharing state costs on the hot path, and how many commands it sends to Redis.
    State,
}

fn main() -> Result<()> {
    match Xtask::parse() {
        Xtask::Test { clients: true, .. } => clients::test(),
        Xtask::Test { clients: false, arguments } => test(&arguments),
        Xtask::Ci => ci(),
        Xtask::Simulate => cargo("run --release -p system-tests --example ten_million").run(),
        Xtask::TrainClassifier => classifier::train(),
        Xtask::EvaluateClassifier => classifier::evaluate(),
        Xtask::Live { arguments } => cargo("run -q -p system-tests --example live --").args(&arguments).run(),
        Xtask::Fuzz { target, seconds } => fuzz::fuzz(target.as_deref(), seconds),
        Xtask::Soak { rounds } => {
            needs::find_or_install(&needs::FOR_TESTS)?;
            cargo("test -p router-gateway --test processes -- outage --nocapture")
                .env("LLM_ROUTER_SOAK_ROUNDS", &rounds.to_string())
                .run()
        }
        Xtask::Bench { bench } => match bench {
            Some(Bench::Decision) => decision(),
            Some(Bench::Overhead) => overhead(),
            Some(Bench::Translate) => translate(),
            Some(Bench::State) => state(),
            None => {
                decision()?;
                overhead()?;
                translate()?;
                state()
            }
        },
    }
}

fn test(arguments: &[String]) -> Result<()> {
    needs::find_or_install(&needs::FOR_TESTS)?;
    // With it a test fails where something it needs is missing, instead of passing it over.
    cargo("test --workspace --all-features").args(arguments).env("LLM_ROUTER_NEEDS", "1").run()
}

fn ci() -> Result<()> {
    needs::find_or_install(&needs::FOR_TESTS)?;
    cargo("fmt --all --check").run()?;
    cargo("clippy --workspace --all-targets --all-features -- -D warnings").run()?;
    cargo("doc --workspace --all-features --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()?;
    cargo("test -p llm-router --no-default-features --lib a_configuration_that_needs_redis").run()?;
    cargo("xtask test").run()?;
    clients::test()
}

fn decision() -> Result<()> {
    cargo("bench -p router-core --bench decision").run()
}

fn overhead() -> Result<()> {
    cargo("bench -p llm-router --bench overhead").run()
}

fn state() -> Result<()> {
    needs::find_or_install(&needs::FOR_TESTS)?;
    cargo("bench -p router-state --features redis --bench state").run()
}

fn translate() -> Result<()> {
    cargo("bench -p router-providers --features wire-format,bedrock --bench translate").run()
}
