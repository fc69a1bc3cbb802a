//! A streamed answer, as the caller sees it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use router_core::{Chunk, ChunkKind, ChunkStream, ProviderError, ProviderErrorKind, Usage};
use tokio::time::{Instant, Sleep};

use crate::engine::{OpenCall, Opened};
use crate::report::RouteReport;

/// The chunks of a streamed answer, from the first one on.
///
/// It ends after its last chunk only when the answer is complete. An answer that was cut ends with an error: what came before
/// is not the whole. Dropping the stream cancels the call upstream.
///
/// ```no_run
/// use futures_util::StreamExt;
/// use llm_router::{ChatRequest, Router};
///
/// # async fn ask(router: Router) -> Result<(), Box<dyn std::error::Error>> {
/// let mut stream = router.stream(&ChatRequest::user("fast", "Count to ten.")?).await?;
/// while let Some(chunk) = stream.next().await {
///     print!("{}", chunk?.text().unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream that is dropped cancels the answer"]
pub struct CompletionStream {
    ready: std::vec::IntoIter<Chunk>,
    /// `None` once it ended.
    rest: Option<(ChunkStream, OpenCall)>,
    show_usage: bool,
    usage: Option<Usage>,
    idle: Idle,
    report: RouteReport,
}

/// Watches for a stall between two chunks. The timer is set once per limit, not once per chunk.
struct Idle {
    limit: Duration,
    last_chunk: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, last_chunk: Instant::now(), timer: Box::pin(tokio::time::sleep(limit)) }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let due = self.last_chunk + self.limit;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}

impl CompletionStream {
    pub(crate) fn new(
        opened: Opened,
        report: RouteReport,
        show_usage: bool,
        idle_limit: Duration,
        call: OpenCall,
    ) -> Self {
        let Opened { ready, rest, .. } = opened;
        let usage = ready.iter().rev().find_map(|chunk| chunk.usage);
        let idle = Idle::new(idle_limit);
        Self { ready: ready.into_iter(), rest: Some((rest, call)), show_usage, usage, idle, report }
    }

    /// Returns how the request was routed, up to the first token.
    pub const fn report(&self) -> &RouteReport {
        &self.report
    }

    fn end(&mut self, error: Option<&ProviderError>) {
        if let Some((_, call)) = self.rest.take() {
            call.end(error, self.usage);
        }
    }

    const fn is_shown(&self, chunk: &Chunk) -> bool {
        match chunk.kind {
            ChunkKind::Preamble | ChunkKind::Content | ChunkKind::Finish => true,
            ChunkKind::Usage => self.show_usage,
        }
    }
}

impl Stream for CompletionStream {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(chunk) = this.ready.next() {
                if this.is_shown(&chunk) {
                    return Poll::Ready(Some(Ok(chunk)));
                }
                continue;
            }
            let Some((rest, _)) = &mut this.rest else {
                return Poll::Ready(None);
            };
            let error = match rest.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    this.idle.last_chunk = Instant::now();
                    // Counts are cumulative: the last one stands.
                    this.usage = chunk.usage.or(this.usage);
                    if this.is_shown(&chunk) {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    continue;
                }
                Poll::Ready(None) => {
                    this.end(None);
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => error,
                Poll::Pending => {
                    std::task::ready!(this.idle.poll_stalled(cx));
                    let message = format!("the stream stalled: no chunk within {:?}", this.idle.limit);
                    ProviderError::new(ProviderErrorKind::StreamInterrupted, message)
                }
            };
            this.end(Some(&error));
            return Poll::Ready(Some(Err(error)));
        }
    }
}

impl fmt::Debug for CompletionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionStream")
            .field("report", &self.report)
            .field("ended", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}
