//! A streamed answer, as the caller sees it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use router_core::{Chunk, ChunkKind, ChunkStream, ProviderError, ProviderErrorKind, Usage, Usd};
use tokio::time::{Instant, Sleep};

use crate::continuation::{Continued, Continuer, OpenedBefore};
use crate::engine::{OpenCall, Opened};
use crate::error::RouteError;
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
    state: State,
    show_usage: bool,
    usage: Option<Usage>,
    idle: Idle,
    report: RouteReport,
    continuer: Option<Continuer>,
    continuation: Option<RouteReport>,
}

#[expect(clippy::large_enum_variant, reason = "a stream is open nearly all its life")]
enum State {
    Open(ChunkStream, OpenCall),
    /// The stream broke with this error; somebody else is asked to go on.
    Continuing(ProviderError, Pin<Box<dyn Future<Output = Result<Continued, RouteError>> + Send>>),
    Ended,
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
        call: OpenCall,
        report: RouteReport,
        show_usage: bool,
        continuer: Option<Continuer>,
    ) -> Self {
        let Opened { ready, rest, .. } = opened;
        Self {
            usage: None,
            ready: ready.into_iter(),
            idle: Idle::new(call.idle_limit()),
            state: State::Open(rest, call),
            show_usage,
            report,
            continuer,
            continuation: None,
        }
    }

    /// Returns how the request was routed. What its last attempt used and cost is known once the stream has ended, or was
    /// [left](Self::leave).
    pub const fn report(&self) -> &RouteReport {
        &self.report
    }

    /// Returns how the rest of the answer was routed, when its stream broke and another deployment went on with it.
    pub const fn continuation(&self) -> Option<&RouteReport> {
        self.continuation.as_ref()
    }

    /// Returns the tokens used so far, as far as the provider has told; whether the caller asked for them does not matter.
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Gives up the rest of the answer, as dropping the stream does: the call upstream ends. The report then tells what the answer
    /// used and cost until here.
    pub fn leave(&mut self) {
        if let State::Open(_, call) = std::mem::replace(&mut self.state, State::Ended) {
            let account = call.leave();
            self.close_account(account);
        }
        self.ready = Vec::new().into_iter();
    }

    /// Completes the report of whoever answered last.
    fn close_account(&mut self, (usage, cost): (Option<Usage>, Option<Usd>)) {
        let report = self.continuation.as_mut().unwrap_or(&mut self.report);
        if let Some(last) = report.attempts.last_mut() {
            (last.usage, last.cost) = (usage, cost);
        }
    }

    /// Takes note of a chunk; returns whether the caller is to see it.
    fn admit(&mut self, chunk: &Chunk) -> bool {
        // Counts are cumulative: the last one stands.
        self.usage = chunk.usage.or(self.usage);
        if let State::Open(_, call) = &mut self.state {
            call.saw(chunk);
        }
        let shown = match chunk.kind {
            // Who goes on with an answer does not begin it again.
            ChunkKind::Preamble => self.continuation.is_none(),
            ChunkKind::Content | ChunkKind::Finish => true,
            ChunkKind::Usage => self.show_usage,
        };
        if let Some(continuer) = &mut self.continuer
            && shown
        {
            continuer.saw(chunk);
        }
        shown
    }

    /// Ends the call with this error; returns it, unless somebody else is asked to go on.
    fn fail(&mut self, error: ProviderError) -> Option<ProviderError> {
        let State::Open(_, call) = std::mem::replace(&mut self.state, State::Ended) else {
            return Some(error);
        };
        let (requested, pool) = call.origin();
        let deployment = call.deployment();
        let account = call.end(Some(&error));
        self.close_account(account);
        match (self.continuer.take(), pool) {
            (Some(continuer), Some(pool)) if continuer.can_continue() => {
                let going_on = continuer.go_on(OpenedBefore { requested, pool, deployment });
                self.state = State::Continuing(error, Box::pin(going_on));
                None
            }
            (Some(_), _) => {
                Some(explained(error, "the answer so far is more than plain text and cannot be continued"))
            }
            (None, _) => Some(error),
        }
    }

    fn take_over(&mut self, continued: Continued) {
        let Continued { opened: Opened { ready, rest, .. }, call, report } = continued;
        self.ready = ready.into_iter();
        self.idle = Idle::new(call.idle_limit());
        self.state = State::Open(rest, call);
        self.continuation = Some(report);
        self.usage = None;
    }
}

/// The error that broke a stream, with why nobody went on.
fn explained(error: ProviderError, why: &str) -> ProviderError {
    let message = format!("{}; {why}", error.message());
    ProviderError::new(error.kind(), message).with_source(error)
}

impl Stream for CompletionStream {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(chunk) = this.ready.next() {
                if this.admit(&chunk) {
                    return Poll::Ready(Some(Ok(chunk)));
                }
                continue;
            }
            let error = match &mut this.state {
                State::Ended => return Poll::Ready(None),
                State::Continuing(_, going_on) => {
                    let outcome = std::task::ready!(going_on.as_mut().poll(cx));
                    let State::Continuing(error, _) = std::mem::replace(&mut this.state, State::Ended) else {
                        return Poll::Ready(None);
                    };
                    match outcome {
                        Ok(continued) => {
                            this.take_over(continued);
                            continue;
                        }
                        Err(refusal) => {
                            let why = format!("it could not be continued: {refusal}");
                            return Poll::Ready(Some(Err(explained(error, &why))));
                        }
                    }
                }
                State::Open(rest, _) => match rest.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        this.idle.last_chunk = Instant::now();
                        if this.admit(&chunk) {
                            return Poll::Ready(Some(Ok(chunk)));
                        }
                        continue;
                    }
                    Poll::Ready(None) => {
                        if let State::Open(_, call) = std::mem::replace(&mut this.state, State::Ended) {
                            let account = call.end(None);
                            this.close_account(account);
                        }
                        return Poll::Ready(None);
                    }
                    Poll::Ready(Some(Err(error))) => error,
                    Poll::Pending => {
                        std::task::ready!(this.idle.poll_stalled(cx));
                        let message = format!("the stream stalled: no chunk within {:?}", this.idle.limit);
                        ProviderError::new(ProviderErrorKind::StreamInterrupted, message)
                    }
                },
            };
            if let Some(error) = this.fail(error) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl fmt::Debug for CompletionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionStream")
            .field("report", &self.report)
            .field("ended", &matches!(self.state, State::Ended))
            .finish_non_exhaustive()
    }
}
