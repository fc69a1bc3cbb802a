//! `llm-router complete`.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use futures_util::StreamExt;
use llm_router::{ChatRequest, ConfigFile, RouteReport, Router, Usage};
use serde_json::json;

use crate::progress::Progress;
use crate::sources::Source;

pub(crate) const HELP: &str = "\
The answer goes to stdout while it arrives, who gave it after what goes to stderr.

  llm-router complete \"What is a monad?\"
  llm-router complete --config config.yaml --model capable --system \"Be brief.\" \"What is a monad?\"
  git diff | llm-router complete --system \"Write a commit message.\" -

Without --config, the pools are those of `serve` without --config: see `llm-router serve --help`.";

#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// What to ask; `-` reads it from stdin.
    prompt: String,

    /// A LiteLLM-style config.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The alias to call; without it the first one of the config.
    #[arg(long, short, value_name = "ALIAS")]
    model: Option<String>,

    /// Instructions for the model.
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,

    /// Wait for the whole answer instead of showing it while it arrives.
    #[arg(long)]
    no_stream: bool,
}

pub(crate) async fn run(args: CompleteArgs) -> anyhow::Result<()> {
    // The simulated providers live as long as the answer takes.
    let (router, _mock) = match &args.config {
        Some(path) => (ConfigFile::read(path)?.into_builder().build()?, None),
        None => {
            let Source { builder, origin, mock } = Source::without_file().await?;
            note(&format!("models {origin}"));
            (builder.build()?, mock)
        }
    };
    let request = request(&args, &router)?;
    let began = Instant::now();
    let answered =
        if args.no_stream { whole(&router, &request).await } else { streamed(&router, &request).await };
    answered.map(|summary| note(&format!("{summary}, {:.1} s", began.elapsed().as_secs_f64())))
}

fn request(args: &CompleteArgs, router: &Router) -> anyhow::Result<ChatRequest> {
    let prompt = if args.prompt == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin cannot be read as text")?;
        text
    } else {
        args.prompt.clone()
    };
    ensure!(!prompt.trim().is_empty(), "there is nothing to ask: the prompt is empty");
    let model = match &args.model {
        Some(model) => model.clone(),
        None => router.aliases().first().context("the config has no model to call")?.to_string(),
    };
    let system = args.system.as_ref().map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<_> = system.into_iter().chain([json!({"role": "user", "content": prompt})]).collect();
    Ok(ChatRequest::from_json(json!({"model": model, "messages": messages}).to_string())?)
}

async fn whole(router: &Router, request: &ChatRequest) -> anyhow::Result<String> {
    let waiting = Progress::start("waiting for the answer");
    let completion = router.completion(request).await.map_err(explained)?;
    drop(waiting);
    writeln!(std::io::stdout(), "{}", completion.reply.text().unwrap_or_default())
        .context("stdout is closed")?;
    Ok(summary(&completion.report))
}

async fn streamed(router: &Router, request: &ChatRequest) -> anyhow::Result<String> {
    let waiting = Progress::start("waiting for the first word");
    let mut stream = router.stream(request).await.map_err(explained)?;
    drop(waiting);
    let mut cut = None;
    while let Some(chunk) = stream.next().await {
        let text = match chunk {
            Ok(chunk) => chunk.text().unwrap_or_default(),
            Err(error) => {
                cut = Some(error);
                break;
            }
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("stdout is closed")?;
    }
    writeln!(std::io::stdout()).context("stdout is closed")?;
    match cut {
        Some(error) => Err(anyhow::Error::new(error).context("the answer was cut")),
        None => Ok(summary(stream.continuation().unwrap_or_else(|| stream.report()))),
    }
}

/// The error, and who was asked before.
fn explained(error: llm_router::RouteError) -> anyhow::Error {
    let trail = error.report().map(trail).unwrap_or_default();
    let error = anyhow::Error::new(error);
    if trail.is_empty() { error } else { error.context(format!("asked {trail}")) }
}

fn trail(report: &RouteReport) -> String {
    let words = report.attempts.iter().map(|attempt| match &attempt.error {
        None => attempt.deployment.to_string(),
        Some(error) => format!("{} ({})", attempt.deployment, error.kind),
    });
    words.collect::<Vec<_>>().join(", then ")
}

/// `fast:gpt-4o-mini, 12 + 40 tokens, $0.000026`.
fn summary(report: &RouteReport) -> String {
    let mut line = trail(report);
    if let Some(Usage { prompt, completion, .. }) = report.attempts.last().and_then(|attempt| attempt.usage) {
        // Writing to a String never fails.
        let _ = write!(line, ", {prompt} + {completion} tokens");
    }
    if let Some(cost) = report.cost() {
        let _ = write!(line, ", ${cost}");
    }
    line
}

fn note(line: &str) {
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
