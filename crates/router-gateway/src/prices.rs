//! `llm-router prices`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use router_telemetry::Prices;

#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// Make a price file of a newer `model_prices_and_context_window.json` of LiteLLM's, or of one's own prices in that form.
    Update {
        /// The file to read.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The file to write.
        #[arg(long, default_value = "model-prices.json", value_name = "FILE")]
        to: PathBuf,
    },
    /// Show the models that the built-in table knows.
    List {
        /// Only those whose name contains this.
        text: Option<String>,
    },
}

pub(crate) fn run(command: PricesCommand) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match command {
        PricesCommand::Update { from, to } => {
            let json = std::fs::read_to_string(&from).with_context(|| from.display().to_string())?;
            let (table, count) = Prices::normalized(&json).with_context(|| from.display().to_string())?;
            std::fs::write(&to, table).with_context(|| to.display().to_string())?;
            writeln!(out, "{count} models written to {}", to.display())?;
            writeln!(out, "use it: `model_prices: {}` in the config's litellm_settings", to.display())?;
        }
        PricesCommand::List { text } => {
            let text = text.unwrap_or_default();
            for model in Prices::built_in().models().filter(|model| model.contains(&text)) {
                writeln!(out, "{model}")?;
            }
        }
    }
    Ok(out.flush()?)
}
