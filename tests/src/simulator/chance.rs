//! Draws from distributions, by the core's dice.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "draws are rounded, and far below where that hurts"
)]

use router_core::Dice;

/// How long prompts or answers are, in tokens: log-normal, as both are in published traces, and never zero.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    log_mean: f64,
    spread: f64,
}

impl Lengths {
    /// Makes lengths with this mean. `spread` is the standard deviation of the logarithm: 0 is a constant, 0.5 is tame, 1 is wild.
    pub fn around(mean: f64, spread: f64) -> Self {
        Self { log_mean: log_mean(mean, spread), spread }
    }

    pub(super) fn draw(self, dice: &mut Dice) -> u64 {
        log_normal(dice, self.log_mean, self.spread).round().max(1.0) as u64
    }
}

/// The mean of the logarithm that gives a log-normal this mean.
pub(super) fn log_mean(mean: f64, spread: f64) -> f64 {
    mean.ln() - spread * spread / 2.0
}

pub(super) fn log_normal(dice: &mut Dice, log_mean: f64, spread: f64) -> f64 {
    // Box and Muller, Annals of Mathematical Statistics 29(2), 1958; the sine half is not needed.
    let radius = (-2.0 * open_unit(dice).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * open_unit(dice)).cos();
    (log_mean + spread * normal).exp()
}

/// The gap to the next of events that come at this rate, in the unit of the rate.
pub(super) fn exponential(dice: &mut Dice, rate: f64) -> f64 {
    -open_unit(dice).ln() / rate
}

/// Whether something happens that has this probability.
pub(super) fn happens(dice: &mut Dice, probability: f64) -> bool {
    probability > 0.0 && open_unit(dice) <= probability
}

/// Above 0, up to and including 1.
fn open_unit(dice: &mut Dice) -> f64 {
    ((dice.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}
