//! `POST /v1/chat/completions`.

use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use llm_router::{ChatRequest, RouteReport};

use super::App;
use super::errors::ApiError;
use super::sse::Sse;

pub(super) async fn completions(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let request = ChatRequest::from_json(body?)?;
    if request.is_stream() {
        let stream = app.router.stream(&request).await?;
        let mut headers = report_headers(stream.report());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok((headers, Body::from_stream(Sse::new(stream))).into_response())
    } else {
        let completion = app.router.completion(&request).await?;
        let mut headers = report_headers(&completion.report);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok((headers, completion.reply.body).into_response())
    }
}

/// Who answered and after what, for whoever looks at the headers.
pub(super) fn report_headers(report: &RouteReport) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    let mut insert = |name: &'static str, value: &str| {
        // An alias may hold letters that a header cannot; such a header is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    insert("x-router-pool", report.pool.as_str());
    if let Some(deployment) = &report.deployment {
        insert("x-router-deployment", deployment.as_str());
    }
    insert("x-router-attempts", &report.attempts.len().to_string());
    insert("x-router-fallback", if report.fallback_triggered { "true" } else { "false" });
    insert("x-router-seed", &report.seed.to_string());
    if report.attempts.iter().any(|attempt| attempt.error.is_some()) {
        insert("x-router-trail", &trail(report));
    }
    headers
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
