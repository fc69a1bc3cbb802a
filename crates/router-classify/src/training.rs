//! Makes a model for labels of one's own, from examples.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::arithmetic::ln;
use crate::evaluate::{Prediction, TaskEvaluation};
use crate::linear::train::{Example, Target, Training};
use crate::linear::{Scores, likeliest, softmax};
use crate::model::TaskModel;

/// A text whose label is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// Its label.
    pub label: String,
    /// Where it comes from, if that is known.
    #[serde(default)]
    pub source: Option<String>,
}

/// Examples that make no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A line is no example.
    #[error("line {line}: expected {{\"text\": ..., \"label\": ...}}: {message}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// There is only one label, or none.
    #[error("a model tells at least two labels apart; the examples have {0}")]
    TooFewLabels(usize),
    /// A label has too few examples.
    #[error("the label `{label}` has {count} examples: give it at least {MIN_EXAMPLES}")]
    TooFewExamples {
        /// The label.
        label: String,
        /// How many it has.
        count: usize,
    },
}

/// Fewer examples of a label than this cannot be split into those to learn from and those to check with.
const MIN_EXAMPLES: usize = 5;

/// How tasks are learned. Chosen by leave-one-source-out; docs/classifier.md says what else was tried.
pub(crate) const TASKS: Training =
    Training { epochs: 6, rate: 0.07, smoothing: 0.05, loudness: [1.0, 1.0, 3.0] };

/// Parts that examples are split into, each left out once.
const FOLDS: usize = 5;

/// Reads examples, one JSON object a line: `{"text": ..., "label": ...}`. Other fields are not looked at; blank lines are skipped.
///
/// # Errors
/// [`TrainingError::Line`] names the first line that is none.
pub fn read_examples(lines: &str) -> Result<Vec<Labelled>, TrainingError> {
    let lines = lines.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            serde_json::from_str(line)
                .map_err(|error| TrainingError::Line { line: number, message: error.to_string() })
        })
        .collect()
}

/// Learns to tell the labels of these examples apart. Ten to fifty of each are enough to begin with. Also returns how good it is on
/// examples it has not learned from: five models are made, each without a fifth of the examples, which then test it. The same
/// examples always give the same model.
///
/// # Errors
/// When there are fewer than two labels, or fewer than five examples of one.
pub fn train(examples: &[Labelled]) -> Result<(TaskModel, TaskEvaluation), TrainingError> {
    let labels = labels(examples);
    if labels.len() < 2 {
        return Err(TrainingError::TooFewLabels(labels.len()));
    }
    for label in &labels {
        let count = examples.iter().filter(|example| example.label == *label).count();
        if count < MIN_EXAMPLES {
            return Err(TrainingError::TooFewExamples { label: label.clone(), count });
        }
    }
    let prepared = prepare(examples, &labels);
    let folds = folds(examples);
    let held_out = left_out(&prepared, &[], &folds, labels.len());
    let temperature = temperature(held_out.iter());
    let all: Vec<&Example> = prepared.iter().collect();
    let linear = TASKS.fit(labels.len(), &all).quantise();
    let predictions: Vec<Prediction> =
        held_out.iter().map(|held_out| held_out.prediction(&labels, temperature)).collect();
    let model = TaskModel::new(labels, temperature, linear);
    Ok((model, TaskEvaluation::new(&predictions)))
}

/// Splits the examples of each label into five runs: neighbours are often alike, such as two phrasings of one sentence, and are to be
/// left out together.
fn folds(examples: &[Labelled]) -> Vec<usize> {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for example in examples {
        *totals.entry(&example.label).or_default() += 1;
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let labels = examples.iter().map(|example| example.label.as_str());
    labels
        .map(|label| {
            let before = seen.entry(label).or_default();
            *before += 1;
            (*before - 1) * FOLDS / totals.get(label).copied().unwrap_or(1)
        })
        .collect()
}

/// The labels of examples, in the order of the alphabet.
pub(crate) fn labels(examples: &[Labelled]) -> Vec<String> {
    let mut labels: Vec<String> = examples.iter().map(|example| example.label.clone()).collect();
    labels.sort();
    labels.dedup();
    labels
}

pub(crate) fn prepare(examples: &[Labelled], labels: &[String]) -> Vec<Example> {
    let class = |label: &str| labels.iter().position(|known| known == label).unwrap_or_default();
    examples.iter().map(|example| Example::new(&example.text, Target::Class(class(&example.label)))).collect()
}

/// What a model says of an example that it has not learned from.
#[derive(Debug, Clone)]
pub(crate) struct HeldOut {
    pub(crate) scores: Scores,
    pub(crate) truth: usize,
}

impl HeldOut {
    pub(crate) fn prediction(&self, labels: &[String], temperature: f32) -> Prediction {
        let (best, confidence) = likeliest(&self.scores, temperature);
        let name = |class: usize| labels.get(class).cloned().unwrap_or_default();
        Prediction { truth: name(self.truth), label: name(best), confidence: confidence.into() }
    }
}

/// Scores each example with a model that learned from those of the other groups, and from `always`. In the order of the examples.
pub(crate) fn left_out(
    examples: &[Example],
    always: &[Example],
    groups: &[usize],
    outputs: usize,
) -> Vec<HeldOut> {
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let one = |group: usize| -> Vec<(usize, HeldOut)> {
        let of = |wanted: bool| {
            let pairs = examples.iter().zip(groups).enumerate();
            pairs.filter(move |(_, (_, of))| (**of == group) == wanted).map(|(n, (example, _))| (n, example))
        };
        let rest: Vec<&Example> = of(false).map(|(_, example)| example).chain(always).collect();
        let model = TASKS.fit(outputs, &rest);
        let score = |(n, example): (usize, &Example)| {
            let truth = match example.target {
                Target::Class(class) => class,
                Target::Value(_) => 0,
            };
            (n, HeldOut { scores: model.scores(example), truth })
        };
        of(true).map(score).collect()
    };
    let mut all: Vec<(usize, HeldOut)> = in_parallel(count, one).into_iter().flatten().collect();
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, held_out)| held_out).collect()
}

