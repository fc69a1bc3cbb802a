//! Errors in OpenAI's shape, so that every SDK raises the right exception.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use llm_router::{ProviderError, ProviderErrorKind, RequestError, RouteError};
use serde::Serialize;

use super::chat::report_headers;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    headers: HeaderMap,
    error: Detail,
}

#[derive(Debug, Serialize)]
struct Detail {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a Detail,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&str>, message: String) -> Self {
        let error = Detail { message, kind, param: None, code: code.map(str::to_owned) };
        Self { status, headers: HeaderMap::new(), error }
    }

    fn with_param(mut self, param: &str) -> Self {
        self.error.param = Some(param.to_owned());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, self.headers, Json(Envelope { error: &self.error })).into_response()
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), "invalid_request_error", None, rejection.body_text())
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let api = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, error.to_string());
        match error.field() {
            Some(field) => api.with_param(field),
            None => api,
        }
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        let mut api = match &error {
            RouteError::UnknownAlias { .. } => {
                Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"), message)
                    .with_param("model")
            }
            RouteError::Failed { error, .. } => {
                let (status, kind) = meaning(error.kind());
                Self::new(status, kind, error.code().or(code(error.kind())), message)
            }
            RouteError::Request(wrong) => return Self::from(wrong.clone()),
            RouteError::Unavailable { obstacle, .. } if obstacle.is_limit() => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                Some("no_deployment_ready"),
                message,
            ),
            RouteError::Unavailable { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                Some("no_deployment_ready"),
                message,
            ),
            RouteError::DeadlineExceeded { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", Some("deadline_exceeded"), message)
            }
            other => Self::new(StatusCode::BAD_GATEWAY, "server_error", None, other.to_string()),
        };
        if let Some(report) = error.report() {
            api.headers = report_headers(report);
        }
        if let Some(span) = error.retry_after() {
            // Whole seconds, rounded up: who comes back a moment early is refused again.
            let seconds = span.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                api.headers.insert(RETRY_AFTER, value);
            }
        }
        api
    }
}

/// The status and OpenAI type that an SDK turns into the exception which fits.
fn meaning(kind: ProviderErrorKind) -> (StatusCode, &'static str) {
    use ProviderErrorKind as Kind;
    match kind {
        Kind::Authentication => (StatusCode::UNAUTHORIZED, "authentication_error"),
        Kind::Permission => (StatusCode::FORBIDDEN, "permission_error"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found_error"),
        Kind::QuotaExhausted | Kind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        Kind::InvalidRequest | Kind::Unsupported | Kind::ContextWindow | Kind::ContentPolicy => {
            (StatusCode::BAD_REQUEST, "invalid_request_error")
        }
        Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
        Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout_error"),
        // Connection, malformed reply, interrupted stream, the provider's own 5xx, and kinds yet to come.
        _ => (StatusCode::BAD_GATEWAY, "server_error"),
    }
}

/// The code for errors whose provider gave none.
const fn code(kind: ProviderErrorKind) -> Option<&'static str> {
    match kind {
        ProviderErrorKind::ContextWindow => Some("context_length_exceeded"),
        ProviderErrorKind::ContentPolicy => Some("content_filter"),
        ProviderErrorKind::RateLimited => Some("rate_limit_exceeded"),
        ProviderErrorKind::QuotaExhausted => Some("insufficient_quota"),
        _ => None,
    }
}

/// The error event that ends a cut stream. Its code is always the same, so that a client can tell an answer which is incomplete from one
/// that never began; what the provider said stands in the message.
pub(super) fn stream_error(error: &ProviderError) -> Vec<u8> {
    let (_, kind) = meaning(error.kind());
    let message = format!("the answer is incomplete: {error}");
    let detail = Detail { message, kind, param: None, code: Some("stream_interrupted".to_owned()) };
    serde_json::to_vec(&Envelope { error: &detail }).unwrap_or_default()
}

pub(super) async fn no_such_path(method: Method, uri: Uri) -> ApiError {
    let message = format!("there is nothing at {method} {}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("unknown_url"), message)
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        Some("method_not_supported"),
        message,
    )
}
