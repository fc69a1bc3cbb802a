//! What is left of an account's rate limits, as the headers of a reply tell.

use std::time::Duration;

use http::HeaderMap;
use router_core::Headroom;

use crate::retry_after::span;

/// One spelling of a limit.
struct Spelling {
    limit: &'static str,
    remaining: &'static str,
    reset: Reset,
}

/// When a limit is whole again.
#[derive(Clone, Copy)]
enum Reset {
    /// A header says how long it takes.
    In(&'static str),
    /// The name says how many seconds it is counted by.
    Window(u64),
    /// Nobody says, or only as a date for limits that are refilled all the time, which is later than need be.
    Unsaid,
}

const fn spelling(limit: &'static str, remaining: &'static str, reset: Reset) -> Spelling {
    Spelling { limit, remaining, reset }
}

/// The limits of requests; where a reply has several, that of the shortest window is the one that is hit first.
const REQUESTS: [Spelling; 9] = [
    // OpenAI, Azure, Groq, Cerebras, xAI, Fireworks.
    spelling(
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        Reset::In("x-ratelimit-reset-requests"),
    ),
    spelling("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", Reset::Unsaid),
    // Mistral.
    spelling("x-ratelimit-limit-req-10-second", "x-ratelimit-remaining-req-10-second", Reset::Window(10)),
    spelling("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", Reset::Window(60)),
    // Hugging Face's router and those behind it.
    spelling("x-ratelimit-limit-requests-minute", "x-ratelimit-remaining-requests-minute", Reset::Window(60)),
    spelling("x-ratelimit-limit-minute", "x-ratelimit-remaining-minute", Reset::Window(60)),
    // Together.
    spelling("x-ratelimit-limit", "x-ratelimit-remaining", Reset::In("x-ratelimit-reset")),
    // The draft of a standard, <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/06/>.
    spelling("ratelimit-limit", "ratelimit-remaining", Reset::In("ratelimit-reset")),
    // Cohere, for keys on trial.
    spelling("x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining", Reset::Window(60)),
];

/// The limits of tokens.
const TOKENS: [Spelling; 6] = [
    spelling(
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        Reset::In("x-ratelimit-reset-tokens"),
    ),
    spelling("anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", Reset::Unsaid),
    // Mistral, today and before.
    spelling("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", Reset::Window(60)),
    spelling("ratelimitbysize-limit", "ratelimitbysize-remaining", Reset::In("ratelimitbysize-reset")),
    // Fireworks, where what is written has a limit of its own.
    spelling("x-ratelimit-limit-tokens-prompt", "x-ratelimit-remaining-tokens-prompt", Reset::Unsaid),
    // The gateway in front of some of Anthropic's.
    spelling("x-ratelimit-tokens", "x-ratelimit-remaining-tokens", Reset::In("x-ratelimit-reset-tokens")),
];

/// Reads the rate-limit headers of a reply, in any of the spellings there are. `None` when there are none.
pub(crate) fn headroom(headers: &HeaderMap) -> Option<Headroom> {
    let (requests, tokens) = (Left::read(headers, &REQUESTS), Left::read(headers, &TOKENS));
    let mut headroom = Headroom::default();
    (headroom.requests_limit, headroom.requests_remaining) = (requests.limit, requests.remaining);
    (headroom.tokens_limit, headroom.tokens_remaining) = (tokens.limit, tokens.remaining);
    (headroom.requests_reset, headroom.tokens_reset) = (requests.reset, tokens.reset);
    (headroom != Headroom::default()).then_some(headroom)
}

/// What is left of one limit.
#[derive(Default)]
struct Left {
    limit: Option<u64>,
    remaining: Option<u64>,
    reset: Option<Duration>,
}

impl Left {
    /// Reads the first spelling that says what remains, so that no two limits are mixed.
    fn read(headers: &HeaderMap, spellings: &[Spelling]) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        // Some hosts send counts beyond 64 bits for "unlimited".
        let count = |name: &str| {
            let number: u128 = text(name)?.parse().ok()?;
            Some(u64::try_from(number).unwrap_or(u64::MAX))
        };
        let reset = |reset: Reset| match reset {
            Reset::In(name) => span(text(name)?),
            Reset::Window(seconds) => Some(Duration::from_secs(seconds)),
            Reset::Unsaid => None,
        };
        let found = spellings.iter().find_map(|spelling| Some((spelling, count(spelling.remaining)?)));
        match found {
            Some((spelling, remaining)) => Self {
                limit: count(spelling.limit),
                remaining: Some(remaining),
                reset: reset(spelling.reset),
            },
            // A limit is worth knowing, and so is its end, even where nobody says what is left.
            None => spellings
                .iter()
                .map(|spelling| Self {
                    limit: count(spelling.limit),
                    remaining: None,
                    reset: match spelling.reset {
                        Reset::In(name) => text(name).and_then(span),
                        Reset::Window(_) | Reset::Unsaid => None,
                    },
                })
                .find(|left| left.limit.is_some() || left.reset.is_some())
                .unwrap_or_default(),
        }
    }
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

