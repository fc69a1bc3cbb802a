//! What the gateway knows of its own traffic: counters, the last requests, and what became of the records of all.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use llm_router::{Event, Observer, Timestamp};
use router_telemetry::{CallRecord, Metrics, Telemetry};

use crate::shared_state;

/// How many requests are remembered for the live page.
const RECENT: usize = 50;

/// Watches the traffic. An [`Observer`]: give it to every router that the gateway serves, and to the [`App`](crate::App).
#[derive(Default)]
pub struct Watch {
    metrics: Metrics,
    telemetry: Telemetry,
    recent: Mutex<VecDeque<CallRecord>>,
    cache: CacheCounts,
}

/// How many requests found an answer in the cache, of those that looked for one.
#[derive(Debug, Default)]
pub(crate) struct CacheCounts {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheCounts {
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    fn render(&self, out: &mut String) {
        let (hits, misses) = (self.hits.load(Relaxed), self.misses.load(Relaxed));
        // Writing into memory does not fail.
        let _ = write!(
            out,
            "# HELP llm_router_cache_requests_total Requests that looked for an answer in the cache.\n\
             # TYPE llm_router_cache_requests_total counter\n\
             llm_router_cache_requests_total{{result=\"hit\"}} {hits}\n\
             llm_router_cache_requests_total{{result=\"miss\"}} {misses}\n"
        );
    }
}

impl Watch {
    /// Watches, and hands the records of requests to these sinks.
    pub fn new(telemetry: Telemetry) -> Self {
        Self { telemetry, ..Self::default() }
    }

    /// Returns the sinks.
    pub const fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the counters in Prometheus' text format.
    pub(crate) fn render(&self, router: &llm_router::Router, now: Timestamp) -> String {
        let mut text = self.metrics.render(Some((router.fleet(), now)), &self.telemetry.counts());
        text.push_str(&shared_state::render(router));
        self.cache.render(&mut text);
        text
    }

    pub(crate) const fn cache(&self) -> &CacheCounts {
        &self.cache
    }

    /// Returns the last requests, the newest first.
    pub(crate) fn recent(&self) -> Vec<CallRecord> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

impl Observer for Watch {
    fn observe(&self, event: &Event<'_>) {
        self.metrics.observe(event);
        self.telemetry.observe(event);
        if let Some(mut record) = CallRecord::of(event) {
            // The live page shows no content.
            record.content = None;
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back(record);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("telemetry", &self.telemetry).finish_non_exhaustive()
    }
}
