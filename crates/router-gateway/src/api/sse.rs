//! Chunks as server-sent events.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use llm_router::CompletionStream;

use super::errors::stream_error;

/// Frames a stream for the wire. A whole answer ends with `[DONE]`; an answer that was cut ends with an error event and without.
pub(super) struct Sse {
    stream: Option<CompletionStream>,
}

impl Sse {
    pub(super) const fn new(stream: CompletionStream) -> Self {
        Self { stream: Some(stream) }
    }
}

impl Stream for Sse {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let event = match std::task::ready!(Pin::new(stream).poll_next(cx)) {
            Some(Ok(chunk)) => event(&chunk.data),
            Some(Err(error)) => {
                self.stream = None;
                event(&stream_error(&error))
            }
            None => {
                self.stream = None;
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
