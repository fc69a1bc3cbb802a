//! Every number that docs/classifier.md states, measured afresh.

use std::fmt::{self, Write as _};

use router_core::Dice;

use super::corpus::{Corpus, Graded, Set};
use super::{COMPLEXITY, graded, task_model};
use crate::classifier::{Answer, TaskClassifier};
use crate::evaluate::{ComplexityEvaluation, Outcome, Prediction, TaskEvaluation};
use crate::linear::train::Example;
use crate::model::TaskModel;
use crate::query::Query;
use crate::rules::keywords;
use crate::training::{HeldOut, Labelled, in_parallel, labels, left_out, prepare, temperature};

/// Measures everything; takes a minute or two.
pub fn report(corpus: &Corpus) -> String {
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _ = tasks(corpus, &mut out).and_then(|()| complexity(corpus, &mut out));
    out
}

fn tasks(corpus: &Corpus, out: &mut String) -> fmt::Result {
    let labels = labels(&corpus.train);
    let examples = prepare(&corpus.train, &labels);
    let own = prepare(&corpus.own, &labels);
    let sources = corpus.sources();
    let position = |query: &Labelled| sources.iter().position(|known| query.source.as_deref() == Some(known));
    let groups: Vec<usize> = corpus.train.iter().map(|query| position(query).unwrap_or_default()).collect();

    writeln!(out, "## Sources that training never saw (leave one source out)\n")?;
    let with = believable(&left_out(&examples, &own, &groups, labels.len()), &groups, &labels);
    let without = believable(&left_out(&examples, &[], &groups, labels.len()), &groups, &labels);
    writeln!(out, "{:<48} {:>7} {:>12} {:>12}", "source left out", "queries", "found only", "and own text")?;
    for (n, source) in sources.iter().enumerate() {
        let of = |predictions: &[Prediction]| {
            let of: Vec<Prediction> =
                predictions.iter().zip(&groups).filter(|(_, g)| **g == n).map(|(p, _)| p.clone()).collect();
            TaskEvaluation::new(&of)
        };
        let (with, without) = (of(&with), of(&without));
        writeln!(
            out,
            "{source:<48} {:>7} {:>12.3} {:>12.3}",
            with.count(),
            without.accuracy(),
            with.accuracy()
        )?;
    }
    writeln!(out, "\n### With the found text only\n\n{}", TaskEvaluation::new(&without))?;
    writeln!(out, "### With the own text\n\n{}", TaskEvaluation::new(&with))?;

    let model = task_model(corpus);
    let Some(classifier) = classifier(model.clone()) else { return Ok(()) };
    writeln!(
        out,
        "## The shipped model\n\n### Dev (the same sources as train)\n\n{}",
        judge(&classifier, &corpus.dev)
    )?;
    writeln!(out, "### Hard cases\n\n{}", judge(&classifier, &corpus.hard))?;
    writeln!(out, "### Hard cases by language\n")?;
    let mut languages: Vec<&str> = corpus.hard.iter().filter_map(|query| query.source.as_deref()).collect();
    languages.sort_unstable();
    languages.dedup();
    for language in languages {
        let these = corpus.hard.iter().filter(|query| query.source.as_deref() == Some(language));
        let evaluation = judge(&classifier, &these.cloned().collect::<Vec<_>>());
        writeln!(out, "{language} {:>4} queries  accuracy {:.3}", evaluation.count(), evaluation.accuracy())?;
    }
    writeln!(out, "\n## The keyword list, for comparison (dev; what no keyword decides is `default`)\n")?;
    if let Some(classifier) = keyword_classifier() {
        writeln!(out, "{}", judge(&classifier, &corpus.dev))?;
    }
    Ok(())
}

/// Predictions with a confidence that was fitted to the other groups.
fn believable(held_out: &[HeldOut], groups: &[usize], labels: &[String]) -> Vec<Prediction> {
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let temperatures = in_parallel(count, |group| {
        temperature(held_out.iter().zip(groups).filter(|(_, of)| **of != group).map(|(held_out, _)| held_out))
    });
    let cooled = |(held_out, group): (&HeldOut, &usize)| {
        let temperature = temperatures.get(*group).copied().unwrap_or(1.0);
        held_out.prediction(labels, temperature)
    };
    held_out.iter().zip(groups).map(cooled).collect()
}

