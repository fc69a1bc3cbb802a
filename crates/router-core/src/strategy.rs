//! How a pool chooses one of its deployments.

mod candidates;
mod cost_based;
mod latency_based;
mod least_busy;
mod peak_ewma;
mod simple_shuffle;
#[cfg(test)]
mod tests;
mod usage_based;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::candidates::Eligible;
pub use self::candidates::{Candidate, Candidates};
pub use self::cost_based::CostBased;
pub use self::latency_based::LatencyBased;
pub use self::least_busy::LeastBusy;
pub use self::peak_ewma::PeakEwma;
pub use self::simple_shuffle::SimpleShuffle;
pub use self::usage_based::UsageBased;
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

/// Returns the strategies there are, by the names that configurations use.
pub fn strategies() -> [Arc<dyn Strategy>; 6] {
    [
        Arc::new(SimpleShuffle),
        Arc::new(LeastBusy),
        Arc::new(LatencyBased),
        Arc::new(CostBased),
        Arc::new(UsageBased),
        Arc::new(PeakEwma),
    ]
}
