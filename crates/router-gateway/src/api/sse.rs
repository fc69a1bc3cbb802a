//! Chunks as server-sent events.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::answer::AnswerStream;
use super::errors::stream_error;

/// Returns the headers of a stream of events. The last one keeps nginx from collecting them.
pub(super) fn sse_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ])
}

/// Frames a stream for the wire. A whole answer ends with `[DONE]`; an answer that was cut ends with an error event and without.
pub(super) struct Sse {
    stream: Option<AnswerStream>,
    /// Whether the reader was told that somebody else goes on with the answer.
    told: bool,
}

impl Sse {
    pub(super) const fn new(stream: AnswerStream) -> Self {
        Self { stream: Some(stream), told: false }
    }
}

impl Stream for Sse {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        let event = match std::task::ready!(Pin::new(&mut *stream).poll_next(cx)) {
            Some(Ok(chunk)) => {
                let news = stream.continuation().filter(|_| !std::mem::replace(&mut this.told, true));
                match news.and_then(|report| report.deployment.as_ref()) {
                    // A comment, which clients skip: the headers have left long since.
                    Some(deployment) => {
                        [format!(": continued by {deployment}\n\n").into(), event(&chunk.data)]
                            .concat()
                            .into()
                    }
                    None => event(&chunk.data),
                }
            }
            Some(Err(error)) => {
                this.stream = None;
                event(&stream_error(&error))
            }
            None => {
                this.stream = None;
                Bytes::from_static(b"data: [DONE]\n\n")
            }
        };
        Poll::Ready(Some(Ok(event)))
    }
}

/// One event. The payload is copied once, so that frame and payload leave in one write.
fn event(data: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(data.len() + 8);
    frame.extend_from_slice(b"data: ");
    frame.extend_from_slice(data);
    frame.extend_from_slice(b"\n\n");
    frame.into()
}
