//! A stream in another API's words.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use llm_router::{Chunk, ProviderError, Usage};
use serde::Serialize;

use super::answer::AnswerStream;

/// Turns the chunks of an answer into the events of another API.
pub(super) trait Translate: Unpin {
    /// Takes the next chunk.
    fn take(&mut self, chunk: &Chunk, events: &mut Events) -> Result<(), ProviderError>;

    /// Is told that the answer is complete, and what it used.
    fn finish(&mut self, usage: &Usage, events: &mut Events);

    /// Is told that the answer ends here, incomplete.
    fn fail(&mut self, error: &ProviderError, events: &mut Events);
}

/// Server-sent events, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Events(Vec<u8>);

impl Events {
    /// Adds an event with a name.
    pub(super) fn named(&mut self, name: &str, data: &impl Serialize) {
        self.0.extend_from_slice(b"event: ");
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.data(data);
    }

    /// Adds an event without one.
    pub(super) fn data(&mut self, data: &impl Serialize) {
        self.0.extend_from_slice(b"data: ");
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, data);
        self.0.extend_from_slice(b"\n\n");
    }

    /// Adds the mark at the end of OpenAI's streams.
    pub(super) fn done(&mut self) {
        self.0.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// An answer, translated while it arrives.
pub(super) struct Translated<T> {
    stream: Option<AnswerStream>,
    translate: T,
}

impl<T> Translated<T> {
    pub(super) const fn new(stream: AnswerStream, translate: T) -> Self {
        Self { stream: Some(stream), translate }
    }
}

impl<T: Translate> Stream for Translated<T> {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut events = Events::default();
        // Some chunks say nothing in the other API; those wait for the next.
        while events.0.is_empty() {
            let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
            let outcome = match std::task::ready!(Pin::new(&mut *stream).poll_next(cx)) {
                Some(Ok(chunk)) => this.translate.take(&chunk, &mut events),
                Some(Err(error)) => Err(error),
                None => {
                    this.translate.finish(&stream.usage(), &mut events);
                    this.stream = None;
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                this.translate.fail(&error, &mut events);
                this.stream = None;
            }
        }
        Poll::Ready(Some(Ok(events.0.into())))
    }
}
