//! Bedrock counts what it read from caches and wrote to them beside the input; here they are part of the prompt.

use router_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Count, Strict, Text};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireUsage<'a> {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_write_input_tokens: Count,
    #[serde(borrow)]
    cache_details: Option<Vec<Strict<CacheDetail<'a>>>>,
}

/// What was written to caches that live this long.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail<'a> {
    #[serde(default)]
    input_tokens: Count,
    #[serde(borrow)]
    ttl: Option<Text<'a>>,
}

/// Reads a `usage` object; `None` when it counts nothing.
pub(super) fn read(usage: &RawValue) -> Option<Usage> {
    let wire: WireUsage<'_> = raw_json::parse(usage.get()).ok()?;
    if wire.input_tokens.0.is_none() && wire.output_tokens.0.is_none() {
        return None;
    }
    let read = wire.cache_read_input_tokens.or_zero();
    let of_an_hour =
        |detail: &&Strict<CacheDetail<'_>>| detail.0.ttl.as_ref().is_some_and(|ttl| ttl.0 == "1h");
    let one_hour = wire.cache_details.iter().flatten().filter(of_an_hour);
    let one_hour = one_hour.fold(0_u64, |sum, detail| sum.saturating_add(detail.0.input_tokens.or_zero()));
    let written = wire.cache_write_input_tokens.or_zero().max(one_hour);
    Some(Usage {
        prompt: wire.input_tokens.or_zero().saturating_add(read).saturating_add(written),
        completion: wire.output_tokens.or_zero(),
        cached_read: read,
        cache_write_5m: written - one_hour,
        cache_write_1h: one_hour,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_includes_what_the_caches_took_and_gave() {
        let read = |json: &str| read(serde_json::from_str(json).unwrap());
        let usage = read(
            r#"{"inputTokens":10,"outputTokens":7,"totalTokens":4317,"cacheReadInputTokens":4000,"cacheWriteInputTokens":300,
            "cacheDetails":[{"inputTokens":200,"ttl":"1h"},{"inputTokens":100,"ttl":"5m"}]}"#,
        );
        let expected = Usage {
            prompt: 4310,
            completion: 7,
            cached_read: 4000,
            cache_write_5m: 100,
            cache_write_1h: 200,
            ..Usage::default()
        };
        assert_eq!(usage, Some(expected));
        for nothing in ["{}", "[]", "7", r#"{"inputTokens":null}"#] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
