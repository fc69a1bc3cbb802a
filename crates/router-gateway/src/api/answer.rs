//! A streamed answer on its way to the caller: asked for, or kept from before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use llm_router::{Chunk, Clock, CompletionStream, ProviderError, RouteReport, Usage};

use super::bill::Bill;
use crate::access::Used;
use crate::cache::{CachedAnswer, Pending};

/// The chunks of an answer. However it ends, what was used until then is billed, also when the caller leaves.
#[derive(Debug)]
pub(crate) struct AnswerStream {
    source: Source,
    prompt_tokens: u64,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all answers are asked for")]
enum Source {
    Asked { stream: CompletionStream, bill: Option<Bill>, keeping: Option<Keeping> },
    Kept { answer: Arc<CachedAnswer>, next: usize },
}

impl AnswerStream {
    pub(super) const fn asked(stream: CompletionStream, bill: Bill, keeping: Option<Keeping>) -> Self {
        let prompt_tokens = bill.prompt_tokens();
        Self { source: Source::Asked { stream, bill: Some(bill), keeping }, prompt_tokens }
    }

    pub(super) const fn kept(answer: Arc<CachedAnswer>, prompt_tokens: u64) -> Self {
        Self { source: Source::Kept { answer, next: 0 }, prompt_tokens }
    }

    /// Returns how the rest of the answer was routed, when somebody else went on with it.
    pub(crate) const fn continuation(&self) -> Option<&RouteReport> {
        match &self.source {
            Source::Asked { stream, .. } => stream.continuation(),
            Source::Kept { .. } => None,
        }
    }

    /// Returns how many tokens the prompt is estimated to have.
    pub(super) const fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// Returns the tokens of an answer that has ended: as the provider says, or by estimate.
    pub(super) fn usage(&self) -> Usage {
        let known = match &self.source {
            Source::Asked { stream, .. } => last(stream).attempts.last().and_then(|attempt| attempt.usage),
            Source::Kept { answer, .. } => answer.usage,
        };
        known.unwrap_or(Usage { prompt: self.prompt_tokens, ..Usage::default() })
    }
}

/// The report of whoever answered last.
fn last(stream: &CompletionStream) -> &RouteReport {
    stream.continuation().unwrap_or_else(|| stream.report())
}

impl Stream for AnswerStream {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match &mut this.source {
            Source::Asked { stream, keeping, .. } => {
                let next = std::task::ready!(Pin::new(&mut *stream).poll_next(cx));
                if let Some(kept) = keeping.take() {
                    *keeping = kept.saw(&next, stream);
                }
                Poll::Ready(next)
            }
            Source::Kept { answer, next } => {
                let chunk = answer.chunks.get(*next).cloned();
                *next += 1;
                Poll::Ready(chunk.map(Ok))
            }
        }
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        let Source::Asked { stream, bill, .. } = &mut self.source else { return };
        stream.leave();
        if let Some(bill) = bill.take() {
            bill.settle(Used::of(std::iter::once(stream.report()).chain(stream.continuation())));
        }
    }
}

/// Keeps a stream for the cache while it passes.
#[derive(Debug)]
pub(super) struct Keeping {
    pending: Pending,
    chunks: Vec<Chunk>,
    size: usize,
    clock: Arc<dyn Clock>,
}

impl Keeping {
    pub(super) const fn new(pending: Pending, clock: Arc<dyn Clock>) -> Self {
        Self { pending, chunks: Vec::new(), size: 0, clock }
    }

    /// Takes note of what came; `None` when there is no more to come, or too much to be kept.
    fn saw(mut self, next: &Option<Result<Chunk, ProviderError>>, stream: &CompletionStream) -> Option<Self> {
        match next {
            Some(Ok(chunk)) => {
                self.size += CachedAnswer::size_of(chunk);
                if !self.pending.keeps(self.size) {
                    return None;
                }
                // A copy: the chunk may be a part of a larger buffer, which would be kept with it.
                self.chunks.push(Chunk { data: Bytes::copy_from_slice(&chunk.data), ..chunk.clone() });
                Some(self)
            }
            Some(Err(_)) => None,
            None => {
                let now = self.clock.now();
                self.pending.answered(CachedAnswer::new(last(stream), self.chunks, now), now);
                None
            }
        }
    }
}
