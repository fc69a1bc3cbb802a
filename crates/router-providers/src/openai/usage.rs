//! From the many spellings of OpenAI-shaped usage to one.

use router_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Count};

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WireUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's.
    prompt_cache_hit_tokens: Count,
    /// Together's.
    cached_tokens: Count,
    /// Mistral's.
    num_cached_tokens: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

/// Reads a `usage` object; `None` when it tells nothing.
pub(super) fn read(usage: &RawValue) -> Option<Usage> {
    let wire: WireUsage = raw_json::parse(usage.get()).ok()?;
    if wire.prompt_tokens.0.is_none() && wire.completion_tokens.0.is_none() {
        return None;
    }
    let details = wire.prompt_tokens_details.unwrap_or_default();
    let reasoning = wire.completion_tokens_details.unwrap_or_default().reasoning_tokens.or_zero();
    let mut prompt = wire.prompt_tokens.or_zero();
    let mut completion = wire.completion_tokens.or_zero();
    // xAI counts reasoning beside the completion. Its total gives it away, so this needs no vendor's name and holds behind
    // proxies too.
    let with_reasoning = completion.saturating_add(reasoning);
    if reasoning > 0 && wire.total_tokens.0 == Some(prompt.saturating_add(with_reasoning)) {
        completion = with_reasoning;
    }
    let cached = details
        .cached_tokens
        .or(wire.prompt_cache_hit_tokens)
        .or(wire.cached_tokens)
        .or(wire.num_cached_tokens)
        .or_zero();
    let written = details.cache_write_tokens.or_zero();
    // Grok on Azure counts what was cached beside the prompt. That shows only when it is more than the prompt.
    if cached.saturating_add(written) > prompt {
        prompt = prompt.saturating_add(cached).saturating_add(written);
    }
    Some(Usage {
        prompt,
        completion,
        cached_read: cached,
        cache_write_5m: written,
        cache_write_1h: 0,
        reasoning: reasoning.min(completion),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Option<Usage> {
        read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn each_vendor_s_spelling_means_the_same() {
        let check = |json: &str, expected: Usage| assert_eq!(usage(json), Some(expected), "{json}");
        let plain = Usage { prompt: 10, completion: 5, ..Usage::default() };
        check(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, plain);
        check(r#"{"prompt_tokens":10,"completion_tokens":5.0,"prompt_tokens_details":null,"x":[{}]}"#, plain);
        for cached in [
            r#""prompt_tokens_details":{"cached_tokens":4}"#,
            r#""prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6"#,
            r#""cached_tokens":4"#,
            r#""num_cached_tokens":4,"prompt_tokens_details":{"cached_tokens":null}"#,
        ] {
            let json = format!(r#"{{"prompt_tokens":10,"completion_tokens":5,{cached}}}"#);
            check(&json, Usage { cached_read: 4, ..plain });
        }
        check(
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":7}}"#,
            Usage { cached_read: 2, cache_write_5m: 7, ..plain },
        );
    }

    #[test]
    fn more_cached_than_prompted_was_not_part_of_the_prompt() {
        let json =
            r#"{"prompt_tokens":7,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":163}}"#;
        let expected = Usage { prompt: 170, completion: 1, cached_read: 163, ..Usage::default() };
        assert_eq!(usage(json), Some(expected));
    }

    #[test]
    fn reasoning_is_part_of_the_completion() {
        let with = |completion: u64, total: u64| {
            usage(&format!(
                r#"{{"prompt_tokens":163,"completion_tokens":{completion},"total_tokens":{total},
                "completion_tokens_details":{{"reasoning_tokens":305}}}}"#
            ))
            .unwrap()
        };
        let expected = Usage { prompt: 163, completion: 402, reasoning: 305, ..Usage::default() };
        assert_eq!(with(402, 565), expected, "included, as at OpenAI");
        assert_eq!(with(97, 565), expected, "beside it, as at xAI");
        assert_eq!(with(10, 173).reasoning, 10, "more reasoning than completion is cut to it");
    }

    #[test]
    fn what_tells_nothing_is_no_usage() {
        for json in ["{}", "[]", "7", r#"{"prompt_tokens":"7"}"#, r#"{"prompt_tokens":null}"#] {
            assert_eq!(usage(json), None, "{json}");
        }
    }
}
