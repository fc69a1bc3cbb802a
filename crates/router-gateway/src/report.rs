//! `llm-router report`.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use router_telemetry::{CallRecord, Label, Prices, RecordSource, ReportSettings, Tally, Verdict};

use crate::progress::Progress;

pub(crate) const HELP: &str = "\
It reads what the sink `sqlite` or `jsonl` wrote: callbacks: [sqlite] in litellm_settings, or `serve --records calls.db`.

  llm-router report --db calls.db --since 7d --baseline gpt-4o
  llm-router report --db calls.db --format html > report.html
  llm-router report --db calls.db sample --count 20      # escalated requests that nobody has judged yet
  llm-router report --db calls.db label 8d9f2c01aa7be410 hard";

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// An SQLite database that a sink wrote.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "jsonl")]
    db: Option<PathBuf>,

    /// A file of JSON lines that a sink wrote.
    #[arg(long, global = true, value_name = "FILE")]
    jsonl: Option<PathBuf>,

    /// How far back to look, such as 30m, 24h or 7d.
    #[arg(long, global = true, default_value = "7d", value_parser = span, value_name = "TIME")]
    since: Duration,

    /// The model that all requests are compared with.
    #[arg(long, default_value = "gpt-4o", value_name = "MODEL")]
    baseline: String,

    /// The pool to which hard requests are escalated; the dearest by the request when not said.
    #[arg(long, global = true, value_name = "POOL")]
    escalated: Option<String>,

    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For a terminal.
    Table,
    /// For programs.
    Json,
    /// One page with charts, which loads nothing from elsewhere.
    Html,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show escalated requests that nobody has judged yet, a JSON object a line.
    Sample {
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "NUMBER")]
        count: usize,
    },
    /// Say whether an escalated request was hard, or the classification wrong.
    Label {
        /// The request's id.
        id: String,
        /// What it was.
        verdict: Judgement,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Judgement {
    /// It was hard, and belonged where it went.
    Hard,
    /// It was not: the classification was wrong.
    Wrong,
}

pub(crate) fn run(args: ReportArgs) -> anyhow::Result<()> {
    let source = match (args.db, args.jsonl) {
        (Some(path), _) => RecordSource::Sqlite(path),
        (None, Some(path)) => RecordSource::JsonLines(path),
        (None, None) => bail!("say where the records are: --db FILE, or --jsonl FILE"),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since_ms = u64::try_from(now.saturating_sub(args.since).as_millis()).unwrap_or_default();
    match args.command {
        Some(Command::Sample { count }) => sample(&source, since_ms, args.escalated, count),
        Some(Command::Label { id, verdict }) => {
            let verdict = match verdict {
                Judgement::Hard => Verdict::Hard,
                Judgement::Wrong => Verdict::Wrong,
            };
            Ok(source.label(&Label { id, verdict })?)
        }
        None => {
            let (provider, model) = args.baseline.split_once('/').unwrap_or_else(|| {
                (if args.baseline.starts_with("claude-") { "anthropic" } else { "openai" }, &args.baseline)
            });
            let card = Prices::built_in().card(provider, model).with_context(|| {
                format!("--baseline {}: the price table does not know it; `llm-router prices list` shows what it knows", args.baseline)
            })?;
            let mut settings = ReportSettings::default();
            settings.baseline = Some((args.baseline.clone(), card));
            settings.escalated = args.escalated;
            let mut tally = Tally::new(settings, source.labels()?);
            let progress = Progress::start("records");
            source.read(since_ms, |record| {
                progress.one_more();
                tally.add(&record);
            })?;
            drop(progress);
            let report = tally.finish();
            let mut out = std::io::stdout().lock();
            match args.format {
                Format::Table => write!(out, "{report}")?,
                Format::Html => write!(out, "{}", report.html())?,
                Format::Json => {
                    serde_json::to_writer_pretty(&mut out, &report)?;
                    writeln!(out)?;
                }
            }
            Ok(out.flush()?)
        }
    }
}

/// Shows escalated requests, evenly spread over the time.
fn sample(
    source: &RecordSource,
    since_ms: u64,
    escalated: Option<String>,
    count: usize,
) -> anyhow::Result<()> {
    let labels = source.labels()?;
    let mut settings = ReportSettings::default();
    settings.escalated = escalated;
    let mut tally = Tally::new(settings, labels.clone());
    let mut open: Vec<CallRecord> = Vec::new();
    let progress = Progress::start("records");
    source.read(since_ms, |record| {
        progress.one_more();
        tally.add(&record);
        if labels.of(&record.id).is_none() {
            open.push(record);
        }
    })?;
    drop(progress);
    let pool = tally
        .finish()
        .escalated
        .context("there is one pool only, so nothing is escalated: name it with --escalated")?;
    open.retain(|record| record.pool == pool);
    let step = open.len().div_ceil(count.max(1)).max(1);
    let mut out = std::io::stdout().lock();
    for record in open.iter().step_by(step) {
        serde_json::to_writer(&mut out, record)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// Reads a span such as `7d`.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 30m, 24h or 7d, found `{text}`");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}
