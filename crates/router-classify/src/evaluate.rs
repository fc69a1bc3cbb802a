//! How good a classifier is, on queries whose label is known.

mod complexity;
mod task;

pub use self::complexity::{ComplexityEvaluation, Outcome};
pub use self::task::{Prediction, TaskEvaluation};
