use router_core::{ServiceTier, Usd};

use super::*;

/// Noon of Wednesday, 2026-01-07, in UTC: a peak hour for those who have them.
const WEDNESDAY_NOON: Timestamp = Timestamp::from_millis(1_767_787_200_000);

const fn tokens(prompt: u64, completion: u64) -> Usage {
    Usage {
        prompt,
        completion,
        cached_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
        reasoning: 0,
        audio_prompt: 0,
        audio_completion: 0,
        tier: ServiceTier::Standard,
        reported_cost: None,
    }
}

#[test]
fn every_entry_of_the_built_in_table_is_found_and_read() {
    let table = Table::built_in(BUILT_IN);
    let names: Vec<&str> = table.entries().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3_692);
    assert!(names.is_sorted());
    for name in names {
        let entry = table.entry(name).unwrap_or_else(|| panic!("{name} is not found"));
        RateCard::parse(entry).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for name in ["", "a", "gpt-4", "gpt-4o-mini-and-more", "zzz", "\u{10ffff}"] {
        assert_eq!(table.entry(name).is_some(), name == "gpt-4", "{name}");
    }
}

#[test]
fn models_are_found_by_the_names_that_providers_and_people_use() {
    let prices = Prices::built_in();
    let check = |provider: &str, model: &str, input: Option<u64>| {
        let price = prices.card(provider, model).and_then(|card| card.list_price());
        assert_eq!(price.map(|price| price.input), input.map(Usd::from_pico), "{provider} {model}");
    };
    check("openai", "gpt-4o-mini", Some(150_000));
    check("openai", "gpt-4o-mini-2024-07-18", Some(150_000));
    check("anthropic", "claude-sonnet-4-5-20250929", Some(3_000_000));
    check("gemini", "gemini-2.5-flash", Some(300_000));
    check("vertex_ai", "gemini-2.5-flash", Some(300_000));
    check("groq", "openai/gpt-oss-120b", Some(150_000));
    check("azure", "gpt-4o-mini", Some(150_000));
    check("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0", Some(800_000));
    check("mistral", "mistral-large-latest", Some(500_000));
    check("anthropic", "gpt-4o-mini", None);
    check("openai", "llama-of-my-own", None);
    check("openrouter", "openai/gpt-4o-mini", None);
}

#[test]
fn a_file_of_one_s_own_comes_first_and_keeps_its_digits() {
    let litellm = r#"{"sample_spec": {"input_cost_per_token": 0.5}, "gpt-4o-mini": {
        "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.1428571428571428e-06,
        "output_cost_per_token": 2e-06, "max_input_tokens": 1000, "supports_vision": true,
        "tiered_pricing": [{"range": [0, 10], "input_cost_per_token": 5e-08}]}}"#;
    let (text, count) = Prices::normalized(litellm).unwrap();
    assert_eq!(count, 1);
    assert!(text.contains("1.1428571428571428e-06") && !text.contains("sample_spec"), "{text}");
    let prices = Prices::built_in().with_json(&text).unwrap();
    let card = prices.card("openai", "gpt-4o-mini").unwrap();
    assert_eq!((card.max_input_tokens, card.supports_vision), (Some(1_000), Some(true)));
    assert!(prices.card("openai", "gpt-4o").is_some(), "the built-in table is still there");
    for (wrong, expected) in
        [("", "EOF"), ("[]", "expected an object"), ("{}", "no model"), ("{\"a\":1}", "no model")]
    {
        let error = Prices::normalized(wrong).unwrap_err().to_string();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}

#[test]
fn a_configured_price_takes_the_place_of_the_table_s_and_leaves_the_others() {
    let mut card = Prices::built_in().card("anthropic", "claude-sonnet-4-5").unwrap();
    card.set("input_cost_per_token", 1e-6).unwrap();
    let usage = Usage { cached_read: 400, ..tokens(1_000, 0) };
    let cost = card.cost(&usage, WEDNESDAY_NOON).unwrap();
    assert_eq!((cost.input.as_pico(), cost.cache_read.as_pico()), (600 * 1_000_000, 400 * 300_000));
    assert!(card.set("input_cost_per_word", 1.0).unwrap_err().contains("no price called"));
    assert!(card.set("input_cost_per_token", -1.0).unwrap_err().contains("is not a price"));
}

