//! The shipped data: queries with their task, own training text, prompts with the outcomes of two models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::templates::{self, TemplateError};
use crate::training::{Labelled, TrainingError, read_examples};

/// Everything the shipped models are made of.
#[derive(Debug)]
pub struct Corpus {
    /// Queries from public sources.
    pub(crate) train: Vec<Labelled>,
    /// More from the same sources, to test with.
    pub(crate) dev: Vec<Labelled>,
    /// Filled templates.
    pub(crate) own: Vec<Labelled>,
    /// Hand-written cases that are hard on purpose, to test with.
    pub(crate) hard: Vec<Labelled>,
    pub(crate) graded: Vec<Graded>,
}

/// A prompt and what came of it at a strong and a weak model.
#[derive(Debug, Clone)]
pub(crate) struct Graded {
    pub(crate) text: String,
    /// A field of study, for prompts that have one.
    pub(crate) group: String,
    pub(crate) set: Set,
    pub(crate) strong: f32,
    pub(crate) weak: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Mmlu,
    Gsm8k,
    /// Several models on several tasks; its strong and weak ones are others.
    Mixed,
}

impl Set {
    pub(crate) const fn weight(self) -> f32 {
        match self {
            Self::Mmlu => 1.0,
            Self::Gsm8k => 3.0,
            Self::Mixed => 0.3,
        }
    }
}

/// Data that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file has lines that are no examples.
    #[error("{}", path.display())]
    Examples {
        /// The file.
        path: PathBuf,
        /// Which line.
        source: TrainingError,
    },
    /// A template is wrong.
    #[error("{}", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// Which line.
        source: TemplateError,
    },
}

/// Files with templates, in the order in which they are learned.
const LANGUAGES: [&str; 7] = ["de", "en", "es", "fr", "ja", "pt", "zh"];

/// The models of the mixed set that count as strong, and those that count as weak.
const STRONG: [&str; 3] =
    ["llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1", "llama3-chatqa-1.5-70b"];
const WEAK: [&str; 4] =
    ["mistral-7b-instruct-v0.3", "llama-3.1-8b-instruct", "qwen2.5-7b-instruct", "gemma-2-9b-it"];

impl Corpus {
    /// Reads the data that lies with this crate's sources.
    ///
    /// # Errors
    /// [`CorpusError`] names the file and the line.
    pub fn shipped() -> Result<Self, CorpusError> {
        Self::read(Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    fn read(root: &Path) -> Result<Self, CorpusError> {
        let tasks = root.join("data/task-classification");
        let complexity = root.join("data/complexity");
        let mut own = Vec::new();
        for language in LANGUAGES {
            let path = root.join(format!("text/templates/{language}.txt"));
            let filled = templates::filled(&text(&path)?, language);
            own.extend(filled.map_err(|source| CorpusError::Template { path, source })?);
        }
        let mut graded = outcomes(&complexity.join("mmlu.train.jsonl"), Set::Mmlu)?;
        graded.extend(outcomes(&complexity.join("gsm8k.train.jsonl"), Set::Gsm8k)?);
        graded.extend(scores(&complexity.join("multi_model_scores.train.jsonl"))?);
        Ok(Self {
            train: examples(&tasks.join("train.jsonl"))?,
            dev: examples(&tasks.join("dev.jsonl"))?,
            own,
            hard: examples(&root.join("data/hard-cases/hard.jsonl"))?,
            graded,
        })
    }

    /// Returns the sources of the training queries, in the order of the alphabet.
    pub(crate) fn sources(&self) -> Vec<&str> {
        let mut sources: Vec<&str> = self.train.iter().filter_map(|query| query.source.as_deref()).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

fn text(path: &Path) -> Result<String, CorpusError> {
    std::fs::read_to_string(path)
        .map_err(|source| CorpusError::Unreadable { path: path.to_path_buf(), source })
}

fn examples(path: &Path) -> Result<Vec<Labelled>, CorpusError> {
    read_examples(&text(path)?).map_err(|source| CorpusError::Examples { path: path.to_path_buf(), source })
}

fn outcomes(path: &Path, set: Set) -> Result<Vec<Graded>, CorpusError> {
    #[derive(Deserialize)]
    struct Line {
        prompt: String,
        strong: f32,
        weak: f32,
        group: String,
    }
    let graded = |Line { prompt, strong, weak, group }| Graded { text: prompt, group, set, strong, weak };
    lines(path, graded)
}

fn scores(path: &Path) -> Result<Vec<Graded>, CorpusError> {
    #[derive(Deserialize)]
    struct Line {
        prompt: String,
        task: String,
        scores: BTreeMap<String, f32>,
    }
    let graded = |Line { prompt, task, scores }| {
        let mean = |models: &[&str]| {
            let known = models.iter().filter_map(|model| scores.get(*model));
            known.sum::<f32>() / models.len() as f32
        };
        Graded { text: prompt, group: task, set: Set::Mixed, strong: mean(&STRONG), weak: mean(&WEAK) }
    };
    lines(path, graded)
}

fn lines<L: serde::de::DeserializeOwned>(
    path: &Path,
    graded: impl Fn(L) -> Graded,
) -> Result<Vec<Graded>, CorpusError> {
    let text = text(path)?;
    let line = |(line, number): (&str, usize)| {
        serde_json::from_str(line).map(&graded).map_err(|error| CorpusError::Examples {
            path: path.to_path_buf(),
            source: TrainingError::Line { line: number, message: error.to_string() },
        })
    };
    text.lines().zip(1..).map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    #[test]
    fn own_text_and_hard_cases_share_no_eight_words_in_a_row_with_what_was_found() {
        let corpus = Corpus::shipped().unwrap();
        let mut found = HashSet::new();
        for query in corpus.train.iter().chain(&corpus.dev) {
            found.extend(words(&query.text).windows(8).map(|run| run.join(" ")));
        }
        let own = corpus.own.iter().chain(&corpus.hard);
        let shared: Vec<&str> = own
            .filter(|query| words(&query.text).windows(8).any(|run| found.contains(&run.join(" "))))
            .map(|query| query.text.as_str())
            .collect();
        assert_eq!(shared, Vec::<&str>::new());
    }

    #[test]
    fn hard_cases_are_kept_apart_from_own_text() {
        let corpus = Corpus::shipped().unwrap();
        assert!(corpus.hard.len() >= 200);
        let own: HashSet<Vec<String>> = corpus.own.iter().map(|query| words(&query.text)).collect();
        for query in &corpus.hard {
            assert!(!own.contains(&words(&query.text)), "{}", query.text);
        }
    }

    #[test]
    fn every_language_has_text_for_every_label() {
        let corpus = Corpus::shipped().unwrap();
        for language in LANGUAGES {
            for label in ["math", "code", "creative", "default"] {
                let count = corpus
                    .own
                    .iter()
                    .filter(|query| query.source.as_deref() == Some(language) && query.label == label)
                    .count();
                assert!(count > 40, "{language} {label}: {count}");
            }
        }
    }
}
