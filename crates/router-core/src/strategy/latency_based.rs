//! `latency-based-routing`.

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// The deployment with the lowest median latency, of whole replies or of first tokens as the request has it, times the calls it would
/// then have in flight: so a burst spreads before its first answer is back. A newcomer counts as the median of the others, and
/// one request in twenty goes to whose turn it is, so that a deployment which became fast is found out.
#[derive(Debug, Clone, Copy, Default)]
pub struct LatencyBased;

/// The share of requests that explore.
const EXPLORE_ONE_IN: u64 = 20;

impl Strategy for LatencyBased {
    fn name(&self) -> &str {
        "latency-based-routing"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        if dice.below(EXPLORE_ONE_IN) == 0 {
            return candidates.min_by_key(dice, Candidate::turn);
        }
        let kind = candidates.demand().kind;
        let newcomer = OnceCell::new();
        candidates.min_by_key(dice, |candidate| {
            let latency = candidate.p50(kind).unwrap_or_else(|| {
                *newcomer
                    .get_or_init(|| median(candidates.iter().filter_map(|known| known.p50(kind)).collect()))
            });
            (latency.max(1).saturating_mul(u64::from(candidate.in_flight()) + 1), candidate.turn())
        })
    }
}

fn median(mut values: SmallVec<[u64; 64]>) -> u64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}
