//! What is known of a request before its body is read.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use llm_router::TraceContext;

use crate::access::Caller;
use crate::app::Serving;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) request_id: HeaderValue,
    /// The trace it is a part of, when the caller says so.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) arrived: Instant,
}

/// Who makes a request that was let in, and which configuration serves it, to its end.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) serving: Arc<Serving>,
    pub(crate) caller: Caller,
}

/// Names each request, and its answer alike.
pub(crate) async fn name_request(mut request: Request, next: Next) -> Response {
    let context = Context {
        request_id: given_id(request.headers()).unwrap_or_else(fresh_id),
        trace: trace(request.headers()),
        arrived: Instant::now(),
    };
    let id = context.request_id.clone();
    let line = tracing::debug_span!(
        "gateway.request",
        method = %request.method(),
        path = request.uri().path(),
        request_id = id.to_str().unwrap_or_default(),
        trace_id = context.trace.map(|trace| format!("{:032x}", trace.trace_id)),
    );
    request.extensions_mut().insert(context);
    let mut response = tracing::Instrument::instrument(next.run(request), line).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The caller's trace. A header that is malformed is as good as none, as the standard wants it.
fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get("traceparent")?.to_str().ok().and_then(TraceContext::parse)
}

/// The caller's own id, when it is fit for a log.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let is_fit = |id: &[u8]| (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    is_fit(id.as_bytes()).then(|| id.clone())
}

/// A new id: unpredictable at start, then counted up, and scrambled so that neighbours do not look alike.
fn fresh_id() -> HeaderValue {
    static SEED: std::sync::LazyLock<(RandomState, RandomState)> = std::sync::LazyLock::new(Default::default);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Relaxed);
    let id = format!("req_{:016x}{:016x}", SEED.0.hash_one(count), SEED.1.hash_one(count));
    // Letters and digits only, so this never fails.
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("req_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_id_is_kept_when_it_is_fit_for_a_log() {
        let check = |id: &str, kept: bool| {
            let headers =
                HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap())]);
            assert_eq!(given_id(&headers).is_some(), kept, "{id}");
        };
        check("3f2a-7", true);
        check("", false);
        check("two words", false);
        check("é", false);
        check(&"x".repeat(129), false);
    }

    #[test]
    fn fresh_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..1_000).map(|_| fresh_id()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
