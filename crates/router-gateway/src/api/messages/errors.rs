//! Errors in Anthropic's shape, so that its SDKs raise the right exception.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use llm_router::ProviderError;
use serde_json::{Value, json};

use crate::api::errors::{Detail, meaning};
use crate::context::Context;

/// Names the answer as Anthropic's clients expect it, and gives an error Anthropic's shape, whoever on the way to the endpoint made it.
pub(in crate::api) async fn in_anthropics_shape(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<Context>().map(|context| context.request_id.clone());
    let mut response = next.run(request).await;
    if let Some(id) = &id {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id.clone());
    }
    if let Some(detail) = response.extensions_mut().remove::<Detail>() {
        let mut error = body(response.status(), &detail.message);
        if let (Some(error), Some(id)) =
            (error.as_object_mut(), id.as_ref().and_then(|id: &HeaderValue| id.to_str().ok()))
        {
            error.insert("request_id".to_owned(), id.into());
        }
        *response.body_mut() = Body::from(error.to_string());
    }
    response
}

/// The error that ends a cut stream.
pub(super) fn stream_error(error: &ProviderError) -> Value {
    let (status, _) = meaning(error.kind());
    body(status, &format!("the answer is incomplete: {error}"))
}

fn body(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}
