//! The port to whoever can tell what a request is about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Alias, ChatRequest};

/// Chooses the alias when the application does not want to.
///
/// It is local and returns at once; it is asked on the way of every request that names no alias of its own.
///
/// ```
/// use router_core::{Alias, ChatRequest, Classification, Classifier};
///
/// /// Long requests are hard ones.
/// #[derive(Debug)]
/// struct ByLength { fast: Alias, capable: Alias }
///
/// impl Classifier for ByLength {
///     fn classify(&self, request: &ChatRequest) -> Classification {
///         let alias = if request.body().len() < 4_000 { &self.fast } else { &self.capable };
///         Classification::new(alias.clone(), 0.7)
///     }
/// }
/// ```
pub trait Classifier: fmt::Debug + Send + Sync {
    /// Says where this request belongs.
    fn classify(&self, request: &ChatRequest) -> Classification;
}

/// Where a request belongs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Classification {
    /// The alias to route to.
    pub alias: Alias,
    /// What the request was taken for, such as `math`.
    pub label: Arc<str>,
    /// How sure the classifier is of the label, from 0 to 1; 1 when a rule or an LLM said so.
    pub confidence: f64,
    /// Who decided.
    pub layer: Layer,
    /// How much a stronger model would help, from 0 to 1, where that was estimated.
    pub complexity: Option<f64>,
    /// How long it took to say so, with what an LLM was waited for. Whoever asks a classifier measures it; until then it is zero.
    pub took: Duration,
}

impl Classification {
    /// A decision by a classifier of one's own; its label is the alias.
    pub fn new(alias: Alias, confidence: f64) -> Self {
        let label = Arc::from(alias.as_str());
        Self { alias, label, confidence, layer: Layer::Own, complexity: None, took: Duration::ZERO }
    }
}

/// Who decided what a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Layer {
    /// A rule that the user wrote.
    Rule,
    /// Example utterances that the request is similar to; the confidence is the similarity.
    Semantic,
    /// A trained model.
    Model,
    /// An LLM that was asked.
    Llm,
    /// Nobody: it is where everything goes that no other layer decided.
    Default,
    /// A [`Classifier`] of the user's own.
    Own,
}

impl Layer {
    /// Returns its name, as in headers and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Semantic => "semantic",
            Self::Model => "model",
            Self::Llm => "llm",
            Self::Default => "default",
            Self::Own => "own",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
