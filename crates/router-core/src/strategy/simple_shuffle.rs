//! `simple-shuffle`, the default.

use super::{Candidate, Candidates, Strategy};
use crate::Dice;

/// Round-robin in shuffled order: within a round everybody comes once, in random order, and who has twice the share comes
/// twice as often.
///
/// Stride scheduling (Waldspurger and Weihl, MIT/LCS/TM-528, 1995) with start-time tags (Goyal, Vin and Cheng, SIGCOMM
/// 1996): whoever comes back from a cooldown starts at the present round and is not flooded with what it missed. Plain random
/// choice, which others call by this name, leaves one deployment of three without traffic for ten requests in every fifty or
/// so runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimpleShuffle;

impl Strategy for SimpleShuffle {
    fn name(&self) -> &str {
        "simple-shuffle"
    }

    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
        candidates.min_by_key(dice, Candidate::turn)
    }
}