#[test]
fn an_unknown_price_is_unknown_and_not_zero() {
    assert_eq!(RateCard::default().cost(&tokens(1, 0), WEDNESDAY_NOON), None);
    let card = RateCard::parse(r#"{"input_cost_per_token":0}"#).unwrap();
    assert_eq!(card.cost(&tokens(7, 0), WEDNESDAY_NOON).map(|cost| cost.total()), Some(Usd::default()));
    assert_eq!(card.cost(&tokens(7, 1), WEDNESDAY_NOON), None, "the answer has no price");
}

/// One line: provider, model, usage, cost in pico-dollars as computed by hand from the vendors' list prices.
type Case = (&'static str, &'static str, Usage, u64);

#[test]
fn costs_equal_those_computed_by_hand() {
    use ServiceTier::{Batch, Flex, Priority};
    let none = tokens(0, 0);
    #[rustfmt::skip]
    let cases: &[Case] = &[
        // OpenAI gpt-4o-mini: 0.15 / 0.60 $ a million, cached 0.075.
        ("openai", "gpt-4o-mini", tokens(1, 0), 150_000),
        ("openai", "gpt-4o-mini", tokens(0, 1), 600_000),
        ("openai", "gpt-4o-mini", tokens(1_000, 500), 450_000_000),
        ("openai", "gpt-4o-mini", Usage { cached_read: 600, ..tokens(1_000, 500) }, 405_000_000),
        ("openai", "gpt-4o-mini", Usage { cached_read: 1_000, ..tokens(1_000, 0) }, 75_000_000),
        ("openai", "gpt-4o-mini", Usage { tier: Batch, ..tokens(1_000, 500) }, 225_000_000),
        ("openai", "gpt-4o-mini", none, 0),
        // More cached than prompted is cut to the prompt.
        ("openai", "gpt-4o-mini", Usage { cached_read: 9_999, ..tokens(1_000, 0) }, 75_000_000),
        // gpt-4o: 2.50 / 10 $, cached 1.25.
        ("openai", "gpt-4o", tokens(12_345, 678), 37_642_500_000),
        ("openai", "gpt-4o", Usage { cached_read: 12_288, ..tokens(12_345, 678) }, 22_282_500_000),
        ("openai", "gpt-4o-2024-08-06", tokens(1_000_000, 1_000_000), 12_500_000_000_000),
        // o3: 2 / 8 $, cached 0.50; reasoning is paid as answer. Flex 1 / 4 $, priority 3.50 / 14 $.
        ("openai", "o3", Usage { reasoning: 900, ..tokens(100, 1_000) }, 8_200_000_000),
        ("openai", "o3", Usage { tier: Flex, reasoning: 900, ..tokens(100, 1_000) }, 4_100_000_000),
        ("openai", "o3", Usage { tier: Priority, ..tokens(100, 1_000) }, 14_350_000_000),
        // gpt-5: 1.25 / 10 $, cached 0.125.
        ("openai", "gpt-5", Usage { cached_read: 900, reasoning: 64, ..tokens(1_000, 100) }, 1_237_500_000),
        // Claude Sonnet 4.5: 3 / 15 $; cache read 0.30, write 3.75 for five minutes, 6 for an hour.
        ("anthropic", "claude-sonnet-4-5", tokens(1_000, 100), 4_500_000_000),
        ("anthropic", "claude-sonnet-4-5", Usage { cached_read: 900, ..tokens(1_000, 100) }, 2_070_000_000),
        ("anthropic", "claude-sonnet-4-5", Usage { cache_write_5m: 900, ..tokens(1_000, 100) }, 5_175_000_000),
        ("anthropic", "claude-sonnet-4-5", Usage { cache_write_1h: 900, ..tokens(1_000, 100) }, 7_200_000_000),
        ("anthropic", "claude-sonnet-4-5", Usage { cached_read: 400, cache_write_5m: 300, cache_write_1h: 200, ..tokens(1_000, 100) }, 4_245_000_000),
        // At Bedrock, over 200k tokens of prompt everything costs more: 6 / 22.50 $, read 0.60, write 7.50. At 200k it does not yet.
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", tokens(200_000, 1_000), 615_000_000_000),
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", tokens(200_001, 1_000), 1_222_506_000_000),
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", Usage { cached_read: 200_000, ..tokens(200_001, 1_000) }, 142_506_000_000),
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", Usage { cache_write_5m: 200_000, ..tokens(200_001, 0) }, 1_500_006_000_000),
        // Claude Haiku 4.5: 1 / 5 $, read 0.10, write 1.25 and 2.
        ("anthropic", "claude-haiku-4-5-20251001", Usage { cached_read: 4_000, cache_write_5m: 100, cache_write_1h: 200, ..tokens(4_310, 7) }, 970_000_000),
        ("anthropic", "claude-haiku-4-5", Usage { reasoning: 5, ..tokens(10, 7) }, 45_000_000),
        // Claude Opus 4.5: 5 / 25 $.
        ("anthropic", "claude-opus-4-5", tokens(10, 10), 300_000_000),
        // Gemini 2.5 Pro: 1.25 / 10 $, over 200k 2.50 / 15 $; cached 0.125, over 200k 0.25.
        ("gemini", "gemini-2.5-pro", tokens(1_000, 100), 2_250_000_000),
        ("gemini", "gemini-2.5-pro", tokens(300_000, 100), 751_500_000_000),
        ("gemini", "gemini-2.5-pro", Usage { cached_read: 250_000, ..tokens(300_000, 100) }, 189_000_000_000),
        ("gemini", "gemini-2.5-pro", Usage { tier: Batch, ..tokens(1_000, 100) }, 1_125_000_000),
        // Gemini 2.5 Flash: 0.30 / 2.50 $, cached 0.03, sound 1 $; reasoning 2.50.
        ("gemini", "gemini-2.5-flash", tokens(1_000, 100), 550_000_000),
        ("gemini", "gemini-2.5-flash", Usage { audio_prompt: 400, ..tokens(1_000, 100) }, 830_000_000),
        ("gemini", "gemini-2.5-flash", Usage { cached_read: 500, reasoning: 80, ..tokens(1_000, 100) }, 415_000_000),
        // gpt-oss-120b at Groq: 0.15 / 0.60 $.
        ("groq", "openai/gpt-oss-120b", tokens(1_000, 1_000), 750_000_000),
        // Azure gpt-4o-mini: 0.15 / 0.60 $, cached 0.075.
        ("azure", "gpt-4o-mini", tokens(1_000, 100), 210_000_000),
        ("azure", "gpt-4o-mini", Usage { cached_read: 1_000, ..tokens(1_000, 100) }, 135_000_000),
        // Grok 4.3: 1.25 $, from 200k on 2.50 $.
        ("xai", "grok-4.3", tokens(199_999, 0), 249_998_750_000),
        ("xai", "grok-4.3", tokens(200_000, 0), 500_000_000_000),
        // Bedrock Claude 3.5 Haiku: 0.80 / 4 $, cache read 0.08, write 1.
        ("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0", Usage { cached_read: 500, cache_write_5m: 500, ..tokens(1_000, 10) }, 580_000_000),
        // Mistral Large 3: 0.50 / 1.50 $.
        ("mistral", "mistral-large-latest", tokens(1_000, 1_000), 2_000_000_000),
        // Embeddings: text-embedding-3-small, 0.02 $.
        ("openai", "text-embedding-3-small", tokens(1_234, 0), 24_680_000),
        // Qwen Flash in bands: up to 256k 0.05 / 0.40 $, over 0.25 / 2 $.
        ("dashscope", "qwen-flash", tokens(256_000, 1_000), 13_200_000_000),
        ("dashscope", "qwen-flash", tokens(256_001, 1_000), 66_000_250_000),
        // Qwen Plus has a price for reasoning: 0.40 / 1.20 $, reasoning 4 $.
        ("dashscope", "qwen-plus-2025-07-28", Usage { reasoning: 50, ..tokens(1_000, 100) }, 660_000_000),
        // gpt-4o-audio-preview: 2.50 / 10 $, sound 40 / 80 $ at OpenAI.
        ("openai", "gpt-4o-audio-preview-2024-12-17", Usage { audio_prompt: 100, audio_completion: 50, ..tokens(200, 80) }, 8_550_000_000),
    ];
    let prices = Prices::built_in();
    assert!(cases.len() >= 40);
    for (n, (provider, model, usage, expected)) in cases.iter().enumerate() {
        let cost = prices.cost(provider, model, usage, WEDNESDAY_NOON).map(|cost| cost.total().as_pico());
        assert_eq!(cost, Some(*expected), "case {n}: {provider} {model} {usage:?}");
    }
}

#[test]
fn off_peak_hours_have_their_own_prices() {
    let card = Prices::built_in().card("deepseek", "deepseek-flash").unwrap();
    let cost = |millis| card.cost(&tokens(1_000, 0), Timestamp::from_millis(millis)).unwrap().total();
    let hour = 3_600_000;
    let midnight = WEDNESDAY_NOON.as_millis() - 12 * hour;
    let (cheap, dear) = (cost(midnight), cost(midnight + 2 * hour));
    assert_eq!(cheap, Usd::from_pico(150_000_000));
    assert_eq!(dear, Usd::from_pico(300_000_000));
    assert_eq!(cost(midnight + hour), dear, "a window ends before its end");
    assert_eq!(cost(midnight + 23 * hour), cheap, "until midnight");
    assert_eq!(cost(midnight + 72 * hour + 2 * hour), cheap, "the whole of Saturday");
}