fn classifier(model: TaskModel) -> Option<TaskClassifier> {
    TaskClassifier::builder().labels(["default"]).ok()?.model(model).build().ok()
}

fn keyword_classifier() -> Option<TaskClassifier> {
    let builder = TaskClassifier::builder().labels(["default"]).ok()?.without_model();
    keywords().into_iter().fold(builder, |builder, rule| builder.rule(rule)).build().ok()
}

fn judge(classifier: &TaskClassifier, queries: &[Labelled]) -> TaskEvaluation {
    let predictions: Vec<Prediction> = queries
        .iter()
        .map(|query| {
            let Answer { label, confidence, .. } = classifier.answer(&Query::new(&query.text));
            Prediction { truth: query.label.clone(), label: label.to_string(), confidence }
        })
        .collect();
    TaskEvaluation::new(&predictions)
}

fn complexity(corpus: &Corpus, out: &mut String) -> fmt::Result {
    writeln!(out, "## Complexity, cross-validated\n")?;
    let mut dice = Dice::from_seed(3);
    let random: Vec<usize> =
        corpus.graded.iter().map(|_| usize::try_from(dice.below(FOLDS)).unwrap_or_default()).collect();
    let mut fields: Vec<&str> = corpus.graded.iter().map(|prompt| prompt.group.as_str()).collect();
    fields.sort_unstable();
    fields.dedup();
    let by_field: Vec<usize> = corpus
        .graded
        .iter()
        .map(|prompt| {
            fields.iter().position(|field| *field == prompt.group).unwrap_or_default() % FIELD_FOLDS
        })
        .collect();
    let examples = graded(&corpus.graded);
    let mut show = |name: &str, set: Set, scores: &[f64]| -> fmt::Result {
        let outcomes = outcomes(&corpus.graded, set, scores);
        match ComplexityEvaluation::new(&outcomes) {
            Some(evaluation) => writeln!(out, "{name:<44} {evaluation}"),
            None => Ok(()),
        }
    };
    let length: Vec<f64> = corpus.graded.iter().map(|prompt| prompt.text.len() as f64).collect();
    let chance: Vec<f64> = corpus.graded.iter().map(|_| dice.below(1 << 32) as f64).collect();
    let ours = score_left_out(&examples, &random);
    let ours_by_field = score_left_out(&examples, &by_field);
    show("MMLU: this model", Set::Mmlu, &ours)?;
    show("MMLU: this model, fields left out", Set::Mmlu, &ours_by_field)?;
    show("MMLU: length of the prompt", Set::Mmlu, &length)?;
    show("MMLU: random", Set::Mmlu, &chance)?;
    show("GSM8K: this model", Set::Gsm8k, &ours)?;
    show("GSM8K: length of the prompt", Set::Gsm8k, &length)?;
    show("GSM8K: random", Set::Gsm8k, &chance)
}

const FOLDS: u64 = 5;
const FIELD_FOLDS: usize = 8;

fn outcomes(prompts: &[Graded], set: Set, scores: &[f64]) -> Vec<Outcome> {
    let of = prompts.iter().zip(scores).filter(|(prompt, _)| prompt.set == set);
    of.map(|(prompt, score)| Outcome {
        score: *score,
        strong: prompt.strong.into(),
        weak: prompt.weak.into(),
    })
    .collect()
}

/// Scores each prompt with a model that learned from the other folds.
fn score_left_out(examples: &[Example], folds: &[usize]) -> Vec<f64> {
    let count = folds.iter().max().map_or(0, |most| most + 1);
    let one = |fold: usize| -> Vec<(usize, f64)> {
        let rest: Vec<&Example> =
            examples.iter().zip(folds).filter(|(_, of)| **of != fold).map(|(example, _)| example).collect();
        let model = COMPLEXITY.fit(1, &rest);
        let of = examples.iter().zip(folds).enumerate().filter(|(_, (_, of))| **of == fold);
        of.map(|(n, (example, _))| (n, f64::from(model.scores(example).first().copied().unwrap_or_default())))
            .collect()
    };
    let mut scores: Vec<(usize, f64)> = in_parallel(count, one).into_iter().flatten().collect();
    scores.sort_by_key(|(n, _)| *n);
    scores.into_iter().map(|(_, score)| score).collect()
}
