//! `POST /v1/chat/completions`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use llm_router::ChatRequest;

use super::ApiError;
use super::body::WholeBody;
use super::call::{Answer, Call};
use super::sse::{Sse, sse_headers};

pub(super) async fn completions(call: Call, WholeBody(body): WholeBody) -> Result<Response, ApiError> {
    let request = ChatRequest::from_json(body)?;
    if request.is_stream() {
        let Answer { mut headers, content } = call.stream(request).await?;
        headers.extend(sse_headers());
        Ok((headers, Body::from_stream(Sse::new(content))).into_response())
    } else {
        let Answer { mut headers, content } = call.complete(request).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok((headers, content.body).into_response())
    }
}
