//! Functions that give the same bits on every machine. The standard library's go to the system's, which differ in the last bit;
//! addition, multiplication, division and square root do not.

use std::f64::consts::{LN_2, SQRT_2};

/// Returns e to the power of `x`; relative error below 1e-12.
pub(crate) fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let x = x.min(700.0);
    let whole = (x / LN_2).round();
    let rest = x - whole * LN_2;
    // Taylor on [-ln 2 / 2, ln 2 / 2].
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..=14 {
        term *= rest / f64::from(n);
        sum += term;
    }
    sum * power_of_two(whole)
}

/// Returns the natural logarithm of a positive number; relative error below 1e-12.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    #[expect(clippy::cast_possible_wrap, reason = "eleven bits")]
    let exponent = (bits >> 52 & 0x7FF) as i64 - 1023;
    let mantissa = f64::from_bits(bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000);
    let (mantissa, exponent) =
        if mantissa > SQRT_2 { (mantissa / 2.0, exponent + 1) } else { (mantissa, exponent) };
    // ln m = 2 artanh((m - 1) / (m + 1))
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut sum, mut term) = (0.0, t);
    for n in 0..12 {
        sum += term / f64::from(2 * n + 1);
        term *= t * t;
    }
    exponent as f64 * LN_2 + 2.0 * sum
}

fn power_of_two(exponent: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from -1010 to 1010, biased")]
    let biased = (exponent + 1023.0) as u64;
    f64::from_bits(biased << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_system_to_twelve_digits() {
        for n in -600..600 {
            let x = f64::from(n) / 7.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "{x}");
            let y = x.exp();
            assert!((ln(y) - x).abs() < 1e-11, "{y}");
        }
    }
}
