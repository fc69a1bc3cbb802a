//! What CI and contributors run. `cargo xtask --help` lists it.

mod cargo;
mod classifier;
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
        /// Further arguments for `cargo test`, such as the name of a test.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run what CI runs: formatting, lints, documentation, tests.
    Ci,
    /// Simulate ten million requests on a virtual clock and check what came of them.
    Simulate,
    /// Make the classifier's shipped models from the data that lies with them.
    TrainClassifier,
    /// Print every number that docs/classifier.md states.
    EvaluateClassifier,
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
}

fn main() -> Result<()> {
    match Xtask::parse() {
        Xtask::Test { arguments } => test(&arguments),
        Xtask::Ci => ci(),
        Xtask::Simulate => cargo("run --release -p system-tests --example ten_million").run(),
        Xtask::TrainClassifier => classifier::train(),
        Xtask::EvaluateClassifier => classifier::evaluate(),
        Xtask::Bench { bench } => match bench {
            Some(Bench::Decision) => decision(),
            Some(Bench::Overhead) => overhead(),
            None => {
                decision()?;
                overhead()
            }
        },
    }
}

fn test(arguments: &[String]) -> Result<()> {
    needs::find_or_install()?;
    cargo("test --workspace --all-features").args(arguments).run()
}

fn ci() -> Result<()> {
    needs::find_or_install()?;
    cargo("fmt --all --check").run()?;
    cargo("clippy --workspace --all-targets --all-features -- -D warnings").run()?;
    cargo("doc --workspace --all-features --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()?;
    cargo("xtask test").run()
}

fn decision() -> Result<()> {
    cargo("bench -p router-core --bench decision").run()
}

fn overhead() -> Result<()> {
    cargo("bench -p llm-router --bench overhead").run()
}
