//! Gemini counts thoughts, and what its own tools read, beside the rest; here they are part of completion and prompt.

use router_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Count};

#[derive(Debug, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireUsage {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
}

/// Reads a `usageMetadata` object; `None` when it counts nothing.
pub(super) fn read(usage: &RawValue) -> Option<Usage> {
    let wire: WireUsage = raw_json::parse(usage.get()).ok()?;
    if wire.prompt_token_count.0.is_none() && wire.candidates_token_count.0.is_none() {
        return None;
    }
    let thoughts = wire.thoughts_token_count.or_zero();
    let prompt = wire.prompt_token_count.or_zero().saturating_add(wire.tool_use_prompt_token_count.or_zero());
    Some(Usage {
        prompt,
        completion: wire.candidates_token_count.or_zero().saturating_add(thoughts),
        cached_read: wire.cached_content_token_count.or_zero().min(prompt),
        reasoning: thoughts,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_and_tool_prompts_are_counted_in() {
        let read = |json: &str| read(serde_json::from_str(json).unwrap());
        let usage = read(
            r#"{"promptTokenCount":100,"toolUsePromptTokenCount":20,"cachedContentTokenCount":60,
            "candidatesTokenCount":7,"thoughtsTokenCount":30,"totalTokenCount":157}"#,
        );
        let expected =
            Usage { prompt: 120, completion: 37, cached_read: 60, reasoning: 30, ..Usage::default() };
        assert_eq!(usage, Some(expected));
        assert_eq!(usage.unwrap().total(), 157);
        for nothing in ["{}", r#"{"trafficType":"ON_DEMAND"}"#, "[]", "7"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
