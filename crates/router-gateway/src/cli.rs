//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::classifier::ClassifierCommand;
use crate::classify::{self, ClassifyArgs};
use crate::complete::{self, CompleteArgs};
use crate::completions::{self, CompletionsArgs};
use crate::prices::PricesCommand;
use crate::report::{self, ReportArgs};
use crate::schema;

/// Routes LLM requests over pools of deployments, behind an OpenAI-compatible API.
#[derive(Debug, Parser)]
#[command(name = "llm-router", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to log: a level (`info`), or levels by target (`info,router_telemetry=debug`).
    #[arg(long, global = true, default_value = "info", value_name = "LEVELS")]
    pub(crate) log: String,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the OpenAI API over the pools of a config file.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Ask once, on the terminal, as the gateway would.
    #[command(after_help = complete::HELP)]
    Complete(CompleteArgs),
    /// Say what a careful reader would say about a config file.
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Simulate an OpenAI and Anthropic provider, to rehearse failures with.
    #[command(after_help = MOCK_HELP)]
    Mock(MockArgs),
    /// Say whether routing works: where requests go, how often they fall back, what that saves, whether the hard ones were.
    #[command(after_help = report::HELP)]
    Report(ReportArgs),
    /// What models charge.
    #[command(subcommand)]
    Prices(PricesCommand),
    /// Say what queries are about and how hard they are.
    #[command(after_help = classify::HELP)]
    Classify(ClassifyArgs),
    /// Make models for labels of your own, and measure how good they are.
    #[command(subcommand)]
    Classifier(ClassifierCommand),
    /// Print a JSON schema of config files, for editors.
    #[command(after_help = schema::HELP)]
    Schema,
    /// Print the completions of a shell.
    #[command(after_help = completions::HELP)]
    Completions(CompletionsArgs),
}

const SERVE_HELP: &str = "\
Without --config, the pools `fast` and `capable` are made of the providers whose keys are in the environment \
(OPENAI_API_KEY, ANTHROPIC_API_KEY). Without keys either, built-in simulated providers answer.

  llm-router serve --config config.yaml
  curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \\
    -d '{\"model\": \"fast\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'";

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A LiteLLM-style config.yaml.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,

    /// The port to listen on; 0 takes a free one.
    #[arg(long, short, default_value_t = 4000)]
    pub(crate) port: u16,

    /// How long requests under way may take to end after SIGTERM, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) drain: u64,

    /// Keep an account of each request in this file, for `report`: JSON lines when it ends with .jsonl, else an SQLite database.
    #[arg(long, value_name = "FILE")]
    pub(crate) records: Option<PathBuf>,
}

const CHECK_HELP: &str = "\
Ends with 0 when there is no error, with 1 when there is one, with 2 when the file cannot be read. Warnings are no errors: the \
config works, but hardly as meant. Variables that the config names have to be set, as for `serve`.";

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A LiteLLM-style config.yaml.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// How to show the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// A line each, for people.
    Text,
    /// One JSON list, for programs.
    Json,
}

const MOCK_HELP: &str = "\
It answers as OpenAI at http://127.0.0.1:PORT/v1 and as Anthropic at http://127.0.0.1:PORT; put these into `api_base`. \
Paths that begin with a name are upstreams of their own, each with its own behaviour: http://127.0.0.1:PORT/primary/v1.

Make one misbehave while it runs:

  llm-router mock --port 4100
  curl -X PUT http://127.0.0.1:4100/mock/upstreams/primary -H 'content-type: application/json' \\
    -d '{\"latency_ms\": 200, \"fault\": {\"kind\": \"status\", \"code\": 503}, \"fault_rate\": 0.3}'
  curl http://127.0.0.1:4100/mock/upstreams";

#[derive(Debug, Args)]
pub(crate) struct MockArgs {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, short, default_value_t = 4100)]
    pub(crate) port: u16,

    /// How the upstream without a name behaves at first, as JSON; see docs/mock.md for the fields.
    #[arg(long, value_name = "JSON")]
    pub(crate) behaviour: Option<String>,
}
