//! A reply while it streams.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use router_core::{Chunk, ProviderError};

use super::redact::Redactor;
use super::transport::{self, Phase};
use crate::protocol::{Progress, StreamDecoder};

/// How long, after the end marker, to wait for the end of the body, so that the connection can be used again.
const DRAIN_TIME: Duration = Duration::from_secs(1);

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// Turns a response's bytes into chunks. Whatever was decoded before an error is delivered before it.
pub(super) struct ReplyStream {
    state: State,
    decoder: Box<dyn StreamDecoder>,
    decoded: VecDeque<Chunk>,
    redactor: Arc<Redactor>,
}

enum State {
    Reading(Body),
    Failed(ProviderError),
    Over,
}

impl ReplyStream {
    pub(super) fn new(response: Response, decoder: Box<dyn StreamDecoder>, redactor: Arc<Redactor>) -> Self {
        Self {
            state: State::Reading(Box::pin(response.bytes_stream())),
            decoder,
            decoded: VecDeque::new(),
            redactor,
        }
    }
}

impl Stream for ReplyStream {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.decoded.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            let State::Reading(body) = &mut this.state else {
                return Poll::Ready(match std::mem::replace(&mut this.state, State::Over) {
                    State::Failed(error) => Some(Err(this.redactor.clean(error))),
                    State::Reading(_) | State::Over => None,
                });
            };
            let progress = match ready!(body.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => this.decoder.push(bytes, &mut this.decoded),
                Some(Err(error)) => Err(transport::failed(error, Phase::Stream, true)),
                None => this.decoder.finish(&mut this.decoded).map(|()| Progress::Ended),
            };
            match progress {
                Ok(Progress::Open) => {}
                Ok(Progress::Ended) => {
                    if let State::Reading(body) = std::mem::replace(&mut this.state, State::Over) {
                        drain(body, cx);
                    }
                }
                Err(error) => this.state = State::Failed(error),
            }
        }
    }
}

/// Reads a body to its end, now or in the background. A connection whose last response was not read to the end cannot be used
/// again, and the end often comes in a packet of its own, just after the end marker.
fn drain(mut body: Body, cx: &mut Context<'_>) {
    loop {
        match body.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(_) => return,
            Poll::Pending => break,
        }
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let rest = async move { while let Some(Ok(_)) = body.next().await {} };
        runtime.spawn(tokio::time::timeout(DRAIN_TIME, rest));
    }
}
