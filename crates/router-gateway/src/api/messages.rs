//! `POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API, over deployments of every provider.
//!
//! A request is translated into the canonical shape, and carries the caller's own words along for deployments that are Anthropic's.
//! Replies come in the canonical shape and are translated back.

mod conversation;
mod errors;
mod reply;
mod request;
mod stream;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use llm_router::JsonObject;
use serde_json::{Value, json};

pub(super) use self::errors::in_anthropics_shape;
use self::request::Purpose;
use self::stream::MessageEvents;
use super::ApiError;
use super::body::WholeBody;
use super::call::{Answer, Call};
use super::sse::sse_headers;
use super::translated::Translated;

const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

pub(super) async fn create(
    call: Call,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let body = JsonObject::read(body)?;
    let stops = request::stop_sequences(&body)?;
    let request = request::canonical(body, betas(&headers), Purpose::Answer)?;
    if request.is_stream() {
        let Answer { mut headers, content } = call.stream(request).await?;
        headers.extend(sse_headers());
        let events = MessageEvents::new(content.prompt_tokens(), stops);
        Ok((headers, Body::from_stream(Translated::new(content, events))).into_response())
    } else {
        let Answer { mut headers, content } = call.complete(request).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok((headers, reply::message(&content, &stops)?).into_response())
    }
}

/// Counts by estimate: nothing is called.
pub(super) async fn count_tokens(
    call: Call,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Json<Value>, ApiError> {
    let request = request::canonical(JsonObject::read(body)?, betas(&headers), Purpose::Count)?;
    Ok(Json(json!({"input_tokens": call.estimate(request)?.prompt_tokens})))
}

/// The beta features asked for, which belong to the request.
fn betas(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(BETA).iter().map(|value| (BETA, value.clone())).collect()
}
