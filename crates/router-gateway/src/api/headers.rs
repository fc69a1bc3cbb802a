//! The headers of an answer: who gave it, after what, for how much.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_router::{Alias, DeploymentId, RouteReport, Usd};

use crate::cache::{CacheKey, CachedAnswer};
use crate::context::Context;

/// Returns the headers that tell how a request was routed. Every endpoint answers with these, errors included.
///
/// `x-litellm-…` are those of LiteLLM's that clients are known to read, with its meaning. `cost` is there for whole answers: that of a
/// stream is not known before its end.
pub(crate) fn answer_headers(context: &Context, report: &RouteReport, cost: Option<Usd>) -> HeaderMap {
    let mut headers = Headers::new(context, &report.pool, report.deployment.as_ref(), report.upstream);
    let (retries, fallbacks) = (report.retries().to_string(), report.fallbacks().to_string());
    headers.insert("x-router-attempts", &report.attempts.len().to_string());
    headers.insert("x-router-retries", &retries);
    headers.insert("x-router-fallbacks", &fallbacks);
    headers.insert("x-router-fallback", if report.fallback_triggered { "true" } else { "false" });
    headers.insert("x-router-seed", &report.seed.to_string());
    if let Some(said) = &report.classification {
        headers.insert("x-router-label", &said.label);
        headers.insert("x-router-confidence", &format!("{:.3}", said.confidence));
        headers.insert("x-router-layer", said.layer.name());
        if let Some(complexity) = said.complexity {
            headers.insert("x-router-complexity", &format!("{complexity:.3}"));
        }
        headers.insert("x-router-classification-ms", &millis(said.took));
    }
    if report.attempts.iter().any(|attempt| attempt.error.is_some()) {
        headers.insert("x-router-trail", &trail(report));
    }
    if !report.dropped_params.is_empty() {
        headers.insert("x-router-dropped-params", &report.dropped_params.join(", "));
    }
    headers.insert("x-litellm-attempted-retries", &retries);
    headers.insert("x-litellm-attempted-fallbacks", &fallbacks);
    if let Some(cost) = cost {
        headers.cost(cost);
    }
    headers.0
}

/// Returns the headers of an answer that was given before: nobody was called, and it costs nothing.
pub(crate) fn kept_headers(context: &Context, answer: &CachedAnswer) -> HeaderMap {
    let mut headers = Headers::new(context, &answer.pool, answer.deployment.as_ref(), Duration::ZERO);
    headers.insert("x-router-attempts", "0");
    headers.cost(Usd::default());
    headers.0
}

/// Returns what there is to say about the cache: the key of the request, and how old the answer is if it is a kept one.
pub(crate) fn cache_headers(key: CacheKey, age: Option<Duration>) -> HeaderMap {
    let mut headers = Headers(HeaderMap::with_capacity(3));
    headers.insert("x-router-cache", if age.is_some() { "hit" } else { "miss" });
    headers.insert("x-litellm-cache-key", &key.to_hex());
    if let Some(age) = age {
        headers.insert("age", &age.as_secs().to_string());
    }
    headers.0
}

struct Headers(HeaderMap);

impl Headers {
    /// Begins with what every answer tells. `upstream` is the time that others took.
    fn new(context: &Context, pool: &Alias, deployment: Option<&DeploymentId>, upstream: Duration) -> Self {
        let mut headers = Self(HeaderMap::with_capacity(32));
        let elapsed = context.arrived.elapsed();
        let overhead = millis(elapsed.saturating_sub(upstream));
        headers.insert("x-router-pool", pool.as_str());
        headers.insert("x-router-overhead-ms", &overhead);
        headers.insert("x-litellm-model-group", pool.as_str());
        headers.insert("x-litellm-overhead-duration-ms", &overhead);
        headers.insert("x-litellm-response-duration-ms", &millis(elapsed));
        if let Some(deployment) = deployment {
            headers.insert("x-router-deployment", deployment.as_str());
            headers.insert("x-litellm-model-id", deployment.as_str());
        }
        headers.0.insert("x-litellm-call-id", context.request_id.clone());
        headers
    }

    fn insert(&mut self, name: &'static str, value: &str) {
        // An alias may hold letters that a header cannot; such a header is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.insert(HeaderName::from_static(name), value);
        }
    }

    fn cost(&mut self, cost: Usd) {
        let dollars = cost.to_string();
        self.insert("x-router-cost-usd", &dollars);
        self.insert("x-litellm-response-cost", &dollars);
    }
}

/// Milliseconds with three decimals.
fn millis(span: Duration) -> String {
    let micros = span.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
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
    fn milliseconds_have_three_decimals() {
        assert_eq!(millis(Duration::from_micros(1_234_567)), "1234.567");
        assert_eq!(millis(Duration::from_micros(7)), "0.007");
    }
}
