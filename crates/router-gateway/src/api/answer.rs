//! A streamed answer on its way to the caller, and the bill for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use llm_router::{Chunk, ChunkKind, CompletionStream, ProviderError, RouteReport, Router, Usage};

use crate::access::{Claim, Used, VirtualKey};
use crate::app::App;
use crate::cost::cost;

/// What a caller owes for one request. Dropped, it says that nothing was used.
#[derive(Debug)]
pub(super) struct Bill {
    prompt_tokens: u64,
    open: Option<(Arc<VirtualKey>, Claim, App)>,
}

impl Bill {
    /// For callers who have no account.
    pub(super) const fn nobodys(prompt_tokens: u64) -> Self {
        Self { prompt_tokens, open: None }
    }

    /// For a claim that was granted.
    pub(super) const fn of(key: Arc<VirtualKey>, claim: Claim, app: App) -> Self {
        Self { prompt_tokens: claim.tokens, open: Some((key, claim, app)) }
    }

    /// Returns how many tokens the prompt is estimated to have.
    pub(super) const fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// Closes it with what was used.
    pub(super) fn settle(mut self, used: Used) {
        self.close(used);
    }

    fn close(&mut self, used: Used) {
        if let Some((key, claim, app)) = self.open.take() {
            app.ledger().settle(&key, &claim, used, app.clock().now());
        }
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.close(Used::default());
    }
}

/// The chunks of an answer. However it ends, what was used until then is billed, also when the caller leaves.
#[derive(Debug)]
pub(crate) struct AnswerStream {
    stream: CompletionStream,
    bill: Bill,
    router: Router,
    /// Chunks with content so far: about a token each.
    content_chunks: u64,
}

impl AnswerStream {
    pub(super) const fn new(stream: CompletionStream, bill: Bill, router: Router) -> Self {
        Self { stream, bill, router, content_chunks: 0 }
    }

    /// Returns how the rest of the answer was routed, when somebody else went on with it.
    pub(crate) const fn continuation(&self) -> Option<&RouteReport> {
        self.stream.continuation()
    }

    /// Returns how many tokens the prompt is estimated to have.
    pub(super) const fn prompt_tokens(&self) -> u64 {
        self.bill.prompt_tokens()
    }

    /// Returns the tokens used so far: as the provider says, or by estimate.
    pub(super) fn usage(&self) -> Usage {
        let estimate = || Usage {
            prompt: self.bill.prompt_tokens(),
            completion: self.content_chunks,
            ..Usage::default()
        };
        // Some providers count along; what was said last can be behind what was sent.
        let told = self.stream.usage().filter(|usage| usage.completion > 0 || self.content_chunks == 0);
        told.unwrap_or_else(estimate)
    }
}

impl Stream for AnswerStream {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.stream).poll_next(cx));
        if let Some(Ok(chunk)) = &next
            && chunk.kind == ChunkKind::Content
        {
            self.content_chunks += 1;
        }
        Poll::Ready(next)
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        let usage = self.usage();
        let report = self.stream.continuation().unwrap_or_else(|| self.stream.report());
        let cost = cost(&self.router, report, &usage).unwrap_or_default();
        self.bill.close(Used::new(usage.total(), cost));
    }
}
