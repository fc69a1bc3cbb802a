//! What is left of an account's rate limits, as the headers of a reply tell.

use std::time::Duration;

use http::HeaderMap;
use router_core::Headroom;

use crate::retry_after::span;

/// Reads the rate-limit headers of a reply: OpenAI's names, which Azure, Groq, xAI and others share, or Anthropic's. `None` when
/// there are none.
///
/// Anthropic says when its limits are whole again as a date and refills them all the time, so that date is not used.
pub(crate) fn headroom(headers: &HeaderMap) -> Option<Headroom> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    // Some hosts send counts beyond 64 bits for "unlimited".
    let count = |names: [&str; 2]| {
        let number: u128 = names.into_iter().find_map(text)?.trim().parse().ok()?;
        Some(u64::try_from(number).unwrap_or(u64::MAX))
    };
    let reset = |name: &str| -> Option<Duration> { span(text(name)?.trim()) };
    let mut headroom = Headroom::default();
    headroom.requests_limit = count(["x-ratelimit-limit-requests", "anthropic-ratelimit-requests-limit"]);
    headroom.requests_remaining =
        count(["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"]);
    headroom.requests_reset = reset("x-ratelimit-reset-requests");
    headroom.tokens_limit = count(["x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-limit"]);
    headroom.tokens_remaining =
        count(["x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"]);
    headroom.tokens_reset = reset("x-ratelimit-reset-tokens");
    (headroom != Headroom::default()).then_some(headroom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn read(headers: &[(&'static str, &'static str)]) -> Option<Headroom> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        headroom(&pairs.collect())
    }

    #[test]
    fn openais_names_with_their_resets() {
        let headroom = read(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "199996"),
            ("x-ratelimit-reset-tokens", "120ms"),
        ])
        .unwrap();
        assert_eq!((headroom.requests_limit, headroom.requests_remaining), (Some(500), Some(0)));
        assert_eq!(headroom.requests_reset, Some(Duration::from_secs(360)));
        assert_eq!(headroom.tokens_reset, Some(Duration::from_millis(120)));
        assert_eq!(headroom.tokens_limit, None);
    }

    #[test]
    fn azures_plain_seconds_anthropics_names_and_numbers_beyond_64_bits() {
        assert_eq!(
            read(&[("x-ratelimit-reset-tokens", "7")]).unwrap().tokens_reset,
            Some(Duration::from_secs(7))
        );
        let headroom = read(&[
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-tokens-remaining", "36893488147419103232"),
            ("anthropic-ratelimit-requests-reset", "2025-07-29T15:41:24Z"),
        ])
        .unwrap();
        assert_eq!((headroom.requests_remaining, headroom.tokens_remaining), (Some(3999), Some(u64::MAX)));
        assert_eq!(headroom.requests_reset, None);
    }

    #[test]
    fn nothing_said_or_nonsense_is_nothing() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("x-ratelimit-remaining-requests", "many")]), None);
    }
}
