//! `usage-based-routing`.

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// The deployment with the most headroom: the smallest used share of its tightest limit, the account's own rate-limit headers
/// included; among equals the one with the fewest tokens within the last minute, then whose turn it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageBased;

impl Strategy for UsageBased {
    fn name(&self) -> &str {
        "usage-based-routing"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        candidates.min_by_key(dice, |candidate| (candidate.load(), candidate.turn()))
    }
}
