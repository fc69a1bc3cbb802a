//! What can go wrong with an upstream.

use serde::{Deserialize, Serialize};

/// What goes wrong with a reply.
///
/// As JSON it is tagged by `kind`: `{"kind": "cut", "after_chunks": 40}`. `after_chunks` counts the content chunks sent
/// before the fault; 0 is right after the stream's preamble, and a count past the last chunk is right after that one.
/// Faults of streams have a counterpart in plain replies, given with each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// An error status, with the body this provider sends for it.
    Status {
        /// The HTTP status.
        code: u16,
        /// Value of the `retry-after` header: seconds or an HTTP date.
        #[serde(default)]
        retry_after: Option<String>,
        /// The message in the body, instead of the usual one.
        #[serde(default)]
        message: Option<String>,
    },
    /// Any status and body, such as a proxy's HTML page.
    Raw {
        /// The HTTP status.
        code: u16,
        /// Value of the `content-type` header.
        content_type: String,
        /// The body.
        body: String,
    },
    /// Refuses the prompt as too long for the model.
    ContextWindow,
    /// Refuses the prompt as against the content policy.
    ContentFilter,
    /// Refuses because the account has no credit left; waiting does not help.
    InsufficientQuota,
    /// Accepts the request and never answers.
    Hang,
    /// Closes the connection before the first byte of a response.
    Reset,
    /// Drops the connection in the middle of the body. Plain: half of the announced `content-length` is sent.
    Cut {
        /// Content chunks sent before the cut.
        #[serde(default)]
        after_chunks: usize,
    },
    /// Pauses in the middle of the body and then goes on. Plain: in the middle of the JSON.
    Stall {
        /// Content chunks sent before the pause.
        #[serde(default)]
        after_chunks: usize,
        /// Length of the pause in milliseconds; without it the pause never ends.
        #[serde(default)]
        ms: Option<u64>,
    },
    /// Sends one event of broken JSON and goes on. Plain: as [`Fault::MalformedBody`].
    MalformedChunk {
        /// Content chunks sent before the broken one.
        #[serde(default)]
        after_chunks: usize,
    },
    /// Ends the HTTP body cleanly without `[DONE]` or `message_stop`. Plain replies have no end marker and stay whole.
    NoEndMarker {
        /// Leaves out the finish reason and the usage too.
        #[serde(default)]
        without_finish_reason: bool,
    },
    /// Reports an error inside a stream that began with status 200, and ends. Plain: an error body under status 200.
    ErrorInStream {
        /// Content chunks sent before the error.
        #[serde(default)]
        after_chunks: usize,
        /// The HTTP status this error would have had.
        code: u16,
    },
    /// Status 200 without a body.
    EmptyBody,
    /// Status 200 with a body that is not valid JSON.
    MalformedBody,
}

impl Fault {
    /// Returns an error status with the provider's usual body.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, message: None }
    }

    /// Returns a 429 whose `retry-after` header has this value.
    pub fn rate_limited(retry_after: impl Into<String>) -> Self {
        Self::Status { code: 429, retry_after: Some(retry_after.into()), message: None }
    }

    /// Returns a cut after this many content chunks.
    pub fn cut(after_chunks: usize) -> Self {
        Self::Cut { after_chunks }
    }

    /// The place in a stream where the fault strikes, in content chunks, if it has one.
    pub(crate) fn after_chunks(&self) -> Option<usize> {
        match self {
            Self::Cut { after_chunks }
            | Self::Stall { after_chunks, .. }
            | Self::MalformedChunk { after_chunks }
            | Self::ErrorInStream { after_chunks, .. } => Some(*after_chunks),
            Self::Status { .. }
            | Self::Raw { .. }
            | Self::ContextWindow
            | Self::ContentFilter
            | Self::InsufficientQuota
            | Self::Hang
            | Self::Reset
            | Self::NoEndMarker { .. }
            | Self::EmptyBody
            | Self::MalformedBody => None,
        }
    }
}
