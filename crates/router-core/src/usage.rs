//! Tokens, in one meaning for every provider.

/// What one reply consumed, in tokens.
///
/// The meaning is OpenAI's, whatever the provider: `prompt` holds everything that was read, cached and written tokens
/// included; `completion` holds everything that was generated, reasoning included. The other counts are parts of those two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Usage {
    /// Tokens of the prompt, cache reads and writes included.
    pub prompt: u64,
    /// Tokens generated, reasoning included.
    pub completion: u64,
    /// The part of `prompt` that was read from the provider's cache.
    pub cached_read: u64,
    /// The part of `prompt` that was written to a cache which lives five minutes.
    pub cache_write_5m: u64,
    /// The part of `prompt` that was written to a cache which lives one hour.
    pub cache_write_1h: u64,
    /// The part of `completion` that was spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Returns prompt and completion tokens together.
    pub const fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}
