//! Says in microseconds what a request is about (its *task*: math, code, creative, default, or labels of one's own), how hard it is
//! (its *complexity*), and how sure that is. Everything here is local: no network, no files on the way of a request, no Python.
//!
//! # A tour
//! - [`TaskClassifier`] holds the layers, cheapest first: [`Rule`]s that the user wrote, then, with the
//!   feature `semantic`, example utterances, then a [`TaskModel`]. It implements the port
//!   [`Classifier`](router_core::Classifier), and works without a router.
//! - [`Query`] is what is read of a request: the last user message, what went before it, the system prompt.
//! - [`Answer`] is the label with its confidence, the layer that decided, and the complexity. [`Destination`] and [`Tiers`] say to
//!   which alias it goes.
//! - [`train`] makes a model for labels of one's own from ten to fifty examples of each.
//! - [`evaluate`] measures: accuracy, calibration, coverage; what routing by complexity gains.
//! - [`shipped`] is how the models in this crate are made from the data beside it.
//!
//! The last layer, an LLM that settles what these are unsure of, is a call through a router: the crate `llm-router` makes it.

mod arithmetic;
mod classifier;
mod complexity;
pub mod evaluate;
mod features;
mod linear;
mod model;
mod query;
mod rules;
#[cfg(feature = "semantic")]
mod semantic;
pub mod shipped;
mod tiers;
mod training;

pub use self::classifier::{Answer, ClassifierError, Destination, TaskClassifier, TaskClassifierBuilder};
pub use self::complexity::ComplexityModel;
pub use self::model::{ModelError, TaskModel};
pub use self::query::{Query, QueryLine};
pub use self::rules::{Rule, RuleError, keywords};
#[cfg(feature = "semantic")]
pub use self::semantic::{Embeddings, EmbeddingsError, SemanticError, SemanticRoutes};
pub use self::tiers::{Tiers, TiersError, threshold_for_share};
pub use self::training::{Labelled, TrainingError, read_examples, train};
