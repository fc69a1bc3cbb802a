//! `POST /v1/embeddings`.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use llm_router::EmbeddingRequest;

use super::ApiError;
use super::body::WholeBody;
use super::call::{Answer, Call};

pub(super) async fn create(call: Call, WholeBody(body): WholeBody) -> Result<Response, ApiError> {
    let Answer { mut headers, content } = call.embed(EmbeddingRequest::from_json(body)?).await?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, content).into_response())
}
