//! Gemini counts thoughts, and what its own tools read, beside the rest; here they are part of completion and prompt.

use router_core::{ServiceTier, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Count, Strict};

#[derive(Debug, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireUsage<'a> {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<Vec<Strict<Modality<'a>>>>,
    #[serde(borrow)]
    candidates_tokens_details: Option<Vec<Strict<Modality<'a>>>>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
}

/// How many of the tokens were of one kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modality<'a> {
    #[serde(borrow)]
    modality: &'a RawValue,
    #[serde(default)]
    token_count: Count,
}

fn audio(details: Option<&Vec<Strict<Modality<'_>>>>) -> u64 {
    let sound = details.into_iter().flatten().filter(|detail| detail.0.modality.get() == "\"AUDIO\"");
    sound.fold(0, |sum, detail| sum.saturating_add(detail.0.token_count.or_zero()))
}

/// Reads a `usageMetadata` object; `None` when it counts nothing.
pub(super) fn read(usage: &RawValue) -> Option<Usage> {
    let wire: WireUsage<'_> = raw_json::parse(usage.get()).ok()?;
    if wire.prompt_token_count.0.is_none() && wire.candidates_token_count.0.is_none() {
        return None;
    }
    let thoughts = wire.thoughts_token_count.or_zero();
    let prompt = wire.prompt_token_count.or_zero().saturating_add(wire.tool_use_prompt_token_count.or_zero());
    let completion = wire.candidates_token_count.or_zero().saturating_add(thoughts);
    Some(Usage {
        prompt,
        completion,
        cached_read: wire.cached_content_token_count.or_zero().min(prompt),
        reasoning: thoughts,
        audio_prompt: audio(wire.prompt_tokens_details.as_ref()).min(prompt),
        audio_completion: audio(wire.candidates_tokens_details.as_ref()).min(completion),
        tier: wire
            .service_tier
            .and_then(raw_json::text)
            .map_or(ServiceTier::Standard, |name| ServiceTier::named(&name)),
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
            "candidatesTokenCount":7,"thoughtsTokenCount":30,"totalTokenCount":157,"serviceTier":"flex",
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"AUDIO","tokenCount":90}]}"#,
        );
        let expected = Usage {
            prompt: 120,
            completion: 37,
            cached_read: 60,
            reasoning: 30,
            audio_prompt: 90,
            tier: ServiceTier::Flex,
            ..Usage::default()
        };
        assert_eq!(usage, Some(expected));
        assert_eq!(usage.unwrap().total(), 157);
        for nothing in ["{}", r#"{"trafficType":"ON_DEMAND"}"#, "[]", "7"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
