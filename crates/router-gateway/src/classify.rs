//! `llm-router classify`.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use futures_util::{StreamExt, stream};
use llm_router::{ChatRequest, Classification, ConfigFile, Query, Router, TaskClassifier, TaskModel};
use router_classify::QueryLine;
use serde::Serialize;

use crate::progress::Progress;

pub(crate) const HELP: &str = "\
Nobody is asked unless --llm says so: the layers that are on this machine decide.

  llm-router classify \"What is 15% of 80?\"
  llm-router classify --jsonl < queries.jsonl          # {\"text\": ...} lines in; label, confidence, layer, complexity out
  llm-router classify --config config.yaml --llm \"and in French?\"";

#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// The query.
    #[arg(required_unless_present = "jsonl", conflicts_with = "jsonl")]
    text: Option<String>,

    /// Read JSON lines {"text": ...} from standard input, and write a JSON line for each, in the same order.
    #[arg(long)]
    jsonl: bool,

    #[command(flatten)]
    judge: JudgeArgs,
}

/// Who decides.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// Take the classifier of this config.yaml instead of the shipped one.
    #[arg(long, short, value_name = "FILE", conflicts_with = "model")]
    config: Option<PathBuf>,

    /// Take this model, which `llm-router classifier train` made.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Ask the LLM that the config names for what the rest is unsure of.
    #[arg(long, requires = "config")]
    llm: bool,
}

/// A classifier of one's choice.
#[derive(Debug)]
pub(crate) enum Judge {
    Local(Box<TaskClassifier>),
    Configured { router: Router, asks_llm: bool },
}

/// Queries under way at a time where an LLM is asked.
const AT_A_TIME: usize = 16;

impl JudgeArgs {
    pub(crate) fn judge(self) -> anyhow::Result<Judge> {
        let Self { config, model, llm: asks_llm } = self;
        if let Some(path) = config {
            let router = ConfigFile::read(&path)?.into_builder().build()?;
            if router.classify_locally(&ChatRequest::user("auto", "")?).is_none() {
                bail!("{}: there is no `router_settings.classifier`", path.display());
            }
            return Ok(Judge::Configured { router, asks_llm });
        }
        let builder = TaskClassifier::builder();
        let classifier = match model {
            Some(path) => {
                let model =
                    TaskModel::from_file(&path).with_context(|| format!("--model {}", path.display()))?;
                builder.labels(model.labels().to_vec())?.model(model).build()?
            }
            None => builder.labels(["default"])?.build()?,
        };
        Ok(Judge::Local(Box::new(classifier)))
    }
}

impl Judge {
    /// Says what a query is about.
    pub(crate) async fn say(&self, text: &str) -> anyhow::Result<Classification> {
        match self {
            Self::Local(classifier) => Ok(classifier.route(classifier.answer(&Query::new(text)))),
            Self::Configured { router, asks_llm } => {
                let request = ChatRequest::user("auto", text)?;
                let said = if *asks_llm {
                    router.classify(&request).await
                } else {
                    router.classify_locally(&request)
                };
                said.context("there is no classifier")
            }
        }
    }

    /// How many queries are worth to be under way at a time.
    pub(crate) const fn at_a_time(&self) -> usize {
        match self {
            Self::Configured { asks_llm: true, .. } => AT_A_TIME,
            Self::Configured { .. } | Self::Local(_) => 1,
        }
    }
}

/// What is written of a query.
#[derive(Debug, Serialize)]
struct Line<'a> {
    label: &'a str,
    confidence: f64,
    layer: &'static str,
    complexity: Option<f64>,
}

impl<'a> From<&'a Classification> for Line<'a> {
    fn from(said: &'a Classification) -> Self {
        let rounded = |number: f64| (number * 10_000.0).round() / 10_000.0;
        Self {
            label: &said.label,
            confidence: rounded(said.confidence),
            layer: said.layer.name(),
            complexity: said.complexity.map(rounded),
        }
    }
}

pub(crate) async fn run(args: ClassifyArgs) -> anyhow::Result<()> {
    let judge = args.judge.judge()?;
    match args.text {
        Some(text) => show(&judge, &text).await,
        None => lines(&judge).await,
    }
}

async fn show(judge: &Judge, text: &str) -> anyhow::Result<()> {
    if let Judge::Local(_) = judge {
        // The first query reads the models.
        judge.say("").await?;
    }
    let began = Instant::now();
    let said = judge.say(text).await?;
    let took = began.elapsed();
    let mut out = std::io::stdout().lock();
    writeln!(out, "label       {}", said.label)?;
    writeln!(out, "confidence  {:.3}", said.confidence)?;
    writeln!(out, "layer       {}", said.layer)?;
    if let Some(complexity) = said.complexity {
        writeln!(out, "complexity  {complexity:.3}")?;
    }
    if let Judge::Configured { .. } = judge {
        writeln!(out, "alias       {}", said.alias)?;
    }
    writeln!(out, "time        {:.3} ms", took.as_secs_f64() * 1_000.0)?;
    Ok(out.flush()?)
}

async fn lines(judge: &Judge) -> anyhow::Result<()> {
    let progress = Progress::start("queries");
    let lines = std::io::stdin().lock().lines().zip(1_u64..);
    let one =
        async |(line, number): (std::io::Result<String>, u64)| -> anyhow::Result<Option<Classification>> {
            let line = line?;
            if line.trim().is_empty() {
                return Ok(None);
            }
            let QueryLine { text } =
                QueryLine::read(&line).map_err(|why| anyhow::anyhow!("line {number}: {why}"))?;
            judge.say(&text).await.map(Some)
        };
    let mut said = std::pin::pin!(stream::iter(lines).map(one).buffered(judge.at_a_time()));
    let mut out = std::io::stdout().lock();
    while let Some(said) = said.next().await {
        if let Some(said) = said? {
            serde_json::to_writer(&mut out, &Line::from(&said))?;
            writeln!(out)?;
            progress.one_more();
        }
    }
    Ok(out.flush()?)
}
