//! How the connection is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// How a store's connection to Redis is, and what came of it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RedisStatus {
    /// Whether it is connected and was understood the last time.
    pub is_connected: bool,
    /// Commands sent since the start; a script with all its work is one.
    pub commands: u64,
    /// Times the connection was lost or could not be made.
    pub failures: u64,
    /// Changes that found the queue full. They were told later, with everything else that cooled then.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct StatusCell {
    is_connected: AtomicBool,
    commands: AtomicU64,
    failures: AtomicU64,
    dropped: AtomicU64,
}

impl StatusCell {
    pub(super) fn get(&self) -> RedisStatus {
        RedisStatus {
            is_connected: self.is_connected.load(Relaxed),
            commands: self.commands.load(Relaxed),
            failures: self.failures.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }

    pub(super) fn connected(&self) {
        self.is_connected.store(true, Relaxed);
    }

    /// Takes note of a failure and returns whether it is the first since the last success.
    pub(super) fn failed(&self) -> bool {
        let was_first = self.failures.fetch_add(1, Relaxed) == 0;
        self.is_connected.swap(false, Relaxed) || was_first
    }

    pub(super) fn sent(&self, commands: u64) {
        self.commands.fetch_add(commands, Relaxed);
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }
}
