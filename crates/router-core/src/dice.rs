//! Randomness as an argument.

/// A seeded generator with a fixed algorithm: the same seed gives the same throws on every platform and version.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014). It spreads load and
/// jitters waits; it keeps no secrets.
///
/// ```
/// use router_core::Dice;
///
/// let (mut one, mut other) = (Dice::from_seed(7), Dice::from_seed(7));
/// assert_eq!(one.below(6), other.below(6));
/// ```
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Makes dice whose throws all follow from `seed`.
    pub const fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns 64 uniform bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 up to, not including, `n`; 0 when `n` is 0.
    ///
    /// Multiply-shift (Lemire, "Fast random integer generation in an interval", TOMACS 2019) without the rejection step:
    /// the bias is below `n` / 2^64.
    pub const fn below(&mut self, n: u64) -> u64 {
        ((self.next_u64() as u128 * n as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_fixed() {
        // Reference values of SplitMix64 for seed 1234567 (prng.di.unimi.it/splitmix64.c).
        let mut dice = Dice::from_seed(1_234_567);
        assert_eq!(dice.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(dice.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_face_comes_up_evenly() {
        let mut dice = Dice::from_seed(1);
        let mut faces = [0_u32; 6];
        for _ in 0..60_000 {
            faces[usize::try_from(dice.below(6)).unwrap()] += 1;
        }
        assert!(faces.iter().all(|count| (9_500..10_500).contains(count)), "{faces:?}");
        assert_eq!(dice.below(0), 0);
    }
}
