//! How long things take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::exposition::Exposition;

/// The upper bounds, in seconds: from a cached answer to the longest that a model thinks.
const BOUNDS: [(f64, &str); 14] = [
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.0, "2"),
    (4.0, "4"),
    (8.0, "8"),
    (15.0, "15"),
    (30.0, "30"),
    (60.0, "60"),
    (120.0, "120"),
    (300.0, "300"),
    (600.0, "600"),
];

/// Counts spans by how long they are.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One for each bound and one for what is longer; each counts only its own.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// In microseconds.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn add(&self, span: Duration) {
        let seconds = span.as_secs_f64();
        let place = BOUNDS.iter().position(|(bound, _)| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn render(&self, out: &mut Exposition, labels: &[(&str, &str)]) {
        let mut total = 0;
        let bounds = BOUNDS.iter().map(|(_, name)| *name).chain(["+Inf"]);
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Relaxed);
            out.line("_bucket", &[labels, &[("le", bound)]].concat(), &total.to_string());
        }
        let micros = self.sum.load(Relaxed);
        out.line("_sum", labels, &format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
        out.line("_count", labels, &total.to_string());
    }
}
