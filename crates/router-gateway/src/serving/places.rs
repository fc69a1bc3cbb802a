//! Bounds the requests under way: one too many is refused at once instead of slowing everybody down.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::ApiError;
use crate::app::App;

/// Takes a place for a request and keeps it until its answer is sent to the end.
pub(crate) async fn take_place(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.places().clone().try_acquire_owned() {
        Ok(place) => next.run(request).await.map(|body| Body::new(Placed { body, _place: place })),
        Err(_) => ApiError::overloaded().into_response(),
    }
}

/// A body that holds a place.
struct Placed {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
