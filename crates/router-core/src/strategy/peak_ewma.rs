//! `peak-ewma`.

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// Power of two choices over peak-sensitive moving averages: draws two deployments and takes the one whose latency, times the
/// calls it would then have in flight, is lower (Mitzenmacher, IEEE TPDS 12(10), 2001; Finagle's and tower's peak EWMA). The cost
/// of a pick hardly grows with the pool. Averages do not fade in silence, as they do there: whoever was slow would look fast again
/// before it is. It [explores](Candidates::explore) instead.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwma;

impl Strategy for PeakEwma {
    fn name(&self) -> &str {
        "peak-ewma"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        if let Some(forgotten) = candidates.explore(dice) {
            return forgotten;
        }
        let kind = candidates.demand().kind;
        let [one, other] = candidates.draw_two(dice);
        // A newcomer counts as the one it is compared with.
        let (a, b) = match (one.ewma(kind), other.ewma(kind)) {
            (Some(a), Some(b)) => (a, b),
            (Some(known), None) | (None, Some(known)) => (known, known),
            (None, None) => (0, 0),
        };
        let cost = |candidate: &Candidate<'a>, latency| (candidate.under_load(latency), candidate.turn());
        if cost(&other, b) < cost(&one, a) { other } else { one }
    }
}
