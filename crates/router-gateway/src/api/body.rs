//! Request bodies: bounded in size and in time.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, EXPECT};

use super::ApiError;
use crate::app::App;

/// The whole body of a request.
#[derive(Debug)]
pub(super) struct WholeBody(pub(super) Bytes);

impl FromRequest<App> for WholeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let limits = app.limits();
        let (head, body) = request.into_parts();
        let announced =
            head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let is_too_large =
            announced.is_some_and(|length| length > u64::try_from(limits.max_body).unwrap_or(u64::MAX));
        if is_too_large {
            // Whoever waits for leave to send gets the answer instead. The others are sending by now, and would not hear it over
            // the reset of their connection: what they send is read and dropped.
            if !head.headers.contains_key(EXPECT) {
                let _ = tokio::time::timeout(limits.body_timeout, drop_bytes(body, limits.max_body)).await;
            }
            return Err(ApiError::body_too_large(limits.max_body));
        }
        match tokio::time::timeout(limits.body_timeout, read(body, limits.max_body)).await {
            Ok(outcome) => outcome.map(Self),
            Err(_) => Err(ApiError::body_too_slow(limits.body_timeout)),
        }
    }
}

/// Reads up to twice the limit and keeps nothing of it.
async fn drop_bytes(body: Body, limit: usize) {
    let mut left = limit.saturating_mul(2);
    let mut bytes = body.into_data_stream();
    while let Some(Ok(piece)) = bytes.next().await
        && piece.len() <= left
    {
        left -= piece.len();
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    to_bytes(body, limit).await.map_err(|error| {
        let error = error.into_inner();
        if error.is::<http_body_util::LengthLimitError>() {
            ApiError::body_too_large(limit)
        } else {
            ApiError::body_broken(&error)
        }
    })
}
