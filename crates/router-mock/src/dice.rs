//! Numbers that look random and repeat from run to run.

/// Scrambles 64 bits: the finisher of SplitMix64 (Steele, Lea, Flood: OOPSLA 2014).
pub(crate) fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns a number in `0.0..1.0` for a seed.
pub(crate) fn fraction(seed: u64) -> f64 {
    let bits = u32::try_from(scramble(seed) >> 32).unwrap_or(u32::MAX);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Returns a stable seed for a name (FNV-1a, 64 bits).
pub(crate) fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Makes up an identifier of `length` letters behind the prefix, as providers put on their replies.
pub(crate) fn identifier(prefix: &str, seed: u64, length: usize) -> String {
    let mut id = format!("{prefix}{:016x}{:016x}", scramble(seed), scramble(!seed));
    id.truncate(prefix.len() + length);
    id
}