    /// Requests and tokens: limit, remaining, seconds to the reset.
    type Numbers = [(Option<u64>, Option<u64>, Option<u64>); 2];

    fn numbers(headers: &[(&'static str, &'static str)]) -> Numbers {
        let headroom = read(headers).unwrap();
        let seconds = |reset: Option<Duration>| reset.map(|reset| reset.as_secs());
        [
            (headroom.requests_limit, headroom.requests_remaining, seconds(headroom.requests_reset)),
            (headroom.tokens_limit, headroom.tokens_remaining, seconds(headroom.tokens_reset)),
        ]
    }

    #[test]
    fn each_provider_s_spelling_as_it_was_recorded() {
        const NOTHING: (Option<u64>, Option<u64>, Option<u64>) = (None, None, None);
        let check = |headers: &[(&'static str, &'static str)], expected: Numbers| {
            assert_eq!(numbers(headers), expected)
        };
        // Mistral
        check(
            &[
                ("x-ratelimit-limit-req-minute", "100"),
                ("x-ratelimit-limit-tokens-minute", "100000"),
                ("x-ratelimit-remaining-req-minute", "91"),
                ("x-ratelimit-remaining-tokens-minute", "98282"),
                ("x-ratelimit-remaining-tokens-month", "7"),
            ],
            [(Some(100), Some(91), Some(60)), (Some(100_000), Some(98_282), Some(60))],
        );
        check(
            &[("x-ratelimit-limit-req-10-second", "60"), ("x-ratelimit-remaining-req-10-second", "59")],
            [(Some(60), Some(59), Some(10)), NOTHING],
        );
        check(
            &[
                ("ratelimitbysize-limit", "500000"),
                ("ratelimitbysize-remaining", "401381"),
                ("ratelimitbysize-reset", "33"),
            ],
            [NOTHING, (Some(500_000), Some(401_381), Some(33))],
        );
        // Together
        check(
            &[
                ("x-ratelimit-limit", "10"),
                ("x-ratelimit-limit-tokens", "3000"),
                ("x-ratelimit-remaining", "9"),
                ("x-ratelimit-remaining-tokens", "3000"),
                ("x-ratelimit-reset", "2"),
            ],
            [(Some(10), Some(9), Some(2)), (Some(3000), Some(3000), None)],
        );
        // Fireworks
        check(
            &[
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-limit-tokens-prompt", "60000"),
                ("x-ratelimit-remaining-tokens-prompt", "59925"),
                ("x-ratelimit-remaining-tokens-generated", "12000"),
            ],
            [(Some(60), Some(59), None), (Some(60_000), Some(59_925), None)],
        );
        // Hugging Face
        check(
            &[("ratelimit-limit", "400"), ("ratelimit-remaining", "398"), ("ratelimit-reset", "18")],
            [(Some(400), Some(398), Some(18)), NOTHING],
        );
        check(
            &[
                ("x-ratelimit-remaining-requests-day", "2879999"),
                ("x-ratelimit-remaining-requests-minute", "1999"),
                ("x-ratelimit-remaining-tokens-minute", "9223372036854767616"),
            ],
            [(None, Some(1999), Some(60)), (None, Some(9_223_372_036_854_767_616), Some(60))],
        );
        // Cohere
        check(
            &[("x-trial-endpoint-call-limit", "20"), ("x-trial-endpoint-call-remaining", "17")],
            [(Some(20), Some(17), Some(60)), NOTHING],
        );
        // Groq
        check(
            &[
                ("x-ratelimit-limit-tokens", "12000"),
                ("x-ratelimit-remaining-tokens", "11994"),
                ("x-ratelimit-reset-tokens", "1m11.354999999s"),
            ],
            [NOTHING, (Some(12_000), Some(11_994), Some(71))],
        );
    }
}
