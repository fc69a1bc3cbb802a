//! `POST /v1/embeddings`.

use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use llm_router::EmbeddingRequest;

use super::App;
use super::chat::report_headers;
use super::errors::ApiError;

pub(super) async fn create(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let embedding = app.router.embedding(&EmbeddingRequest::from_json(body?)?).await?;
    let mut headers = report_headers(&embedding.report);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, embedding.reply.body).into_response())
}
