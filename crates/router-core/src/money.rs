//! Money, exact.

/// An amount in pico-dollars (10^-12 USD): every list price per token is a whole number of them, so sums do not depend
/// on order. It holds up to 18 million dollars and stays there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
pub struct Usd(u64);

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
