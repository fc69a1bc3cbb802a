//! Dollar amounts as they are written, without the detour over binary fractions.

use router_core::Usd;

/// Dollars, in units of 10^-24: a price per token that was converted from another currency has that many digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Rate(u128);

/// The most that is taken for a price, in dollars: a thousand per token is a slip of the pen, and sums stay within their bounds.
const LARGEST: u128 = 1_000 * 10_u128.pow(24);

impl Rate {
    /// Reads a decimal number such as `1.5e-07`; `None` when it is none, negative, or out of proportion.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: u128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = digit.is_ascii_digit().then(|| u128::from(digit - b'0'))?;
            digits = digits.checked_mul(10)?.checked_add(digit)?;
        }
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let shift = exponent.checked_add(24)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let power = 10_u128.checked_pow(shift.unsigned_abs());
        let amount = match power {
            _ if digits == 0 => 0,
            Some(power) if shift >= 0 => digits.checked_mul(power)?,
            Some(power) => digits / power,
            None => return None,
        };
        (amount <= LARGEST).then_some(Self(amount))
    }

    /// Reads a number as a person would have written it.
    pub(super) fn from_dollars(dollars: f64) -> Option<Self> {
        Self::parse(&format!("{dollars:e}"))
    }

    /// Returns half of it.
    pub(super) const fn half(self) -> Self {
        Self(self.0 / 2)
    }

    /// Returns what so many tokens cost, rounded to a pico-dollar.
    pub(super) fn times(self, tokens: u64) -> Usd {
        const PICO: u128 = 10_u128.pow(12);
        let pico = self.0.saturating_mul(u128::from(tokens)).saturating_add(PICO / 2) / PICO;
        Usd::from_pico(u64::try_from(pico).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        let check = |text: &str, pico: u64| {
            assert_eq!(Rate::parse(text).map(|rate| rate.times(1)), Some(Usd::from_pico(pico)), "{text}");
        };
        check("0", 0);
        check("0.0", 0);
        check("1", 1_000_000_000_000);
        check("1.5e-07", 150_000);
        check("1.5E-7", 150_000);
        check("0.00000015", 150_000);
        check("3.752e-08", 37_520);
        check("2.857142857142857e-07", 285_714);
        check("1e-30", 0);
    }

    #[test]
    fn a_million_tokens_at_a_price_with_many_digits_are_exact_to_the_pico_dollar() {
        let rate = Rate::parse("0.0000011428571428571428").unwrap();
        assert_eq!(rate.times(1_000_000), Usd::from_pico(1_142_857_142_857));
        assert_eq!(rate.times(3_000_000), Usd::from_pico(3_428_571_428_571));
    }

    #[test]
    fn what_is_no_price_is_none() {
        for text in ["", "-1", "-1e-7", ".", "1e", "x", "1e99", "1001", "NaN", "inf", "1_0"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
        assert_eq!(Rate::from_dollars(-1.0), None);
        assert_eq!(Rate::from_dollars(f64::NAN), None);
        assert_eq!(Rate::from_dollars(1e-7), Rate::parse("0.0000001"));
    }
}
