//! A linear model over hashed features, in 8-bit weights.

pub(crate) mod train;

use std::fmt;

use smallvec::{SmallVec, smallvec};

use crate::arithmetic::exp;
use crate::features::{self, BUCKETS, FAMILIES, Family, Sink, Text};

/// Scores, one for each output; up to eight without the heap.
pub(crate) type Scores = SmallVec<[f32; 8]>;

/// A score per output is a bias and a weighted sum of features: integers summed up first, then scaled in a fixed order, so that the same text
/// has the same score on every machine.
#[derive(Clone, PartialEq)]
pub(crate) struct LinearModel {
    biases: Vec<f32>,
    /// What one unit of weight is worth, by family.
    units: [f32; FAMILIES],
    /// The weights of a feature lie together: `weights[bucket * outputs + output]`.
    weights: Vec<i8>,
}

impl fmt::Debug for LinearModel {
    /// Shows how many weights there are: a router that is printed holds a quarter of a million.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinearModel").field("weights", &self.weights.len()).finish_non_exhaustive()
    }
}

impl LinearModel {
    pub(crate) fn outputs(&self) -> usize {
        self.biases.len()
    }

    pub(crate) fn scores(&self, text: &Text) -> Scores {
        let mut sums = Sums::new(self);
        features::extract(text, &mut sums);
        sums.finish()
    }

    /// Scores of this model and of another one; the text is looked at once.
    pub(crate) fn scores_and(&self, other: &Self, text: &Text) -> (Scores, Scores) {
        let mut sums = Both(Sums::new(self), Sums::new(other));
        features::extract(text, &mut sums);
        (sums.0.finish(), sums.1.finish())
    }

    /// Appends the model to a file's bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for number in self.biases.iter().chain(&self.units) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend(self.weights.iter().map(|weight| weight.cast_unsigned()));
    }

    /// Reads a model with this many outputs; `None` when there are too few bytes or too many.
    pub(crate) fn read(outputs: usize, bytes: &[u8]) -> Option<Self> {
        let (head, weights) = bytes.split_at_checked((outputs + FAMILIES) * 4)?;
        let mut numbers = head.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk));
        let biases: Vec<f32> = numbers.by_ref().take(outputs).collect();
        let units = std::array::from_fn(|_| numbers.next().unwrap_or(0.0));
        let finite = biases.iter().chain(&units).all(|number| number.is_finite());
        let whole = weights.len() == BUCKETS * outputs;
        let weights = weights.iter().map(|weight| weight.cast_signed()).collect();
        (finite && whole).then_some(Self { biases, units, weights })
    }
}

/// What a sum over `count` features is divided by.
fn root(count: u32) -> f32 {
    (count.max(1) as f32).sqrt()
}

/// Probabilities from scores.
#[expect(clippy::cast_possible_truncation, reason = "probabilities")]
pub(crate) fn softmax(scores: &[f32]) -> Scores {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut shares: Scores = scores.iter().map(|score| exp(f64::from(score - most)) as f32).collect();
    let sum: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

/// Returns the output with the highest score and its probability, where a temperature of more than 1 makes all alike.
pub(crate) fn likeliest(scores: &[f32], temperature: f32) -> (usize, f32) {
    let cooled: Scores = scores.iter().map(|score| score / temperature).collect();
    let mut best = (0, 0.0);
    for (n, share) in softmax(&cooled).into_iter().enumerate() {
        if share > best.1 {
            best = (n, share);
        }
    }
    best
}

/// Adds up weights as features come in.
struct Sums<'m> {
    model: &'m LinearModel,
    sums: SmallVec<[i32; 8 * FAMILIES]>,
    counts: [u32; FAMILIES],
}

impl<'m> Sums<'m> {
    fn new(model: &'m LinearModel) -> Self {
        Self { model, sums: smallvec![0; model.outputs() * FAMILIES], counts: [0; FAMILIES] }
    }

    fn finish(self) -> Scores {
        let Self { model, sums, counts } = self;
        let mut scores = Scores::from_slice(&model.biases);
        let families = model.units.iter().zip(counts).zip(sums.chunks_exact(model.outputs().max(1)));
        for ((unit, count), sums) in families {
            let factor = unit / root(count);
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score += factor * *sum as f32;
            }
        }
        scores
    }
}

impl Sink for Sums<'_> {
    #[inline]
    fn take(&mut self, family: Family, bucket: usize) {
        let (family, outputs) = (family as usize, self.model.outputs());
        if let Some(count) = self.counts.get_mut(family) {
            *count += 1;
        }
        let (from, to) = (bucket * outputs, family * outputs);
        if let Some(weights) = self.model.weights.get(from..from + outputs)
            && let Some(sums) = self.sums.get_mut(to..to + outputs)
        {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += i32::from(*weight);
            }
        }
    }
}

/// Two models at a time.
struct Both<'m>(Sums<'m>, Sums<'m>);

impl Sink for Both<'_> {
    #[inline]
    fn take(&mut self, family: Family, bucket: usize) {
        self.0.take(family, bucket);
        self.1.take(family, bucket);
    }
}
