//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use router_core::{Clock, Timestamp};
use tokio::time::Instant;

/// Reads the wall clock once and then goes with the monotonic one, so that it never steps back. In a paused tokio runtime it
/// moves with the runtime.
#[derive(Debug)]
pub struct SystemClock {
    epoch: Timestamp,
    started: Instant,
}

impl SystemClock {
    /// Starts at the present wall time.
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch: Timestamp::from_millis(0) + wall, started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // Rounded down: a moment that has begun is now.
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(self.epoch.as_millis().saturating_add(passed))
    }
}
