//! Takes accounts of requests and hands them to sinks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use router_core::{Event, Observer};
use tokio::sync::mpsc;

use crate::record::{CallRecord, Outcome, RecordedContent};

/// Where accounts of requests go to: a file, a database, a service.
///
/// Each sink has a thread of its own with a queue before it, so it may block and be slow; what it holds up is only itself.
#[async_trait]
pub trait Sink: Send {
    /// Returns the name by which it is configured and counted.
    fn name(&self) -> &'static str;

    /// Writes a batch: all of it, or none. After an error it is given the same batch again.
    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError>;
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(String);

impl SinkError {
    /// Says what went wrong. It goes to the log, so no credential may be in it.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Which requests a sink is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// Those that were answered.
    Successes,
    /// Those that were not, or not to the end.
    Failures,
    /// All.
    All,
}

impl Which {
    const fn takes(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Self::All, _) | (Self::Successes, Outcome::Answered) => true,
            (Self::Failures, Outcome::Failed | Outcome::Abandoned) => true,
            (Self::Successes, _) | (Self::Failures, Outcome::Answered) => false,
        }
    }
}

/// How queues and batches are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSettings {
    /// The most records that wait for a sink; more are dropped and counted. Default 10,000.
    pub capacity: usize,
    /// The most records of a batch. Default 500.
    pub batch: usize,
    /// The longest that a record waits for its batch to fill: what a killed process loses. Default 1 s.
    pub flush_interval: Duration,
    /// How often a batch is tried before it is dropped. Default 5, from 100 ms on, doubling.
    pub attempts: u32,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { capacity: 10_000, batch: 500, flush_interval: Duration::from_secs(1), attempts: 5 }
    }
}

/// What became of the records that were meant for a sink.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
}

/// What became of the records that were meant for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkCounts {
    /// The sink.
    pub name: &'static str,
    /// Records written.
    pub written: u64,
    /// Records dropped: the queue was full, or the sink failed too often.
    pub dropped: u64,
    /// Batches that failed; each may have been tried again.
    pub errors: u64,
}

struct Feed {
    name: &'static str,
    which: Which,
    /// `None` once it is shut down.
    queue: std::sync::RwLock<Option<mpsc::Sender<Arc<CallRecord>>>>,
    counts: Arc<Counts>,
    worker: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// Changes what was asked and answered before it is kept.
pub type Redaction = Arc<dyn Fn(&mut RecordedContent) + Send + Sync>;

/// Makes an account of each request and hands it to sinks. An [`Observer`]: give it to a router.
///
/// ```
/// use router_telemetry::{JsonLines, Telemetry, Which};
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("telemetry-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let telemetry = Telemetry::new().sink(JsonLines::create(folder.join("calls.jsonl"))?, Which::All);
/// // Router::builder().observer(Arc::new(telemetry.clone()))
/// telemetry.shutdown(std::time::Duration::from_secs(5));
/// # std::fs::remove_dir_all(folder)
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Telemetry {
    feeds: Vec<Arc<Feed>>,
    settings: QueueSettings,
    redaction: Option<Redaction>,
}

impl Telemetry {
    /// Starts without a sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how the queues of sinks that are added from now on are kept.
    #[must_use]
    pub const fn queue(mut self, settings: QueueSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Changes what was asked and answered before any sink sees it. Without it such content is passed on as it is, where the router
    /// tells it at all.
    #[must_use]
    pub fn redact(mut self, redaction: Redaction) -> Self {
        self.redaction = Some(redaction);
        self
    }

    /// Adds a sink and starts its thread.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink + 'static, which: Which) -> Self {
        let (queue, records) = mpsc::channel(self.settings.capacity.max(1));
        let counts = Arc::new(Counts::default());
        let name = sink.name();
        let worker = Worker { sink, records, counts: Arc::clone(&counts), settings: self.settings };
        let thread = std::thread::Builder::new().name(format!("sink-{name}")).spawn(|| worker.run());
        let worker = match thread {
            Ok(worker) => Some(worker),
            Err(error) => {
                tracing::error!(sink = name, %error, "the sink has no thread: its records are dropped");
                None
            }
        };
        self.feeds.push(Arc::new(Feed {
            name,
            which,
            queue: std::sync::RwLock::new(Some(queue)),
            counts,
            worker: std::sync::Mutex::new(worker),
        }));
        self
    }

    /// Returns whether there is a sink.
    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Returns what became of the records, sink by sink.
    pub fn counts(&self) -> Vec<SinkCounts> {
        let of = |feed: &Arc<Feed>| SinkCounts {
            name: feed.name,
            written: feed.counts.written.load(Relaxed),
            dropped: feed.counts.dropped.load(Relaxed),
            errors: feed.counts.errors.load(Relaxed),
        };
        self.feeds.iter().map(of).collect()
    }

    /// Takes no more records and waits until those in the queues are written, but no longer than this. Returns whether all were.
    pub fn shutdown(&self, limit: Duration) -> bool {
        for feed in &self.feeds {
            drop(feed.queue.write().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        }
        let deadline = Instant::now() + limit;
        self.feeds.iter().all(|feed| {
            let worker = feed.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let Some(worker) = worker else { return true };
            while !worker.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            worker.is_finished() && worker.join().is_ok()
        })
    }
}

impl Observer for Telemetry {
    fn observe(&self, event: &Event<'_>) {
        if self.feeds.is_empty() {
            return;
        }
        let Some(mut record) = CallRecord::of(event) else { return };
        if let (Some(redaction), Some(content)) = (&self.redaction, &mut record.content) {
            redaction(content);
        }
        let record = Arc::new(record);
        for feed in self.feeds.iter().filter(|feed| feed.which.takes(record.outcome)) {
            let queue = feed.queue.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            let is_queued = queue.as_ref().is_some_and(|queue| queue.try_send(Arc::clone(&record)).is_ok());
            if !is_queued {
                feed.counts.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("sinks", &self.counts()).finish_non_exhaustive()
    }
}

/// What runs on a sink's thread.
struct Worker<S> {
    sink: S,
    records: mpsc::Receiver<Arc<CallRecord>>,
    counts: Arc<Counts>,
    settings: QueueSettings,
}

impl<S: Sink> Worker<S> {
    fn run(self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.work()),
            Err(error) => tracing::error!(%error, "a sink cannot run: its records are dropped"),
        }
    }

    async fn work(mut self) {
        let mut batch: Vec<Arc<CallRecord>> = Vec::new();
        while let Some(first) = self.records.recv().await {
            batch.push(first);
            let full = tokio::time::sleep(self.settings.flush_interval);
            tokio::pin!(full);
            while batch.len() < self.settings.batch {
                tokio::select! {
                    next = self.records.recv() => match next {
                        Some(record) => batch.push(record),
                        None => break,
                    },
                    () = &mut full => break,
                }
            }
            self.write(&batch).await;
            batch.clear();
        }
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) {
        let mut pause = Duration::from_millis(100);
        for attempt in 1..=self.settings.attempts.max(1) {
            let Err(error) = self.sink.write(batch).await else {
                self.counts.written.fetch_add(batch.len() as u64, Relaxed);
                return;
            };
            self.counts.errors.fetch_add(1, Relaxed);
            tracing::warn!(sink = self.sink.name(), %error, attempt, records = batch.len(), "a batch was not written");
            if attempt < self.settings.attempts {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
        self.counts.dropped.fetch_add(batch.len() as u64, Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests;
