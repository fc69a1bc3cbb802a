//! The headers of an answer: who gave it, after what, for how much.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_router::{RouteReport, Usd};

use crate::context::Context;

/// Returns the headers that tell how a request was routed. Every endpoint answers with these, errors included.
///
/// `x-litellm-…` are those of LiteLLM's that clients are known to read, with its meaning. `cost` is there for whole answers: that of a
/// stream is not known before its end.
pub(crate) fn answer_headers(context: &Context, report: &RouteReport, cost: Option<Usd>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(32);
    let mut insert = |name: &'static str, value: &str| {
        // An alias may hold letters that a header cannot; such a header is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let (retries, fallbacks) = (report.retries().to_string(), report.fallbacks().to_string());
    let elapsed = context.arrived.elapsed();
    let overhead = millis(elapsed.saturating_sub(report.upstream));

    insert("x-router-pool", report.pool.as_str());
    insert("x-router-attempts", &report.attempts.len().to_string());
    insert("x-router-retries", &retries);
    insert("x-router-fallbacks", &fallbacks);
    insert("x-router-fallback", if report.fallback_triggered { "true" } else { "false" });
    insert("x-router-overhead-ms", &overhead);
    insert("x-router-seed", &report.seed.to_string());
    if let Some(said) = &report.classification {
        insert("x-router-label", &said.label);
        insert("x-router-confidence", &format!("{:.3}", said.confidence));
        insert("x-router-layer", said.layer.name());
        if let Some(complexity) = said.complexity {
            insert("x-router-complexity", &format!("{complexity:.3}"));
        }
        insert("x-router-classification-ms", &millis(said.took));
    }
    if report.attempts.iter().any(|attempt| attempt.error.is_some()) {
        insert("x-router-trail", &trail(report));
    }
    if !report.dropped_params.is_empty() {
        insert("x-router-dropped-params", &report.dropped_params.join(", "));
    }
    insert("x-litellm-model-group", report.pool.as_str());
    insert("x-litellm-attempted-retries", &retries);
    insert("x-litellm-attempted-fallbacks", &fallbacks);
    insert("x-litellm-overhead-duration-ms", &overhead);
    insert("x-litellm-response-duration-ms", &millis(elapsed));
    if let Some(deployment) = &report.deployment {
        insert("x-router-deployment", deployment.as_str());
        insert("x-litellm-model-id", deployment.as_str());
    }
    if let Some(cost) = cost {
        let dollars = dollars(cost);
        insert("x-router-cost-usd", &dollars);
        insert("x-litellm-response-cost", &dollars);
    }
    headers.insert("x-litellm-call-id", context.request_id.clone());
    headers
}

/// Milliseconds with three decimals.
fn millis(span: Duration) -> String {
    let micros = span.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

/// Dollars, exact: no digit is lost and none is made up.
pub(crate) fn dollars(amount: Usd) -> String {
    const PICO: u64 = 1_000_000_000_000;
    let (whole, rest) = (amount.as_pico() / PICO, amount.as_pico() % PICO);
    let text = format!("{whole}.{rest:012}");
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

/// One word for each attempt: `fast:gpt-4o-mini=server error (500), fast:claude-haiku=answered`.
fn trail(report: &RouteReport) -> String {
    let words = report.attempts.iter().map(|attempt| match &attempt.error {
        None => format!("{}=answered", attempt.deployment),
        Some(error) => match error.status {
            Some(status) => format!("{}={} ({status})", attempt.deployment, error.kind),
            None => format!("{}={}", attempt.deployment, error.kind),
        },
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        let check = |pico: u64, expected: &str| assert_eq!(dollars(Usd::from_pico(pico)), expected);
        check(0, "0");
        check(1, "0.000000000001");
        check(150_000, "0.00000015");
        check(1_500_000_000_000, "1.5");
        check(20_000_000_000_000, "20");
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        assert_eq!(millis(Duration::from_micros(1_234_567)), "1234.567");
        assert_eq!(millis(Duration::from_micros(7)), "0.007");
    }
}
