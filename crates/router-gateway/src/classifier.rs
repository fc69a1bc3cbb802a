//! `llm-router classifier`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures_util::{StreamExt, stream};
use router_classify::evaluate::{ComplexityEvaluation, Outcome, Prediction, TaskEvaluation};
use router_classify::{ComplexityModel, Labelled, read_examples, train};
use router_telemetry::{RecordSource, ReportSettings, Tally};
use serde::Deserialize;

use crate::classify::{Judge, JudgeArgs};
use crate::progress::Progress;

#[derive(Debug, Subcommand)]
pub(crate) enum ClassifierCommand {
    /// Make a model that tells labels of your own apart.
    #[command(after_help = TRAIN_HELP)]
    Train(TrainArgs),
    /// Measure a classifier on queries whose label is known, or on prompts whose outcomes are.
    #[command(after_help = EVAL_HELP)]
    Eval(EvalArgs),
}

const TRAIN_HELP: &str = "\
Ten to fifty examples of each label are enough to begin with. How good the model is on examples it has not learned from is printed, too.

  llm-router classifier train --data examples.jsonl --out classifier.model     # {\"text\": ..., \"label\": ...} lines
  llm-router classify --model classifier.model \"Where is my parcel?\"

In a config: router_settings.classifier.model_file, or the examples themselves under `examples`.";

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// JSON lines {"text": ..., "label": ...}.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Where the model goes.
    #[arg(long, value_name = "FILE", default_value = "classifier.model")]
    out: PathBuf,
}

const EVAL_HELP: &str = "\
Lines {\"text\": ..., \"label\": ...} give accuracy, macro-F1, the confusion matrix, whether confidence can be believed, and how much is \
decided here at each threshold. Lines {\"prompt\": ..., \"strong\": 0 or 1, \"weak\": 0 or 1} give what routing by complexity gains: APGR, \
and the share of calls to the strong model that recovers half and four fifths of the gap. --records gives escalation accuracy: of the \
requests that went to the stronger pool and that somebody judged (`llm-router report ... label`), the share that was hard.

  llm-router classifier eval --data labelled.jsonl --model classifier.model
  llm-router classifier eval --data outcomes.jsonl
  llm-router classifier eval --records calls.db --escalated capable";

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// JSON lines with what is true.
    #[arg(long, value_name = "FILE", required_unless_present = "records")]
    data: Option<PathBuf>,

    #[command(flatten)]
    judge: JudgeArgs,

    /// Records that a sink wrote: JSON lines when the name ends with .jsonl, else an SQLite database.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    records: Option<PathBuf>,

    /// The pool to which hard requests are escalated; the dearest by the request when not said.
    #[arg(long, value_name = "POOL", requires = "records")]
    escalated: Option<String>,
}

pub(crate) async fn run(command: ClassifierCommand) -> anyhow::Result<()> {
    match command {
        ClassifierCommand::Train(args) => make(&args),
        ClassifierCommand::Eval(EvalArgs { data: Some(data), judge, .. }) => measure(&data, judge).await,
        ClassifierCommand::Eval(EvalArgs { records: Some(records), escalated, .. }) => {
            escalation(&records, escalated)
        }
        ClassifierCommand::Eval(EvalArgs { .. }) => {
            bail!("say what to measure: --data FILE, or --records FILE")
        }
    }
}

