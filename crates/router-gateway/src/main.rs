//! The `llm-router` binary.

mod check;
mod classifier;
mod classify;
mod cli;
mod complete;
mod completions;
mod logs;
mod mock;
mod prices;
mod progress;
mod reload;
mod report;
mod schema;
mod serve;
mod sinks;
mod sources;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use llm_router::{BuildError, ConfigFileError, FromFileError};

use crate::cli::{Cli, Command};

/// The configuration is wrong; nothing was started.
const EXIT_CONFIG: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logs::init(&cli.log) {
        return fail(&error);
    }
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::run(&args),
        Command::Report(args) => report::run(args).map(|()| ExitCode::SUCCESS),
        Command::Classify(args) => classify::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Classifier(command) => classifier::run(command).await.map(|()| ExitCode::SUCCESS),
        Command::Prices(command) => prices::run(command).map(|()| ExitCode::SUCCESS),
        Command::Complete(args) => complete::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Schema => schema::run().map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => completions::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Mock(args) => mock::run(args).await.map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let is_config = error.downcast_ref::<ConfigFileError>().is_some()
        || error.downcast_ref::<BuildError>().is_some()
        || error.downcast_ref::<FromFileError>().is_some();
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::from(if is_config { EXIT_CONFIG } else { 1 })
}
