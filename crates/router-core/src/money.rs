//! Money, exact.

use std::fmt;

/// An amount in pico-dollars (10^-12 USD): every list price per token is a whole number of them, so sums do not depend
/// on order. It holds up to 18 million dollars and stays there.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Usd(u64);

impl fmt::Display for Usd {
    /// Shows dollars, exact: no digit is lost and none is made up.
    ///
    /// ```
    /// use router_core::Usd;
    /// assert_eq!(Usd::from_pico(150_000).to_string(), "0.00000015");
    /// assert_eq!(Usd::from_pico(20_000_000_000_000).to_string(), "20");
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PICO: u64 = 1_000_000_000_000;
        let text = format!("{}.{:012}", self.0 / PICO, self.0 % PICO);
        let text = text.trim_end_matches('0');
        f.write_str(text.strip_suffix('.').unwrap_or(text))
    }
}

impl Usd {
    /// Makes an amount from pico-dollars.
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// Makes an amount from dollars, rounded to a pico-dollar; `None` when it is negative or not a number.
    ///
    /// ```
    /// use router_core::Usd;
    /// assert_eq!(Usd::from_dollars(0.00000015), Some(Usd::from_pico(150_000)));
    /// assert_eq!(Usd::from_dollars(-1.0), None);
    /// ```
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let pico = (dollars * 1e12).round();
        (0.0..1e19).contains(&pico).then_some(Self(pico as u64))
    }

    /// Returns the amount in pico-dollars.
    pub const fn as_pico(self) -> u64 {
        self.0
    }

    /// Returns this amount so many times.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// Returns both amounts together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// What a deployment charges per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Per token of the prompt.
    pub input: Usd,
    /// Per token of the answer.
    pub output: Usd,
}

impl Price {
    /// Returns what so many tokens cost.
    pub const fn of(self, prompt_tokens: u64, completion_tokens: u64) -> Usd {
        self.input.times(prompt_tokens).plus(self.output.times(completion_tokens))
    }
}

/// What one attempt costs, and for what. The parts add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Cost {
    /// The prompt, apart from what the cache and sound have prices for.
    pub input: Usd,
    /// What was read from the provider's cache.
    pub cache_read: Usd,
    /// What was written to the provider's caches.
    pub cache_write: Usd,
    /// The answer, apart from reasoning and sound.
    pub output: Usd,
    /// Reasoning.
    pub reasoning: Usd,
    /// Sound, in the prompt and in the answer.
    pub audio: Usd,
    /// What is charged by the request, or what a provider reports as one sum.
    pub flat: Usd,
}

impl Cost {
    /// Makes a cost without parts, such as one that a provider reports.
    pub const fn flat(total: Usd) -> Self {
        let zero = Usd(0);
        Self {
            input: zero,
            cache_read: zero,
            cache_write: zero,
            output: zero,
            reasoning: zero,
            audio: zero,
            flat: total,
        }
    }

    /// Returns the sum of the parts.
    pub const fn total(&self) -> Usd {
        let input = self.input.plus(self.cache_read).plus(self.cache_write);
        input.plus(self.output).plus(self.reasoning).plus(self.audio).plus(self.flat)
    }
}

/// What is known of an attempt's cost. Unknown is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bill {
    /// Nothing was used, as far as anybody knows: the call failed before an answer.
    #[default]
    Nothing,
    /// It costs this much.
    Known(Cost),
    /// Tokens were or may have been used, but how many, or at what price, is not known.
    Unknown,
}

impl Bill {
    /// Returns the amount; zero for nothing, `None` when it is not known.
    pub const fn total(&self) -> Option<Usd> {
        match self {
            Self::Nothing => Some(Usd(0)),
            Self::Known(cost) => Some(cost.total()),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        let check = |pico: u64, expected: &str| assert_eq!(Usd::from_pico(pico).to_string(), expected);
        check(0, "0");
        check(1, "0.000000000001");
        check(150_000, "0.00000015");
        check(1_500_000_000_000, "1.5");
        check(20_000_000_000_000, "20");
    }
}
