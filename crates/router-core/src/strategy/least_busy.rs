//! `least-busy`.

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// The deployment with the fewest calls in flight; among equals, whose turn it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastBusy;

impl Strategy for LeastBusy {
    fn name(&self) -> &str {
        "least-busy"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        candidates.min_by_key(dice, |candidate| (candidate.in_flight(), candidate.turn()))
    }
}
