//! How much a stronger model would help.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::features::{self, Text};
use crate::linear::LinearModel;
use crate::model::{ModelError, split};
use crate::query::Excerpt;

const SHIPPED: &[u8] = include_bytes!("../model/complexity.model");

static SHIPPED_MODEL: LazyLock<Option<ComplexityModel>> =
    LazyLock::new(|| ComplexityModel::from_bytes(SHIPPED).ok());

/// Estimates, from 0 to 1, how much a stronger model would help with a prompt.
///
/// It has learned from prompts with the outcomes of a strong and a weak model (see `data/complexity`) by how much the strong one
/// does better. The scale is a rank: 0.7 is more than 70 % of the everyday queries of `data/task-classification` have.
#[derive(Debug, Clone)]
pub struct ComplexityModel {
    /// The estimate below which each twentieth of the reference queries lies, ascending.
    ranks: Vec<f32>,
    linear: LinearModel,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    kind: String,
    features: u64,
    ranks: Vec<f32>,
}

const KIND: &str = "llm-router complexity model";

impl ComplexityModel {
    /// Returns the shipped model.
    pub fn shipped() -> Option<&'static Self> {
        SHIPPED_MODEL.as_ref()
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
        let linear =
            LinearModel::read(1, weights).ok_or(ModelError::Malformed("its weights are not whole"))?;
        Ok(Self { ranks: header.ranks, linear })
    }

    /// Makes a model whose scale is the rank among these texts.
    pub(crate) fn new<'t>(linear: LinearModel, reference: impl IntoIterator<Item = &'t str>) -> Self {
        let mut model = Self { ranks: Vec::new(), linear };
        let mut estimates: Vec<f32> = reference.into_iter().map(|text| model.estimate(&read(text))).collect();
        estimates.sort_by(f32::total_cmp);
        let last = estimates.len().saturating_sub(1);
        model.ranks = (0..=RANKS).filter_map(|rank| estimates.get(rank * last / RANKS).copied()).collect();
        model
    }

    /// Returns the bytes of the model's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header =
            Header { kind: KIND.to_owned(), features: features::version(), ranks: self.ranks.clone() };
        let mut bytes = serde_json::to_vec(&header).unwrap_or_default();
        bytes.push(b'\n');
        self.linear.write(&mut bytes);
        bytes
    }

    /// Returns the score of a prompt, from 0 to 1.
    pub fn score(&self, prompt: &str) -> f32 {
        self.rank(self.estimate(&read(prompt)))
    }

    pub(crate) const fn linear(&self) -> &LinearModel {
        &self.linear
    }

    /// Turns the linear model's score into a rank.
    pub(crate) fn rank_of(&self, scores: &[f32]) -> f32 {
        self.rank(scores.first().copied().unwrap_or_default())
    }

    fn estimate(&self, text: &Text) -> f32 {
        self.linear.scores(text).first().copied().unwrap_or_default()
    }

    /// Where an estimate lies among the reference texts, linear between the ranks.
    fn rank(&self, estimate: f32) -> f32 {
        let steps = self.ranks.len().saturating_sub(1).max(1) as f32;
        let below = self.ranks.partition_point(|rank| *rank <= estimate);
        let lower = below.checked_sub(1).and_then(|at| self.ranks.get(at));
        match (lower, self.ranks.get(below)) {
            (None, _) => 0.0,
            (Some(_), None) => 1.0,
            (Some(lower), Some(upper)) => {
                let within = (estimate - lower) / (upper - lower);
                ((below - 1) as f32 + within) / steps
            }
        }
    }
}

/// Parts of the scale.
const RANKS: usize = 20;

fn read(prompt: &str) -> Text {
    Text::read(Excerpt::of(prompt).as_str())
}
