//! How a pool chooses one of its deployments.

mod candidates;
mod simple_shuffle;

use std::fmt;

pub(crate) use self::candidates::Eligible;
pub use self::candidates::{Candidate, Candidates};
pub use self::simple_shuffle::SimpleShuffle;
use crate::Dice;

/// Chooses one deployment of a pool. The same candidates and dice always give the same pick.
///
/// It only decides. What it is shown was admitted before: no candidate is cooling, and none was already tried in this route
/// while an untried one is left. Whoever calls it reserves the pick at once, so the next pick sees it in flight.
///
/// ```
/// use router_core::{Candidate, Candidates, Dice, Strategy};
///
/// /// The deployment with the fewest calls in flight; a fair draw among equals.
/// #[derive(Debug)]
/// struct FewestInFlight;
///
/// impl Strategy for FewestInFlight {
///     fn name(&self) -> &str {
///         "fewest-in-flight"
///     }
///
///     fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a> {
///         candidates.min_by_key(dice, |candidate| candidate.in_flight())
///     }
/// }
/// ```
pub trait Strategy: fmt::Debug + Send + Sync {
    /// Returns the name by which a configuration asks for it.
    fn name(&self) -> &str;

    /// Picks one; [`Candidates`] is never empty, so there is always an answer.
    fn pick<'a>(&self, candidates: &Candidates<'a>, dice: &mut Dice) -> Candidate<'a>;
}
