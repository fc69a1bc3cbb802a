//! How much the gateway takes on.

use std::time::Duration;

/// How much the gateway takes on, and how long it waits for a client. They hold from the start on; a reload does not change them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest request body, in bytes: 32 MiB by default, since documents and images travel inside the JSON.
    pub max_body: usize,
    /// The largest head of a request, in bytes: 64 KiB by default.
    pub max_head: usize,
    /// Requests under way at a time; one more is answered 503 at once. 4,096 by default.
    pub max_requests: usize,
    /// Open connections at a time; one more is answered 503 and closed. 16,384 by default.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request, and leave a connection idle between two: 30 s by default.
    pub head_timeout: Duration,
    /// How long a client may take to send a request's body: 60 s by default.
    pub body_timeout: Duration,
    /// How long a client may read nothing of an answer that is ready for it: 60 s by default.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 32 * 1024 * 1024,
            max_head: 64 * 1024,
            max_requests: 4_096,
            max_connections: 16_384,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }
}
