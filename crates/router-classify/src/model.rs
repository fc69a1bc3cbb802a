//! The task model: labels, weights and the temperature that makes its confidence honest, in one file.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::features::{self, Text};
use crate::linear::{LinearModel, Scores, likeliest};

/// The model that is trained by `cargo xtask train-classifier` from the data in `data/` and `text/`.
const SHIPPED: &[u8] = include_bytes!("../model/task.model");

static SHIPPED_MODEL: LazyLock<Option<TaskModel>> = LazyLock::new(|| TaskModel::from_bytes(SHIPPED).ok());

/// Tells tasks apart by their words. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskModel {
    labels: Arc<[Arc<str>]>,
    temperature: f32,
    linear: Arc<LinearModel>,
}

/// A file that is no model of this version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// It cannot be read.
    #[error("the model {path} cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is something else, or damaged.
    #[error(
        "this is no model of llm-router, or a damaged one: {0}; make one with `llm-router classifier train`"
    )]
    Malformed(&'static str),
    /// Another version of llm-router made it.
    #[error(
        "the model was trained by another version of llm-router, which reads texts differently: train it again"
    )]
    OtherFeatures,
}

/// The first line of a model file. The weights follow.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    kind: String,
    features: u64,
    labels: Vec<String>,
    temperature: f32,
}

const KIND: &str = "llm-router task model";

impl TaskModel {
    /// Returns the shipped model: `math`, `code`, `creative`, `default`.
    pub fn shipped() -> Option<&'static Self> {
        SHIPPED_MODEL.as_ref()
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError`] when there is none, or another version made it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|source| ModelError::Unreadable { path: path.display().to_string(), source })?;
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// [`ModelError`] when they are something else, or another version made them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (header, weights) = split(bytes)?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|_| ModelError::Malformed("its first line is no header"))?;
        if header.kind != KIND {
            return Err(ModelError::Malformed("it is of another kind"));
        }
        if header.features != features::version() {
            return Err(ModelError::OtherFeatures);
        }
        if header.labels.len() < 2 || !header.temperature.is_finite() || header.temperature <= 0.0 {
            return Err(ModelError::Malformed("its header makes no sense"));
        }
        let linear = LinearModel::read(header.labels.len(), weights)
            .ok_or(ModelError::Malformed("its weights are not whole"))?;
        Ok(Self::new(header.labels, header.temperature, linear))
    }

    pub(crate) fn new(labels: Vec<String>, temperature: f32, linear: LinearModel) -> Self {
        let labels = labels.into_iter().map(Arc::from).collect();
        Self { labels, temperature, linear: Arc::new(linear) }
    }

    /// Returns the bytes of the model's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            kind: KIND.to_owned(),
            features: features::version(),
            labels: self.labels.iter().map(|label| label.to_string()).collect(),
            temperature: self.temperature,
        };
        let mut bytes = serde_json::to_vec(&header).unwrap_or_default();
        bytes.push(b'\n');
        self.linear.write(&mut bytes);
        bytes
    }

    /// Returns the labels it tells apart.
    pub fn labels(&self) -> &[Arc<str>] {
        &self.labels
    }

    pub(crate) fn scores(&self, text: &Text) -> Scores {
        self.linear.scores(text)
    }

    pub(crate) fn linear(&self) -> &LinearModel {
        &self.linear
    }

    /// Returns the likeliest label and the probability that it is right.
    pub(crate) fn best(&self, scores: &[f32]) -> (Arc<str>, f32) {
        let (best, confidence) = likeliest(scores, self.temperature);
        (self.labels.get(best).cloned().unwrap_or_default(), confidence)
    }
}

/// Splits a model file after its first line.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), ModelError> {
    let end = bytes.iter().take(64 * 1024).position(|byte| *byte == b'\n');
    let parts = end.and_then(|end| Some((bytes.get(..end)?, bytes.get(end + 1..)?)));
    parts.ok_or(ModelError::Malformed("it has no header"))
}
