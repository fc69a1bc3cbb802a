//! `usage-based-routing`.

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// The deployment with the most headroom: the smallest used share of its tightest limit, the account's own rate-limit headers
/// included, in steps of a twentieth; within a step, whose turn it is for tokens.
///
/// Turns deal out tokens by share. The used tokens of the last minute would do worse: a deployment that comes back with an empty
/// minute is filled until it is level, its minute runs out at once, and so on in waves.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageBased;

/// A twentieth, in thousandths.
const STEP: u64 = 50;

impl Strategy for UsageBased {
    fn name(&self) -> &str {
        "usage-based-routing"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        candidates.min_by_key(dice, |candidate| (candidate.used() / STEP, candidate.token_turn()))
    }
}
