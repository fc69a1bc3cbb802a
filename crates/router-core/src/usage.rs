//! What a reply used, in one meaning for every provider.

use crate::Usd;

/// What one reply used, in tokens, and what decides their price.
///
/// The meaning is OpenAI's, whatever the provider: `prompt` holds everything that was read, cached and written tokens
/// included; `completion` holds everything that was generated, reasoning included. The other counts are parts of those two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
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
    /// The part of `prompt` that was sound.
    pub audio_prompt: u64,
    /// The part of `completion` that was sound.
    pub audio_completion: u64,
    /// The class of service that the provider says it gave.
    pub tier: ServiceTier,
    /// What the provider itself says that the reply costs, where it does.
    pub reported_cost: Option<Usd>,
}

impl Usage {
    /// Returns prompt and completion tokens together.
    pub const fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// A provider's class of service; each may have prices of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The usual one.
    #[default]
    Standard,
    /// Answered some time later, for less.
    Batch,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
}

impl ServiceTier {
    /// Returns the class of service by the name that OpenAI and Anthropic give it; [`Standard`](Self::Standard) for every name that
    /// means no other.
    pub fn named(name: &str) -> Self {
        match name {
            "batch" => Self::Batch,
            "flex" => Self::Flex,
            "priority" => Self::Priority,
            _ => Self::Standard,
        }
    }
}

/// What is known of the tokens that one attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Metered {
    /// Nothing: the call failed before an answer, or the provider does not say.
    #[default]
    Unknown,
    /// The provider counted them.
    Reported(Usage),
    /// The answer ended before its usage came; this is what can be told from the prompt's estimated length and from what arrived.
    Estimated(Usage),
}

impl Metered {
    /// Returns the tokens, counted or estimated.
    pub const fn usage(self) -> Option<Usage> {
        match self {
            Self::Unknown => None,
            Self::Reported(usage) | Self::Estimated(usage) => Some(usage),
        }
    }
}

impl From<Option<Usage>> for Metered {
    fn from(reported: Option<Usage>) -> Self {
        reported.map_or(Self::Unknown, Self::Reported)
    }
}
