//! The body of a reply: known at once, or written piece by piece while the client reads.

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::upstream::Watch;

/// Tells hyper to drop the connection; the client sees a reset or an incomplete body.
#[derive(Debug)]
pub(crate) struct Hangup;

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated upstream closes the connection")
    }
}

impl Error for Hangup {}

type Writer = Pin<Box<dyn Future<Output = Result<(), Hangup>> + Send>>;

/// A reply's body.
pub(crate) struct ReplyBody {
    source: Source,
    /// The announced length, if there is one.
    length: Option<u64>,
    watch: Option<Watch>,
}

enum Source {
    Whole(Bytes),
    Written { writer: Writer, page: Page },
    Done,
}

impl ReplyBody {
    /// Returns a body that is sent at once.
    pub(crate) fn whole(bytes: impl Into<Bytes>, watch: Option<Watch>) -> Self {
        let bytes = bytes.into();
        let mut body = Self { length: Some(bytes.len() as u64), source: Source::Whole(bytes), watch };
        if body.length == Some(0) {
            body.finish();
        }
        body
    }

    /// Returns a body that `write` sends through the [`Page`] it is given. The writer runs only while the client takes
    /// what it wrote, and is dropped when the client leaves.
    pub(crate) fn written<W>(length: Option<u64>, watch: Watch, write: impl FnOnce(Page) -> W) -> Self
    where
        W: Future<Output = Result<(), Hangup>> + Send + 'static,
    {
        let page = Page::default();
        let writer = Box::pin(write(page.clone()));
        Self { source: Source::Written { writer, page }, length, watch: Some(watch) }
    }

    /// Notes that nothing more is to be sent.
    pub(crate) fn finish(&mut self) {
        self.source = Source::Done;
        if let Some(mut watch) = self.watch.take() {
            watch.finish();
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Hangup;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Hangup>>> {
        match &mut self.source {
            Source::Done => Poll::Ready(None),
            Source::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.finish();
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Written { writer, page } => {
                let progress = writer.as_mut().poll(cx);
                if let Some(bytes) = page.take() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                progress.map(|end| {
                    self.finish();
                    end.err().map(Err)
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Where a writer puts the next bytes for the body to hand on: room for one frame, so nothing piles up.
#[derive(Clone, Default)]
pub(crate) struct Page(Arc<Mutex<Option<Bytes>>>);

impl Page {
    /// Sends a frame and waits until the connection wants the next one.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.into());
        // No waker: the body finds the page filled in this very poll, and polls the writer when it is asked for more.
        let mut is_written = false;
        poll_fn(|_| if std::mem::replace(&mut is_written, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }

    /// Returns the error that drops the connection, after what was sent is out on the network.
    pub(crate) async fn hang_up(&self) -> Hangup {
        // hyper flushes when a body has nothing to give, and throws away what it holds when a body fails.
        tokio::task::yield_now().await;
        Hangup
    }

    fn take(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
