//! What routing by complexity gains: quality against the share of calls to the strong model.

use std::fmt;

use router_core::Dice;

/// A prompt's score and what came of it at both models: 1 for a right answer, 0 for a wrong one, or anything between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The router's score; the highest go to the strong model first.
    pub score: f64,
    /// The strong model's quality.
    pub strong: f64,
    /// The weak model's quality.
    pub weak: f64,
}

/// The measures of RouteLLM (arXiv 2406.18665). PGR is the part of the gap between the models that routing recovers, APGR the area
/// under it over the share of strong calls (random: 0.5), CPT(x) the least share that recovers x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ComplexityEvaluation {
    /// How many prompts.
    pub count: usize,
    /// The area under PGR.
    pub apgr: f64,
    /// 95 % of bootstrap samples lie between these.
    pub apgr_interval: (f64, f64),
    /// The least share of strong calls that recovers half of the gap.
    pub cpt50: f64,
    /// The least share of strong calls that recovers four fifths of the gap.
    pub cpt80: f64,
}

const SAMPLES: usize = 1_000;

impl ComplexityEvaluation {
    /// Measures outcomes; `None` where the strong model is no better than the weak one.
    pub fn new(outcomes: &[Outcome]) -> Option<Self> {
        let mut ranked = outcomes.to_vec();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
        let gains: Vec<f64> = ranked.iter().map(|outcome| outcome.strong - outcome.weak).collect();
        let apgr = apgr(&gains)?;
        let mut dice = Dice::from_seed(1);
        let mut samples: Vec<f64> = (0..SAMPLES)
            .filter_map(|_| {
                // Draws with replacement keep their rank.
                let mut drawn: Vec<usize> = (0..gains.len())
                    .filter_map(|_| usize::try_from(dice.below(gains.len() as u64)).ok())
                    .collect();
                drawn.sort_unstable();
                let gains: Vec<f64> = drawn.iter().filter_map(|at| gains.get(*at).copied()).collect();
                self::apgr(&gains)
            })
            .collect();
        samples.sort_by(f64::total_cmp);
        let at = |share: usize| samples.get(samples.len().saturating_sub(1) * share / 1_000).copied();
        let apgr_interval = (at(25).unwrap_or(apgr), at(975).unwrap_or(apgr));
        Some(Self {
            count: gains.len(),
            apgr,
            apgr_interval,
            cpt50: least_share(&gains, 0.5),
            cpt80: least_share(&gains, 0.8),
        })
    }
}

/// The area under the recovered gap, by trapezoids.
fn apgr(gains: &[f64]) -> Option<f64> {
    let total: f64 = gains.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let mut recovered = 0.0;
    let area: f64 = gains
        .iter()
        .map(|gain| {
            recovered += gain;
            recovered - gain / 2.0
        })
        .sum();
    Some(area / total / gains.len() as f64)
}

fn least_share(gains: &[f64], part: f64) -> f64 {
    let total: f64 = gains.iter().sum();
    let mut recovered = 0.0;
    let reached = gains.iter().position(|gain| {
        recovered += gain;
        recovered >= part * total
    });
    reached.map_or(1.0, |at| (at + 1) as f64 / gains.len() as f64)
}

impl fmt::Display for ComplexityEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, apgr, apgr_interval: (low, high), cpt50, cpt80 } = self;
        write!(
            f,
            "{count:>6} prompts  APGR {apgr:.3} [{low:.3}, {high:.3}]  CPT(50 %) {:>4.1} %  CPT(80 %) {:>4.1} %",
            cpt50 * 100.0,
            cpt80 * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(gains: &[(f64, f64)]) -> Vec<Outcome> {
        gains.iter().map(|(score, gain)| Outcome { score: *score, strong: *gain, weak: 0.0 }).collect()
    }

    #[test]
    fn a_perfect_order_recovers_the_gap_first() {
        let perfect = outcomes(&[(0.9, 1.0), (0.8, 1.0), (0.2, 0.0), (0.1, 0.0)]);
        let evaluation = ComplexityEvaluation::new(&perfect).unwrap();
        assert!((evaluation.apgr - 0.75).abs() < 1e-9, "{evaluation}");
        assert!((evaluation.cpt50 - 0.25).abs() < 1e-9 && (evaluation.cpt80 - 0.5).abs() < 1e-9);
        let worst = outcomes(&[(0.1, 1.0), (0.2, 1.0), (0.8, 0.0), (0.9, 0.0)]);
        assert!((ComplexityEvaluation::new(&worst).unwrap().apgr - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_gap_that_is_none_has_no_measure() {
        assert_eq!(ComplexityEvaluation::new(&outcomes(&[(0.5, 0.0)])), None);
        assert_eq!(ComplexityEvaluation::new(&[]), None);
    }
}