/// Calls `work` with each number below `count`, on as many threads as the machine has cores; the results keep their order, so that the number
/// of threads changes nothing but the time.
pub(crate) fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let work = &work;
    let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || (first..count).step_by(threads).map(|n| (n, work(n))).collect::<Vec<_>>())
            })
            .collect();
        // A thread that panicked has said so itself.
        handles.into_iter().filter_map(|handle| handle.join().ok()).flatten().collect()
    });
    results.sort_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The temperature that makes the confidence of these predictions most believable: the least negative log-likelihood on a grid (Guo et
/// al., "On calibration of modern neural networks", ICML 2017).
pub(crate) fn temperature<'h>(held_out: impl Iterator<Item = &'h HeldOut> + Clone) -> f32 {
    let loss = |temperature: f32| -> f64 {
        let losses = held_out.clone().map(|HeldOut { scores, truth }| {
            let cooled: Scores = scores.iter().map(|score| score / temperature).collect();
            let share = softmax(&cooled).get(*truth).copied().unwrap_or_default();
            -ln(f64::from(share.max(1e-9)))
        });
        losses.sum()
    };
    let grid = (0..60).scan(0.2_f32, |temperature, _| {
        *temperature *= 1.05;
        Some(*temperature)
    });
    let mut best = (1.0, f64::INFINITY);
    for temperature in grid {
        let loss = loss(temperature);
        if loss < best.1 {
            best = (temperature, loss);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Labelled> {
        let labelled = |label: &str, text: String| Labelled { text, label: label.into(), source: None };
        let fruits =
            ["apples", "plums", "pears", "cherries", "grapes", "figs", "kiwis", "limes", "dates", "nuts"];
        let fruit = fruits.iter().flat_map(|f| {
            [labelled("shop", format!("I want to buy {f}")), labelled("farm", format!("How do I grow {f}?"))]
        });
        fruit.collect()
    }

    #[test]
    fn a_model_learns_labels_of_ones_own_and_always_the_same_way() {
        let (model, held_out) = train(&examples()).unwrap();
        assert_eq!(held_out.count(), 20);
        assert!(held_out.accuracy() > 0.9, "{held_out}");
        let (again, _) = train(&examples()).unwrap();
        assert_eq!(model.to_bytes(), again.to_bytes());
        let read = TaskModel::from_bytes(&model.to_bytes()).unwrap();
        let text = crate::features::Text::read("how to grow bananas?");
        assert_eq!(&*read.best(&read.scores(&text)).0, "farm");
    }

    #[test]
    fn mistakes_say_what_is_missing() {
        let check = |lines: &str, expected: &str| {
            let error = read_examples(lines).and_then(|examples| train(&examples)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("{\"text\": \"a\"}", "line 1: expected");
        check("\n\nnonsense", "line 3: expected");
        check("", "at least two labels apart; the examples have 0");
        check(
            "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}",
            "the label `x` has 1 examples: give it at least 5",
        );
    }

    #[test]
    fn overconfident_predictions_are_cooled() {
        // Always sure, right three times out of four.
        let held_out: Vec<HeldOut> = (0..8)
            .map(|n| HeldOut { scores: Scores::from_slice(&[4.0, 0.0]), truth: usize::from(n % 4 == 0) })
            .collect();
        let temperature = temperature(held_out.iter());
        // softmax(4 / T) = 3/4 where 4 / T = ln 3.
        assert!((3.4..3.9).contains(&temperature), "{temperature}");
    }
}
