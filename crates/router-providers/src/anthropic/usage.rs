//! Anthropic counts what it read from caches and wrote to them beside the input; here they are part of the prompt.

use router_core::{ServiceTier, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Count};

/// Usage as it stands in a reply, or in the events of a stream, where later counts replace earlier ones.
#[derive(Debug, Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(super) struct WireUsage {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
    service_tier: Option<WireTier>,
}

/// The class of service; names yet to come mean the usual one.
#[derive(Debug, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum WireTier {
    Batch,
    Priority,
    #[serde(other)]
    Standard,
}

#[derive(Debug, Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

impl WireUsage {
    /// Reads a `usage` object; `None` when it tells nothing.
    pub(super) fn read(usage: &RawValue) -> Option<Self> {
        let wire: Self = raw_json::parse(usage.get()).ok()?;
        (wire.input_tokens.0.is_some() || wire.output_tokens.0.is_some()).then_some(wire)
    }

    /// Takes over what a later event tells.
    pub(super) fn update(&mut self, later: Self) {
        *self = Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            cache_creation: later.cache_creation.or(self.cache_creation),
            output_tokens_details: later.output_tokens_details.or(self.output_tokens_details),
            service_tier: later.service_tier.or(self.service_tier),
        };
    }

    pub(super) fn canonical(self) -> Usage {
        let created = self.cache_creation.unwrap_or_default();
        let (five_minutes, one_hour) =
            (created.ephemeral_5m_input_tokens.or_zero(), created.ephemeral_1h_input_tokens.or_zero());
        // The sum is older than its parts, and the parts may be missing.
        let written = self.cache_creation_input_tokens.or_zero().max(five_minutes.saturating_add(one_hour));
        let read = self.cache_read_input_tokens.or_zero();
        let completion = self.output_tokens.or_zero();
        let thinking = self.output_tokens_details.unwrap_or_default().thinking_tokens.or_zero();
        Usage {
            prompt: self.input_tokens.or_zero().saturating_add(read).saturating_add(written),
            completion,
            cached_read: read,
            cache_write_5m: written - one_hour,
            cache_write_1h: one_hour,
            reasoning: thinking.min(completion),
            tier: match self.service_tier {
                Some(WireTier::Batch) => ServiceTier::Batch,
                Some(WireTier::Priority) => ServiceTier::Priority,
                Some(WireTier::Standard) | None => ServiceTier::Standard,
            },
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> WireUsage {
        WireUsage::read(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn the_prompt_includes_what_the_caches_took_and_gave() {
        let usage = read(
            r#"{"input_tokens":10,"cache_creation_input_tokens":300,"cache_read_input_tokens":4000,"output_tokens":7,
            "cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},
            "output_tokens_details":{"thinking_tokens":5},"service_tier":"priority"}"#,
        );
        assert_eq!(
            usage.canonical(),
            Usage {
                prompt: 4310,
                completion: 7,
                cached_read: 4000,
                cache_write_5m: 100,
                cache_write_1h: 200,
                reasoning: 5,
                tier: ServiceTier::Priority,
                ..Usage::default()
            }
        );
    }

    #[test]
    fn writes_of_unknown_age_live_five_minutes() {
        let usage = read(
            r#"{"input_tokens":1,"cache_creation_input_tokens":3,"cache_creation":null,"output_tokens":2}"#,
        );
        assert_eq!(
            usage.canonical(),
            Usage { prompt: 4, completion: 2, cache_write_5m: 3, ..Usage::default() }
        );
    }

    #[test]
    fn later_counts_replace_earlier_ones_and_silence_replaces_nothing() {
        let mut usage = read(r#"{"input_tokens":9,"cache_read_input_tokens":5,"output_tokens":1}"#);
        usage.update(read(r#"{"output_tokens":40,"input_tokens":null}"#));
        assert_eq!(
            usage.canonical(),
            Usage { prompt: 14, completion: 40, cached_read: 5, ..Usage::default() }
        );
    }

    #[test]
    fn what_tells_nothing_is_no_usage() {
        for json in ["{}", "[]", "7", r#"{"input_tokens":{}}"#] {
            assert!(WireUsage::read(serde_json::from_str(json).unwrap()).is_none(), "{json}");
        }
    }
}
