//! How the shipped models are made, and measured. `cargo xtask train-classifier` and `cargo xtask evaluate-classifier` call this.

mod corpus;
mod report;
mod templates;

use crate::complexity::ComplexityModel;
use crate::linear::train::{Example, Target, Training};
use crate::model::TaskModel;
use crate::training::{TASKS, labels, left_out, prepare, temperature};

use self::corpus::Graded;
pub use self::corpus::{Corpus, CorpusError};
pub use self::report::report;
pub use self::templates::TemplateError;

/// How complexity is learned: the strong model's outcome less the weak one's, by squared error. Chosen by cross-validation.
pub(crate) const COMPLEXITY: Training =
    Training { epochs: 6, rate: 0.01, smoothing: 0.0, loudness: [0.25, 0.25, 1.0] };

/// Groups of sources that are left out to fit the temperature. Leaving out each alone takes longer and gives the same.
const SOURCE_GROUPS: usize = 6;

/// Learns the task model. Its confidence is fitted to sources that were left out.
pub fn task_model(corpus: &Corpus) -> TaskModel {
    let labels = labels(&corpus.train);
    let examples = prepare(&corpus.train, &labels);
    let own = prepare(&corpus.own, &labels);
    let sources = corpus.sources();
    let groups: Vec<usize> = corpus
        .train
        .iter()
        .map(|example| {
            let source = example.source.as_deref().unwrap_or_default();
            sources.iter().position(|known| *known == source).unwrap_or_default() % SOURCE_GROUPS
        })
        .collect();
    let temperature = temperature(left_out(&examples, &own, &groups, labels.len()).iter());
    let all: Vec<&Example> = examples.iter().chain(&own).collect();
    let linear = TASKS.fit(labels.len(), &all).quantise();
    TaskModel::new(labels, temperature, linear)
}

/// Learns the complexity model.
pub fn complexity_model(corpus: &Corpus) -> ComplexityModel {
    let examples = graded(&corpus.graded);
    let all: Vec<&Example> = examples.iter().collect();
    let linear = COMPLEXITY.fit(1, &all).quantise();
    ComplexityModel::new(linear, corpus.train.iter().map(|example| example.text.as_str()))
}

/// Prepares graded prompts. There is ten times as much of MMLU as of GSM8K, and the third set is of other models: their weights make up
/// for it.
fn graded(prompts: &[Graded]) -> Vec<Example> {
    let prepare = |prompt: &Graded| {
        let mut example = Example::new(&prompt.text, Target::Value(prompt.strong - prompt.weak));
        example.weight = prompt.set.weight();
        example
    };
    prompts.iter().map(prepare).collect()
}
