//! `latency-based-routing`.

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// The deployment with the lowest median latency, of whole replies or of first tokens as the request has it, times the calls it would
/// then have in flight: so a burst spreads before its first answer is back. A newcomer counts as the median of the others, and
/// it [explores](Candidates::explore).
#[derive(Debug, Clone, Copy, Default)]
pub struct LatencyBased;

impl Strategy for LatencyBased {
    fn name(&self) -> &str {
        "latency-based-routing"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        if let Some(forgotten) = candidates.explore(dice) {
            return forgotten;
        }
        let kind = candidates.demand().kind;
        let newcomer = OnceCell::new();
        candidates.min_by_key(dice, |candidate| {
            let latency = candidate.p50(kind).unwrap_or_else(|| {
                *newcomer
                    .get_or_init(|| median(candidates.iter().filter_map(|known| known.p50(kind)).collect()))
            });
            (candidate.under_load(latency), candidate.turn())
        })
    }
}

fn median(mut values: SmallVec<[u64; 64]>) -> u64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}
