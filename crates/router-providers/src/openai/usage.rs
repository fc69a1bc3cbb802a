//! From the many spellings of OpenAI-shaped usage to one.

use router_core::{ServiceTier, Usage, Usd};
use serde::{Deserialize, Deserializer};
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
    /// OpenRouter's, a number; Perplexity's, an object.
    cost: Dollars,
    /// Whether OpenRouter used the caller's own key at the provider, who then charges beside OpenRouter's `cost`.
    is_byok: Option<bool>,
    cost_details: Option<CostDetails>,
    /// xAI's: ten billion ticks are a dollar.
    cost_in_usd_ticks: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct CostDetails {
    upstream_inference_cost: Dollars,
}

/// An amount that may not be there, or may be something else.
#[derive(Default, Clone, Copy)]
struct Dollars(Option<Usd>);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(f64),
            Parts { total_cost: f64 },
            Other(serde::de::IgnoredAny),
        }
        Ok(Self(match Wire::deserialize(deserializer)? {
            Wire::Number(dollars) | Wire::Parts { total_cost: dollars } => Usd::from_dollars(dollars),
            Wire::Other(_) => None,
        }))
    }
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
}

impl WireUsage {
    fn reported_cost(&self) -> Option<Usd> {
        /// A tick is 10^-10 dollars.
        const TICK: Usd = Usd::from_pico(100);
        let upstream = match self.is_byok {
            Some(true) => self.cost_details.unwrap_or_default().upstream_inference_cost.0,
            Some(false) | None => None,
        };
        let cost = self.cost.0.map(|cost| cost.plus(upstream.unwrap_or_default()));
        cost.or(self.cost_in_usd_ticks.0.map(|ticks| TICK.times(ticks)))
    }
}

/// Reads a `usage` object, of a reply with this `service_tier`; `None` when it tells nothing.
pub(crate) fn read(usage: &RawValue, service_tier: Option<&RawValue>) -> Option<Usage> {
    let wire: WireUsage = raw_json::parse(usage.get()).ok()?;
    if wire.prompt_tokens.0.is_none() && wire.completion_tokens.0.is_none() {
        return None;
    }
    let details = wire.prompt_tokens_details.unwrap_or_default();
    let answer = wire.completion_tokens_details.unwrap_or_default();
    let reasoning = answer.reasoning_tokens.or_zero();
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
        audio_prompt: details.audio_tokens.or_zero().min(prompt),
        audio_completion: answer.audio_tokens.or_zero().min(completion),
        tier: service_tier
            .and_then(raw_json::text)
            .map_or(ServiceTier::Standard, |tier| ServiceTier::named(&tier)),
        reported_cost: wire.reported_cost(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Option<Usage> {
        read(serde_json::from_str(json).unwrap(), None)
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
    fn sound_is_counted_apart() {
        let json = r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":4},
            "completion_tokens_details":{"audio_tokens":3}}"#;
        let expected =
            Usage { prompt: 10, completion: 5, audio_prompt: 4, audio_completion: 3, ..Usage::default() };
        assert_eq!(usage(json), Some(expected));
    }

    #[test]
    fn each_vendor_s_own_cost_is_read_to_the_pico_dollar() {
        let check = |members: &str, pico: Option<u64>| {
            let usage = usage(&format!(r#"{{"prompt_tokens":1,"completion_tokens":1,{members}}}"#)).unwrap();
            assert_eq!(usage.reported_cost, pico.map(Usd::from_pico), "{members}");
        };
        check(r#""cost":0.00132315,"is_byok":false"#, Some(1_323_150_000));
        check(r#""cost":0"#, Some(0));
        check(
            r#""cost":0.00001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0002}"#,
            Some(210_000_000),
        );
        check(r#""cost":{"input_tokens_cost":0.000009,"total_cost":0.00503}"#, Some(5_030_000_000));
        check(r#""cost_in_usd_ticks":8934000"#, Some(893_400_000));
        check(r#""cost":null"#, None);
        check(r#""cost":"dear""#, None);
    }

    #[test]
    fn the_class_of_service_stands_beside_the_usage() {
        let raw = |json: &'static str| serde_json::from_str::<&RawValue>(json).unwrap();
        let counted = raw(r#"{"prompt_tokens":1,"completion_tokens":1}"#);
        let tier = |name| read(counted, Some(raw(name))).unwrap().tier;
        assert_eq!(tier(r#""flex""#), ServiceTier::Flex);
        assert_eq!(tier(r#""priority""#), ServiceTier::Priority);
        assert_eq!(tier(r#""default""#), ServiceTier::Standard);
        assert_eq!(tier("null"), ServiceTier::Standard);
    }

    #[test]
    fn what_tells_nothing_is_no_usage() {
        for json in ["{}", "[]", "7", r#"{"prompt_tokens":"7"}"#, r#"{"prompt_tokens":null}"#] {
            assert_eq!(usage(json), None, "{json}");
        }
    }
}
