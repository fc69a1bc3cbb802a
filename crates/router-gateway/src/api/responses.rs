//! `POST /v1/responses`: OpenAI's newer API, as far as it goes without keeping anything.
//!
//! A request is translated into the canonical shape, and what comes back into items. Nothing is stored: `store` is answered with
//! `false`, and a `previous_response_id` is refused, since there is nothing it could name.

mod item;
mod reply;
mod request;
mod stream;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use llm_router::JsonObject;

use self::stream::ResponseEvents;
use super::ApiError;
use super::body::WholeBody;
use super::call::{Answer, Call};
use super::sse::sse_headers;
use super::translated::Translated;

pub(super) async fn create(call: Call, WholeBody(body): WholeBody) -> Result<Response, ApiError> {
    let asked = JsonObject::read(body)?;
    let request = request::canonical(&asked)?;
    if request.is_stream() {
        let Answer { mut headers, content } = call.stream(request).await?;
        headers.extend(sse_headers());
        Ok((headers, Body::from_stream(Translated::new(content, ResponseEvents::new(asked)))).into_response())
    } else {
        let Answer { mut headers, content } = call.complete(request).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok((headers, reply::response(&asked, &content)?).into_response())
    }
}
