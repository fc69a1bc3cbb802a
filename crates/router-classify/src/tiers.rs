//! Aliases by how hard a query is.

use router_core::Alias;

/// Aliases, each from a complexity on: `{fast: 0.0, capable: 0.55}` sends queries of 0.55 and more to `capable`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiers {
    lowest: Alias,
    /// Ascending.
    higher: Vec<(f64, Alias)>,
}

/// Tiers that leave a query without an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TiersError {
    /// There are none, or none begins at 0.
    #[error("one tier has to begin at 0, for the easiest queries")]
    NoLowest,
    /// Two begin at the same complexity.
    #[error("two tiers begin at the same complexity")]
    Twice,
    /// One begins beyond the scale.
    #[error("a tier begins at a complexity from 0 to 1")]
    OutOfRange,
}

impl Tiers {
    /// Makes tiers of aliases and the complexity at which each begins.
    ///
    /// # Errors
    /// When no tier begins at 0, two begin at the same complexity, or one begins outside of 0 to 1.
    pub fn new(tiers: impl IntoIterator<Item = (Alias, f64)>) -> Result<Self, TiersError> {
        let mut tiers: Vec<(f64, Alias)> = tiers.into_iter().map(|(alias, from)| (from, alias)).collect();
        if !tiers.iter().all(|(from, _)| (0.0..=1.0).contains(from)) {
            return Err(TiersError::OutOfRange);
        }
        tiers.sort_by(|a, b| a.0.total_cmp(&b.0));
        if tiers.iter().zip(tiers.iter().skip(1)).any(|(a, b)| a.0 >= b.0) {
            return Err(TiersError::Twice);
        }
        let mut tiers = tiers.into_iter();
        match tiers.next() {
            Some((from, lowest)) if from <= 0.0 => Ok(Self { lowest, higher: tiers.collect() }),
            _ => Err(TiersError::NoLowest),
        }
    }

    /// Returns the alias for a complexity.
    pub fn alias(&self, complexity: f64) -> &Alias {
        let reached = self.higher.iter().rev().find(|(from, _)| complexity >= *from);
        reached.map_or(&self.lowest, |(_, alias)| alias)
    }

    /// Returns the aliases, from the easiest queries on.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        std::iter::once(&self.lowest).chain(self.higher.iter().map(|(_, alias)| alias))
    }
}

/// Returns the complexity from which on `share` of these queries lie: the threshold that sends this share to the stronger tier. 1 for no
/// queries.
pub fn threshold_for_share(complexities: &mut [f64], share: f64) -> f64 {
    complexities.sort_by(|a, b| b.total_cmp(a));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of queries"
    )]
    let count = (share.clamp(0.0, 1.0) * complexities.len() as f64).round() as usize;
    match count.checked_sub(1) {
        None => 1.0,
        Some(last) => complexities.get(last).copied().unwrap_or(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(name: &str) -> Alias {
        Alias::try_from(name).unwrap()
    }

    #[test]
    fn a_query_goes_to_the_highest_tier_it_reaches() {
        let tiers = Tiers::new([(alias("capable"), 0.55), (alias("fast"), 0.0)]).unwrap();
        let check = |complexity: f64, expected: &str| {
            assert_eq!(tiers.alias(complexity).as_str(), expected, "{complexity}");
        };
        check(0.0, "fast");
        check(0.549, "fast");
        check(0.55, "capable");
        check(1.0, "capable");
    }

    #[test]
    fn tiers_leave_no_gap() {
        let tiers = |bounds: &[f64]| {
            Tiers::new(bounds.iter().map(|bound| (alias("a"), *bound))).map(|_| ()).unwrap_err()
        };
        assert_eq!(tiers(&[]), TiersError::NoLowest);
        assert_eq!(tiers(&[0.2]), TiersError::NoLowest);
        assert_eq!(tiers(&[0.0, 0.5, 0.5]), TiersError::Twice);
        assert_eq!(tiers(&[0.0, 1.5]), TiersError::OutOfRange);
        assert_eq!(tiers(&[0.0, f64::NAN]), TiersError::OutOfRange);
    }

    #[test]
    fn a_share_of_queries_is_sent_up() {
        let mut complexities: Vec<f64> = (0..100).map(|n| f64::from(n) / 100.0).collect();
        assert!((threshold_for_share(&mut complexities, 0.3) - 0.7).abs() < 1e-9);
        assert!((threshold_for_share(&mut complexities, 0.0) - 1.0).abs() < 1e-9);
        assert!(threshold_for_share(&mut complexities, 1.0).abs() < 1e-9);
    }
}
