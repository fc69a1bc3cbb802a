//! How an upstream answers.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::fault::Fault;

/// How an upstream answers its requests.
///
/// The default answers at once with a short text that names the upstream and the model, echoes the beginning of the last
/// user message and says that it is simulated. Fields left out of the JSON keep their default; unknown ones are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Behaviour {
    /// Wait before the response headers, in milliseconds.
    pub latency_ms: u64,
    /// Streams: further wait between the preamble, sent at once, and the first content chunk, in milliseconds.
    pub first_token_ms: u64,
    /// Streams: wait before each later content chunk, in milliseconds.
    pub chunk_interval_ms: u64,
    /// Streams: number of content chunks, at most 100,000; by default one per word. The simulated text, in plain replies
    /// too, grows to this many words; a fixed answer of fewer words is cut at characters, one chunk each at most.
    pub chunks: Option<usize>,
    /// The answer's text, instead of the simulated one.
    pub answer: Option<String>,
    /// Token counts to report, instead of those counted: a quarter of the characters of all messages, and the answer's words.
    pub usage: Option<Usage>,
    /// Headers added to every reply, error replies included, such as rate-limit headers.
    pub headers: BTreeMap<String, String>,
    /// Calls the first tool whenever a request offers tools, also when its `tool_choice` leaves it open.
    pub call_tools: bool,
    /// The arguments of tool calls, as JSON text; by default `{}`. A plain Anthropic reply needs an object and gets an
    /// empty one if this text is none.
    pub tool_arguments: Option<String>,
    /// Refuses requests with another key, or none, with status 401.
    pub require_key: Option<Key>,
    /// What goes wrong.
    #[serde(deserialize_with = "strict_fault")]
    pub fault: Option<Fault>,
    /// The share of requests with the fault, from 0 to 1. Which ones is decided by a generator seeded with the upstream's
    /// name, so that runs repeat.
    #[serde(deserialize_with = "share")]
    pub fault_rate: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            first_token_ms: 0,
            chunk_interval_ms: 0,
            chunks: None,
            answer: None,
            usage: None,
            headers: BTreeMap::new(),
            call_tools: false,
            tool_arguments: None,
            require_key: None,
            fault: None,
            fault_rate: 1.0,
        }
    }
}

impl Behaviour {
    /// Returns the default behaviour with a fixed text.
    pub fn answering(text: impl Into<String>) -> Self {
        Self { answer: Some(text.into()), ..Self::default() }
    }

    /// Returns the default behaviour with a fault in every reply. [`Fault`] also converts into this.
    pub fn failing(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// Sets the wait before the response headers, in milliseconds.
    #[must_use]
    pub fn with_latency_ms(self, latency_ms: u64) -> Self {
        Self { latency_ms, ..self }
    }

    /// Sets the wait between a stream's preamble and its first content chunk, in milliseconds.
    #[must_use]
    pub fn with_first_token_ms(self, first_token_ms: u64) -> Self {
        Self { first_token_ms, ..self }
    }

    /// Sets the wait before each later content chunk, in milliseconds.
    #[must_use]
    pub fn with_chunk_interval_ms(self, chunk_interval_ms: u64) -> Self {
        Self { chunk_interval_ms, ..self }
    }

    /// Sets the number of content chunks in a stream.
    #[must_use]
    pub fn with_chunks(self, chunks: usize) -> Self {
        Self { chunks: Some(chunks), ..self }
    }

    /// Sets the answer's text.
    #[must_use]
    pub fn with_answer(self, text: impl Into<String>) -> Self {
        Self { answer: Some(text.into()), ..self }
    }

    /// Sets the token counts to report.
    #[must_use]
    pub fn with_usage(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// Adds a reply header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Calls the first tool whenever a request offers tools.
    #[must_use]
    pub fn with_tool_calls(self) -> Self {
        Self { call_tools: true, ..self }
    }

    /// Sets the arguments of tool calls, as JSON text.
    #[must_use]
    pub fn with_tool_arguments(self, arguments: impl Into<String>) -> Self {
        Self { tool_arguments: Some(arguments.into()), ..self }
    }

    /// Refuses requests without this key.
    #[must_use]
    pub fn with_required_key(self, key: impl Into<String>) -> Self {
        Self { require_key: Some(Key(key.into())), ..self }
    }

    /// Sets what goes wrong.
    #[must_use]
    pub fn with_fault(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Sets the share of requests with the fault, from 0 to 1.
    #[must_use]
    pub fn with_fault_rate(self, fault_rate: f64) -> Self {
        Self { fault_rate, ..self }
    }
}

impl From<Fault> for Behaviour {
    fn from(fault: Fault) -> Self {
        Self::failing(fault)
    }
}

/// Token counts, in the shape of our own accounts: `prompt_tokens` includes what was read from and written to caches, and
/// `completion_tokens` includes reasoning. Each wire format reports them its own way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u64,
    /// Prompt tokens read from a cache.
    pub cached_tokens: u64,
    /// Prompt tokens written to a cache that lasts five minutes.
    pub cache_write_5m_tokens: u64,
    /// Prompt tokens written to a cache that lasts an hour.
    pub cache_write_1h_tokens: u64,
    /// Completion tokens spent on reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Returns counts without caches or reasoning.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self { prompt_tokens, completion_tokens, ..Self::default() }
    }

    pub(crate) fn cache_write_tokens(&self) -> u64 {
        self.cache_write_5m_tokens.saturating_add(self.cache_write_1h_tokens)
    }
}

/// A key that requests must carry. It is never printed, and the control API shows a placeholder for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    pub(crate) fn is(&self, candidate: &str) -> bool {
        self.0 == candidate
    }
}

impl<T: Into<String>> From<T> for Key {
    fn from(key: T) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(D::Error::custom(format!("expected a share from 0 to 1, found {share}")))
    }
}

/// Refuses unknown fields also where a fault has none of its own; serde does not see them there.
fn strict_fault<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fault>, D::Error> {
    let Some(given) = Option::<Value>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let fault = Fault::deserialize(&given).map_err(D::Error::custom)?;
    let known = serde_json::to_value(&fault).map_err(D::Error::custom)?;
    let mut names = given.as_object().into_iter().flat_map(|fields| fields.keys());
    match names.find(|name| known.get(name).is_none()) {
        Some(name) => Err(D::Error::custom(format!("unknown field `{name}`"))),
        None => Ok(Some(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_only_what_differs() {
        let json = r#"{"latency_ms": 5, "fault": {"kind": "stall", "after_chunks": 2}, "fault_rate": 0.5}"#;
        let expected = Behaviour::failing(Fault::Stall { after_chunks: 2, ms: None })
            .with_latency_ms(5)
            .with_fault_rate(0.5);
        let parsed: Behaviour = serde_json::from_str(json).unwrap();
        assert_eq!(parsed, expected);
        let round_trip: Behaviour = serde_json::from_str(&serde_json::to_string(&expected).unwrap()).unwrap();
        assert_eq!(round_trip, expected);
    }

    #[test]
    fn a_key_is_not_printed() {
        let behaviour = Behaviour::default().with_required_key("sk-very-secret");
        assert!(!format!("{behaviour:?}").contains("very-secret"));
    }
}
