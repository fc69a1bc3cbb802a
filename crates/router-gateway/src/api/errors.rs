//! Errors in OpenAI's shape, so that every SDK raises the right exception.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use llm_router::{ProviderError, ProviderErrorKind, RequestError, RouteError};
use serde::Serialize;

use crate::access::{Refusal, VirtualKey};

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// Boxed, since errors are rare and travel through results that are not.
    pub(crate) headers: Box<HeaderMap>,
    pub(crate) error: Detail,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Detail {
    pub(crate) message: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a Detail,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&str>, message: String) -> Self {
        let error = Detail { message, kind, param: None, code: code.map(str::to_owned) };
        Self { status, headers: Box::default(), error }
    }

    fn with_param(mut self, param: &str) -> Self {
        self.error.param = Some(param.to_owned());
        self
    }

    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Tells when to come back, in whole seconds, rounded up: who comes back a moment early is refused again.
    fn with_retry_after(mut self, span: Option<Duration>) -> Self {
        let seconds = span.map(|span| span.as_millis().div_ceil(1000).max(1));
        if let Some(value) = seconds.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok()) {
            self.headers.insert(RETRY_AFTER, value);
        }
        self
    }

    /// The SDKs try again after a 429 on their own; this tells them that it is of no use.
    fn without_retry(mut self) -> Self {
        let name = HeaderName::from_static("x-should-retry");
        self.headers.insert(name, HeaderValue::from_static("false"));
        self
    }

    fn invalid(status: StatusCode, code: Option<&str>, message: String) -> Self {
        Self::new(status, "invalid_request_error", code, message)
    }
}

/// What the gateway itself has to say.
impl ApiError {
    pub(crate) fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, message.to_owned())
    }

    pub(crate) fn overloaded() -> Self {
        let message = "as many requests are under way as this gateway takes on".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("overloaded"), message)
            .with_retry_after(Some(Duration::from_secs(1)))
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let message = format!("the body is larger than the {limit} bytes that are allowed");
        Self::invalid(StatusCode::PAYLOAD_TOO_LARGE, Some("body_too_large"), message)
    }

    pub(super) fn body_too_slow(limit: Duration) -> Self {
        let message = format!("the body did not arrive within {limit:?}");
        Self::invalid(StatusCode::REQUEST_TIMEOUT, Some("body_too_slow"), message)
    }

    pub(super) fn body_broken(error: &dyn std::fmt::Display) -> Self {
        Self::invalid(StatusCode::BAD_REQUEST, None, format!("the body cannot be read: {error}"))
    }

    /// A field that is not what it should be.
    pub(super) fn wrong(place: &str, expected: &str) -> Self {
        let message = format!("`{place}` is wrong: expected {expected}");
        Self::invalid(StatusCode::BAD_REQUEST, None, message).with_param(place)
    }

    /// A field that is not there.
    pub(super) fn missing(place: &str) -> Self {
        let message = format!("`{place}` is missing");
        Self::invalid(StatusCode::BAD_REQUEST, None, message).with_param(place)
    }

    /// A field that asks for what this API cannot do here.
    pub(super) fn unsupported(place: &str, why: &str) -> Self {
        let message = format!("`{place}` is not supported: {why}");
        Self::invalid(StatusCode::BAD_REQUEST, Some("unsupported_parameter"), message).with_param(place)
    }

    /// An answer that cannot be told in the words of the caller's API.
    pub(super) fn untranslatable(error: &ProviderError) -> Self {
        let (status, kind) = meaning(error.kind());
        Self::new(status, kind, None, error.to_string())
    }

    pub(super) fn no_such_model(id: &str) -> Self {
        let message = format!("there is no model `{id}`");
        Self::invalid(StatusCode::NOT_FOUND, Some("model_not_found"), message).with_param("model")
    }

    pub(crate) fn no_key() -> Self {
        let message = "no API key: expected a header `Authorization: Bearer <key>`".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", Some("invalid_api_key"), message)
    }

    pub(crate) fn wrong_key() -> Self {
        let message = "the API key is not known here".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", Some("invalid_api_key"), message)
    }

    pub(crate) fn blocked_key() -> Self {
        let message = "the API key is blocked".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", Some("invalid_api_key"), message)
    }

    pub(crate) fn master_only() -> Self {
        let message = "only the master key may see this".to_owned();
        Self::new(StatusCode::FORBIDDEN, "permission_error", Some("master_key_required"), message)
    }

    pub(super) fn forbidden_model(model: &str) -> Self {
        let message = format!("the API key may not call the model `{model}`");
        Self::new(StatusCode::FORBIDDEN, "permission_error", Some("key_model_access_denied"), message)
            .with_param("model")
    }

    /// A request that is over the limits of its key.
    pub(super) fn refused(refusal: Refusal, key: &VirtualKey) -> Self {
        let name = key.name();
        let limited = |what: &str| {
            let message = format!("the key `{name}` {what}");
            Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"), message)
        };
        match refusal {
            Refusal::Requests(wait) => {
                limited("has used up its requests of this minute").with_retry_after(Some(wait))
            }
            Refusal::Tokens(wait) => {
                limited("has used up its tokens of this minute").with_retry_after(Some(wait))
            }
            Refusal::Parallel => limited("has as many requests under way as it may")
                .with_retry_after(Some(Duration::from_secs(1))),
            Refusal::Budget(wait) => {
                let message = format!("the key `{name}` has spent its budget");
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, "budget_exceeded", Some("insufficient_quota"), message)
                    .with_retry_after(wait)
                    .without_retry()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(Envelope { error: &self.error });
        let mut response = (self.status, *self.headers, body).into_response();
        // For APIs that write errors in another shape.
        response.extensions_mut().insert(self.error);
        response
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
        let api = match &error {
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
        api.with_retry_after(error.retry_after())
    }
}

/// The status and OpenAI type that an SDK turns into the exception which fits.
pub(super) fn meaning(kind: ProviderErrorKind) -> (StatusCode, &'static str) {
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