fn make(args: &TrainArgs) -> anyhow::Result<()> {
    let examples = read_examples(&read(&args.data)?).with_context(|| args.data.display().to_string())?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for example in &examples {
        *counts.entry(&example.label).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(label, count)| format!("{label} {count}")).collect();
    let progress = Progress::start(format!("learning from {} examples", examples.len()));
    let (model, held_out) = train(&examples).with_context(|| args.data.display().to_string())?;
    drop(progress);
    let bytes = model.to_bytes();
    std::fs::write(&args.out, &bytes).with_context(|| format!("{} cannot be written", args.out.display()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "examples: {}\n", counts.join(", "))?;
    writeln!(out, "On examples that were left out of learning, a fifth at a time:\n\n{held_out}")?;
    writeln!(out, "{} bytes: {}", bytes.len(), args.out.display())?;
    Ok(out.flush()?)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// A prompt, and whether a strong and a weak model answered it rightly.
#[derive(Debug, Deserialize)]
struct Graded {
    #[serde(alias = "text")]
    prompt: String,
    strong: f64,
    weak: f64,
}

async fn measure(path: &Path, judge: JudgeArgs) -> anyhow::Result<()> {
    let text = read(path)?;
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .with_context(|| format!("{} is empty", path.display()))?;
    // What is neither is read as a labelled query, and the error says what one is.
    if serde_json::from_str::<Graded>(first).is_ok() {
        complexity(path, &text)
    } else {
        let labelled = read_examples(&text).with_context(|| {
            format!("{} (or {{\"prompt\": ..., \"strong\": ..., \"weak\": ...}} lines)", path.display())
        })?;
        tasks(labelled, &judge.judge()?).await
    }
}

async fn tasks(labelled: Vec<Labelled>, judge: &Judge) -> anyhow::Result<()> {
    let progress = Progress::start("queries");
    let one = async |query: Labelled| -> anyhow::Result<Prediction> {
        let said = judge.say(&query.text).await?;
        progress.one_more();
        Ok(Prediction { truth: query.label, label: said.label.to_string(), confidence: said.confidence })
    };
    let all: Vec<_> = stream::iter(labelled).map(one).buffered(judge.at_a_time()).collect().await;
    let predictions = all.into_iter().collect::<anyhow::Result<Vec<Prediction>>>()?;
    drop(progress);
    let mut out = std::io::stdout().lock();
    write!(out, "{}", TaskEvaluation::new(&predictions))?;
    Ok(out.flush()?)
}

fn complexity(path: &Path, text: &str) -> anyhow::Result<()> {
    let model = ComplexityModel::shipped().context("the library was built without its model")?;
    let progress = Progress::start("prompts");
    let mut by_model = Vec::new();
    let mut by_length = Vec::new();
    for (line, number) in text.lines().zip(1_u64..).filter(|(line, _)| !line.trim().is_empty()) {
        let Graded { prompt, strong, weak } = serde_json::from_str(line).with_context(|| {
            format!(
                "{}: line {number}: expected {{\"prompt\": ..., \"strong\": ..., \"weak\": ...}}",
                path.display()
            )
        })?;
        let outcome = |score: f64| Outcome { score, strong, weak };
        by_model.push(outcome(model.score(&prompt).into()));
        #[expect(clippy::cast_precision_loss, reason = "a length")]
        by_length.push(outcome(prompt.len() as f64));
        progress.one_more();
    }
    let missing = "the strong model is no better than the weak one here: there is no gap to recover";
    let rows = [("shipped model", by_model), ("length of the prompt", by_length)];
    let rows = rows.map(|(name, outcomes)| (name, ComplexityEvaluation::new(&outcomes)));
    drop(progress);
    let mut out = std::io::stdout().lock();
    for (name, evaluation) in rows {
        writeln!(out, "{name:<22} {}", evaluation.context(missing)?)?;
    }
    writeln!(out, "{:<22} APGR 0.5, by definition", "random")?;
    writeln!(
        out,
        "\nIn brackets 95 % of 1,000 bootstrap samples. What a model has learned from says nothing about it: for the data that"
    )?;
    writeln!(out, "is shipped with llm-router, docs/classifier.md has the cross-validated figures.")?;
    Ok(out.flush()?)
}

fn escalation(path: &Path, escalated: Option<String>) -> anyhow::Result<()> {
    let source = match path.extension() {
        Some(extension) if extension == "jsonl" => RecordSource::JsonLines(path.to_path_buf()),
        _ => RecordSource::Sqlite(path.to_path_buf()),
    };
    let mut settings = ReportSettings::default();
    settings.escalated = escalated;
    let progress = Progress::start("records");
    let mut tally = Tally::new(settings, source.labels()?);
    source.read(0, |record| {
        tally.add(&record);
        progress.one_more();
    })?;
    drop(progress);
    let report = tally.finish();
    let pool = report
        .escalated
        .context("there is one pool only, so nothing is escalated: name it with --escalated")?;
    let Some(accuracy) = report.escalation_accuracy else {
        bail!(
            "nobody has judged a request to `{pool}` yet: `llm-router report ... sample` shows some, `llm-router report ... label ID hard` \
             or `wrong` judges one"
        );
    };
    let share = report.pools.iter().find(|known| known.pool == pool).map_or(0.0, |pool| pool.share);
    let mut out = std::io::stdout().lock();
    writeln!(out, "requests             {}", report.calls)?;
    writeln!(out, "escalated            {:.1} %, to {pool}", share * 100.0)?;
    writeln!(out, "labelled             {}", report.labelled)?;
    writeln!(out, "escalation accuracy  {accuracy:.3}")?;
    Ok(out.flush()?)
}
