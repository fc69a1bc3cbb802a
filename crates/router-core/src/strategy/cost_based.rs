//! `cost-based-routing`.

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// The deployment that answers this request for the least money: its prompt and the answer's probable length, each at its price. A
/// price of 0 is a price; a deployment whose price is not known comes last. Among equals, whose turn it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct CostBased;

impl Strategy for CostBased {
    fn name(&self) -> &str {
        "cost-based-routing"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        let (prompt, completion) = (candidates.demand().prompt_tokens, candidates.expected_completion());
        candidates.min_by_key(dice, |candidate| {
            let cost = candidate.price().map(|price| price.of(prompt, completion));
            (cost.is_none(), cost, candidate.turn())
        })
    }
}
