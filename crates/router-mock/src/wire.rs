//! The wire formats, kept apart from the HTTP around them.

mod anthropic;
mod openai;

pub(crate) use anthropic::Anthropic;
pub(crate) use openai::OpenAi;

use crate::answer::{Answer, Piece};

/// The context window of every simulated model, in tokens, when it is said to be exceeded.
pub(crate) const CONTEXT_WINDOW: u64 = 8_192;

/// A provider's way to write replies, streams and errors.
pub(crate) trait Wire: Send + Sync {
    /// Returns the name of the header with the request's id.
    fn request_id_header(&self) -> &'static str;
    /// Says whether requests must limit the answer.
    fn requires_max_tokens(&self) -> bool;
    /// Writes a refusal's status and error body.
    fn refusal(&self, refusal: &Refusal, request_id: &str) -> (u16, String);
    /// Writes a plain reply.
    fn reply(&self, answer: &Answer) -> String;
    /// Writes the events before the first content chunk.
    fn preamble(&self, answer: &Answer) -> String;
    /// Writes one content chunk.
    fn chunk(&self, answer: &Answer, piece: &Piece<'_>) -> String;
    /// Writes a content chunk whose JSON breaks off.
    fn broken_chunk(&self, answer: &Answer) -> String;
    /// Wraps an error body into an event.
    fn error_event(&self, error_body: &str) -> String;
    /// Writes the events that report finish reason and usage.
    fn finish(&self, answer: &Answer) -> String;
    /// Writes the event that marks the end.
    fn end_marker(&self) -> &'static str;
    /// Writes the list of models.
    fn models(&self) -> String;
}

/// Why a request is not answered.
pub(crate) enum Refusal {
    Status { code: u16, message: Option<String> },
    BadJson(String),
    Missing(&'static str),
    NoMessages,
    ContextWindow { prompt_tokens: u64 },
    ContentFilter,
    InsufficientQuota,
}

impl Refusal {
    /// Refuses with a status and its usual message.
    pub(crate) fn status(code: u16) -> Self {
        Self::Status { code, message: None }
    }
}

/// Returns a text as a JSON string, quotes included.
fn quoted(text: &str) -> String {
    // Writing a string to memory cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}
