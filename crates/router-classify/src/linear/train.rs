//! Fits a linear model: stochastic gradient descent with a step of its own for each weight (AdaGrad; Duchi, Hazan, Singer, JMLR
//! 2011), in one thread and in an order that follows from a seed, so that the same examples give the same bytes.

use router_core::Dice;
use smallvec::{SmallVec, smallvec};

use super::{LinearModel, Scores, root, softmax};
use crate::features::{self, BUCKETS, FAMILIES, Family, Sink, Text};
use crate::query::Excerpt;

/// A text to learn from.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    /// Bucket and family, packed.
    features: Box<[u32]>,
    counts: [u32; FAMILIES],
    pub(crate) target: Target,
    pub(crate) weight: f32,
}

/// What is to be learned of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// The output that is right; the others are wrong.
    Class(usize),
    /// The value of the only output.
    Value(f32),
}

/// How to learn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Training {
    pub(crate) epochs: u32,
    pub(crate) rate: f32,
    /// The probability that a label is taken to be wrong.
    pub(crate) smoothing: f32,
    /// How loud each family is.
    pub(crate) loudness: [f32; FAMILIES],
}

impl Example {
    pub(crate) fn new(text: &str, target: Target) -> Self {
        let mut collected = Collected::default();
        features::extract(&Text::read(Excerpt::of(text).as_str()), &mut collected);
        let Collected { features, counts } = collected;
        Self { features: features.into(), counts, target, weight: 1.0 }
    }
}

#[derive(Default)]
struct Collected {
    features: Vec<u32>,
    counts: [u32; FAMILIES],
}

impl Sink for Collected {
    fn take(&mut self, family: Family, bucket: usize) {
        let family = family as usize;
        if let Some(count) = self.counts.get_mut(family) {
            *count += 1;
        }
        if let (Ok(bucket), Ok(family)) = (u32::try_from(bucket), u32::try_from(family)) {
            self.features.push(family << FAMILY_SHIFT | bucket);
        }
    }
}

const FAMILY_SHIFT: u32 = 24;

fn unpack(feature: u32) -> (usize, usize) {
    ((feature >> FAMILY_SHIFT) as usize, (feature & ((1 << FAMILY_SHIFT) - 1)) as usize)
}

/// A model with the weights as learned.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    outputs: usize,
    biases: Vec<f32>,
    loudness: [f32; FAMILIES],
    weights: Vec<f32>,
}

impl Training {
    /// Learns a model with this many outputs.
    pub(crate) fn fit(&self, outputs: usize, examples: &[&Example]) -> Trained {
        let mut model = Trained {
            outputs,
            biases: vec![0.0; outputs],
            loudness: self.loudness,
            weights: vec![0.0; BUCKETS * outputs],
        };
        let mut squares = vec![1e-6_f32; BUCKETS * outputs];
        let mut bias_squares = vec![1e-6_f32; outputs];
        let mut dice = Dice::from_seed(7);
        let mut order: Vec<&Example> = examples.to_vec();
        for epoch in 0..self.epochs {
            shuffle(&mut order, &mut dice);
            // The later, the smaller: the last passes settle what the first ones found.
            let rate = self.rate * (1.0 - 0.9 * epoch as f32 / self.epochs as f32);
            for example in &order {
                self.step(&mut model, &mut squares, &mut bias_squares, example, rate);
            }
        }
        model
    }

    fn step(
        &self,
        model: &mut Trained,
        squares: &mut [f32],
        bias_squares: &mut [f32],
        example: &Example,
        rate: f32,
    ) {
        let outputs = model.outputs;
        let scores = model.scores(example);
        let mut slopes = slopes(&scores, example.target, self.smoothing);
        slopes.iter_mut().for_each(|slope| *slope *= example.weight);
        let update = |weight: &mut f32, square: &mut f32, slope: f32| {
            *square += slope * slope;
            *weight -= rate * slope / square.sqrt();
        };
        for ((bias, square), slope) in model.biases.iter_mut().zip(bias_squares).zip(&slopes) {
            update(bias, square, *slope);
        }
        let values = values(self.loudness, example.counts);
        for feature in &example.features {
            let (family, bucket) = unpack(*feature);
            let value = values.get(family).copied().unwrap_or_default();
            let range = bucket * outputs..(bucket + 1) * outputs;
            if let Some(weights) = model.weights.get_mut(range.clone())
                && let Some(squares) = squares.get_mut(range)
            {
                for ((weight, square), slope) in weights.iter_mut().zip(squares).zip(&slopes) {
                    update(weight, square, slope * value);
                }
            }
        }
    }
}

/// The slope of the loss by each score.
fn slopes(scores: &[f32], target: Target, smoothing: f32) -> Scores {
    match target {
        Target::Class(right) => {
            let mut slopes = softmax(scores);
            let rest = smoothing / scores.len().max(1) as f32;
            for (n, slope) in slopes.iter_mut().enumerate() {
                *slope -= rest + if n == right { 1.0 - smoothing } else { 0.0 };
            }
            slopes
        }
        Target::Value(value) => scores.iter().map(|score| score - value).collect(),
    }
}

fn values(loudness: [f32; FAMILIES], counts: [u32; FAMILIES]) -> [f32; FAMILIES] {
    let mut values = loudness;
    for (value, count) in values.iter_mut().zip(counts) {
        *value /= root(count);
    }
    values
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for n in (1..items.len()).rev() {
        let other = usize::try_from(dice.below(n as u64 + 1)).unwrap_or(n);
        items.swap(n, other);
    }
}

impl Trained {
    /// Returns the scores of an example.
    pub(crate) fn scores(&self, example: &Example) -> Scores {
        let values = values(self.loudness, example.counts);
        let mut sums: SmallVec<[f32; 8 * FAMILIES]> = smallvec![0.0; self.outputs * FAMILIES];
        for feature in &example.features {
            let (family, bucket) = unpack(*feature);
            let from = bucket * self.outputs;
            let to = family * self.outputs;
            if let Some(weights) = self.weights.get(from..from + self.outputs)
                && let Some(sums) = sums.get_mut(to..to + self.outputs)
            {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            }
        }
        let mut scores = Scores::from_slice(&self.biases);
        for (value, sums) in values.iter().zip(sums.chunks_exact(self.outputs)) {
            scores.iter_mut().zip(sums).for_each(|(score, sum)| *score += value * sum);
        }
        scores
    }

    /// Rounds the weights to 8 bits. Words and letters share buckets and so their unit; the shape has its own.
    pub(crate) fn quantise(&self) -> LinearModel {
        let (hashed, shape) = self.weights.split_at(features::HASHED * self.outputs);
        let (hashed_unit, shape_unit) = (unit(hashed), unit(shape));
        let round = |weights: &[f32], unit: f32| -> Vec<i8> {
            #[expect(clippy::cast_possible_truncation, reason = "clamped to the range")]
            let round = |weight: &f32| (weight / unit).round().clamp(-127.0, 127.0) as i8;
            weights.iter().map(round).collect()
        };
        let mut weights = round(hashed, hashed_unit);
        weights.extend(round(shape, shape_unit));
        let [words, letters, shapes] = self.loudness;
        let units = [words * hashed_unit, letters * hashed_unit, shapes * shape_unit];
        LinearModel { biases: self.biases.clone(), units, weights }
    }
}

/// The unit in which the largest weight is 127.
fn unit(weights: &[f32]) -> f32 {
    weights.iter().fold(1e-9_f32, |most, weight| most.max(weight.abs())) / 127.0
}
