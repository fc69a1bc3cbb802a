//! Routes given as example utterances, matched by meaning.

mod embeddings;

use std::sync::Arc;

pub use self::embeddings::{Embeddings, EmbeddingsError};

/// Labels with example utterances each. A query that is similar enough to one of them gets its label.
///
/// The similarity is the cosine of the angle between two embeddings, from -1 to 1. It is no probability: what counts as similar
/// differs between embedding models, so the threshold has no default.
#[derive(Debug, Clone)]
pub struct SemanticRoutes {
    embeddings: Arc<Embeddings>,
    labels: Vec<Arc<str>>,
    /// The label of each utterance, and its embedding.
    utterances: Vec<(usize, Vec<f32>)>,
    threshold: f64,
}

/// Routes that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SemanticError {
    /// An utterance has no word that the embeddings know.
    #[error("the embeddings know no word of the utterance `{utterance}` of `{label}`")]
    UnknownWords {
        /// Its label.
        label: String,
        /// The utterance.
        utterance: String,
    },
    /// The threshold is off the scale.
    #[error("expected a similarity from 0 to 1 as threshold, found {0}")]
    Threshold(f64),
    /// There are no utterances.
    #[error("there are no utterances to compare with")]
    Empty,
}

impl SemanticRoutes {
    /// Takes labels with their utterances, and the similarity from 0 to 1 from which on a query belongs to one of them.
    ///
    /// # Errors
    /// When there are no utterances, one of them means nothing to the embeddings, or the threshold is off the scale.
    pub fn new<'u>(
        embeddings: Arc<Embeddings>,
        utterances: impl IntoIterator<Item = (&'u str, &'u str)>,
        threshold: f64,
    ) -> Result<Self, SemanticError> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(SemanticError::Threshold(threshold));
        }
        let mut labels: Vec<Arc<str>> = Vec::new();
        let mut embedded = Vec::new();
        for (label, utterance) in utterances {
            let embedding = embeddings.embed(utterance).ok_or_else(|| SemanticError::UnknownWords {
                label: label.to_owned(),
                utterance: utterance.to_owned(),
            })?;
            let known = labels.iter().position(|known| &**known == label);
            let position = known.unwrap_or_else(|| {
                labels.push(Arc::from(label));
                labels.len() - 1
            });
            embedded.push((position, embedding));
        }
        if embedded.is_empty() {
            return Err(SemanticError::Empty);
        }
        Ok(Self { embeddings, labels, utterances: embedded, threshold })
    }

    /// Returns the label of the most similar utterance, with the similarity, if it is similar enough.
    pub fn decide(&self, text: &str) -> Option<(&Arc<str>, f64)> {
        let query = self.embeddings.embed(text)?;
        let similarities =
            self.utterances.iter().map(|(label, utterance)| (label, f64::from(dot(&query, utterance))));
        let (label, similarity) = similarities.max_by(|a, b| a.1.total_cmp(&b.1))?;
        // Rounding may have led beyond the scale.
        let similarity = similarity.min(1.0);
        (similarity >= self.threshold).then(|| Some((self.labels.get(*label)?, similarity))).flatten()
    }

    pub(crate) fn labels(&self) -> &[Arc<str>] {
        &self.labels
    }
}

/// The cosine of embeddings whose length is 1.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
