//! How long a provider asks to be left alone.

use std::time::Duration;

use http::HeaderMap;

use crate::headroom::headroom;

/// Nobody means longer; what says so is a mistake, or as good as never.
const CAP: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the wait that an error reply asks for: `retry-after` and `retry-after-ms`, of both the larger; failing these,
/// what the message says; failing that, the reset of a limit of which nothing is left.
///
/// A date is compared with the reply's own `date` header, so neither our clock nor its error against theirs matters.
/// Only for error replies: Anthropic and others send `retry-after` with good ones too, where it means nothing.
pub(crate) fn retry_after(headers: &HeaderMap, message: &str) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let asked = header("retry-after").and_then(|value| {
        span(value.trim()).or_else(|| {
            let until = httpdate::parse_http_date(value).ok()?;
            let now = httpdate::parse_http_date(header("date")?).ok()?;
            Some(until.duration_since(now).unwrap_or_default())
        })
    });
    let exact = header("retry-after-ms").and_then(|value| seconds(value.trim(), 1000.0));
    let said = asked.max(exact).or_else(|| in_text(message));
    said.or_else(|| exhausted(headers)).map(|span| span.min(CAP))
}

/// Returns when the limits of which nothing is left are whole again.
fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    let left = headroom(headers)?;
    let limits = [(left.requests_remaining, left.requests_reset), (left.tokens_remaining, left.tokens_reset)];
    limits.into_iter().filter(|(remaining, _)| *remaining == Some(0)).filter_map(|(_, reset)| reset).max()
}

/// Reads "try again in 1.574s", "644ms", "6m0s" and "retry after 9 seconds".
fn in_text(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let rest = ["try again in ", "retry in ", "retry after ", "try again after "]
        .iter()
        .find_map(|phrase| message.split_once(phrase))?
        .1;
    units(rest)
}

/// Reads a span as rate-limit headers write it: "6m0s", "24ms", or plain seconds.
pub(crate) fn span(text: &str) -> Option<Duration> {
    seconds(text, 1.0).or_else(|| units(&text.to_ascii_lowercase()))
}

/// Reads numbers with units, one after the other, as far as they go.
fn units(text: &str) -> Option<Duration> {
    let mut total = None;
    let mut rest = text;
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let unit_length = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at_checked(unit_length)?;
        let per_second = match unit {
            "ms" | "millisecond" | "milliseconds" => 1000.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 1.0 / 60.0,
            "h" | "hour" | "hours" => 1.0 / 3600.0,
            _ => return total,
        };
        let Some(span) = seconds(number.trim_end_matches('.'), per_second) else { return total };
        total = Some(total.unwrap_or(Duration::ZERO).saturating_add(span));
        rest = after;
    }
}

fn seconds(number: &str, per_second: f64) -> Option<Duration> {
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    Some(Duration::try_from_secs_f64(number / per_second).unwrap_or(CAP))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(headers: &[(&'static str, &str)], message: &str, expected: Option<u64>) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let millis = retry_after(&headers, message).map(|span| span.as_millis());
        assert_eq!(millis, expected.map(u128::from), "{headers:?} {message}");
    }

    #[test]
    fn every_spelling_of_the_headers_is_read() {
        check(&[], "", None);
        check(&[("retry-after", "3")], "", Some(3000));
        check(&[("retry-after", " 0.25 ")], "", Some(250));
        check(&[("retry-after-ms", "1234.5")], "", Some(1234));
        check(&[("retry-after", "1"), ("retry-after-ms", "0")], "", Some(1000));
        check(&[("retry-after", "1"), ("retry-after-ms", "1500")], "", Some(1500));
        check(&[("retry-after", "6m0s")], "", Some(360_000));
        check(&[("retry-after", "120ms")], "", Some(120));
        check(&[("retry-after", "99999999999999999999")], "", Some(86_400_000));
        for nonsense in ["", "-1", "soon", "NaN", "inf", "+5", "1e", "Fri, 99 Foo"] {
            check(&[("retry-after", nonsense)], "", None);
        }
    }

    #[test]
    fn a_date_counts_from_the_reply_s_own() {
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        check(&[date, ("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")], "", Some(30_000));
        check(&[date, ("retry-after", "Wed, 21 Oct 2026 07:27:30 GMT")], "", Some(0));
        check(&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")], "", None);
    }

    #[test]
    fn the_message_is_read_last() {
        check(&[], "Please try again in 1.574s. Visit https://x", Some(1574));
        check(&[], "Please try again in 644ms.", Some(644));
        check(&[], "Please try again in 6m0s.", Some(360_000));
        check(&[], "please try again in 1h2m3.5s", Some(3_723_500));
        check(&[], "Please retry after 9 seconds.", Some(9000));
        check(&[], "Try again in 20 s, or not", Some(20_000));
        check(&[("retry-after", "2")], "Please try again in 9s", Some(2000));
        check(&[], "try again in a moment", None);
        check(&[], "try again in 7 parsecs", None);
        check(&[], "try again in ", None);
        check(&[], "try again in 1.2.3s", None);
    }

    #[test]
    fn a_limit_of_which_nothing_is_left_tells_when_it_is_whole_again() {
        let spent = ("x-ratelimit-remaining-requests", "0");
        let reset = ("x-ratelimit-reset-requests", "6m0s");
        check(&[spent, reset], "Slow down.", Some(360_000));
        check(&[spent, reset, ("retry-after", "2")], "", Some(2000));
        check(&[("x-ratelimit-remaining-requests", "1"), reset], "", None);
        let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "7")];
        check(&tokens, "", Some(7000));
    }
}
