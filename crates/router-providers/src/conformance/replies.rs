//! Whole replies.

use router_core::{Usage, Usd};
use serde_json::{Value, json};

use super::exchange::{Exchange, target};

/// Returns the recorded exchanges that hold a whole, good reply.
fn good(family: &str) -> Vec<Exchange> {
    let mut all = Exchange::all(family);
    all.retain(|exchange| !exchange.is_stream() && !exchange.kind.contains("error"));
    assert!(all.len() > 15);
    all
}

#[test]
fn openai_shaped_replies_pass_through_and_are_understood() {
    for exchange in good("openai_chat") {
        let name = &exchange.name;
        let sent = exchange.reply();
        let bytes = sent.body.clone();
        let reply =
            exchange.protocol.decode(&target(), sent).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(reply.body.as_ptr(), bytes.as_ptr(), "{name}: not copied");
        let body = &exchange.response["body"];
        assert_eq!(reply.model.as_deref(), body["model"].as_str(), "{name}");
        assert_eq!(reply.usage, openai_usage(&exchange.provider, &body["usage"]), "{name}");
        assert_eq!(reply.text().as_deref(), body["choices"][0]["message"]["content"].as_str(), "{name}");
    }
}

#[test]
fn anthropic_replies_are_translated() {
    for exchange in good("anthropic_messages") {
        let name = &exchange.name;
        let reply = exchange
            .protocol
            .decode(&target(), exchange.reply())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let sent = &exchange.response["body"];
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let choice = &body["choices"][0];
        let message = &choice["message"];
        let blocks = sent["content"].as_array().unwrap();
        let of_type =
            |kind: &str| blocks.iter().filter(move |block| block["type"] == kind).collect::<Vec<_>>();
        let joined = |kind: &str, member: &str| -> String {
            of_type(kind).iter().map(|block| block[member].as_str().unwrap()).collect()
        };

        assert_eq!(message["content"].as_str().unwrap_or_default(), joined("text", "text"), "{name}");
        assert_eq!(
            message["reasoning_content"].as_str().unwrap_or_default(),
            joined("thinking", "thinking"),
            "{name}"
        );
        let thinking: Vec<&Value> = blocks
            .iter()
            .filter(|block| block["type"] == "thinking" || block["type"] == "redacted_thinking")
            .collect();
        assert_eq!(
            message["thinking_blocks"].as_array().into_iter().flatten().collect::<Vec<_>>(),
            thinking,
            "{name}"
        );
        assert_eq!(calls(message), native_calls(&of_type("tool_use")), "{name}");
        assert_eq!(choice["finish_reason"], finish_reason(&sent["stop_reason"]), "{name}");
        assert_eq!(choice["native_finish_reason"], sent["stop_reason"], "{name}");
        assert_eq!((&body["id"], &body["model"]), (&sent["id"], &sent["model"]), "{name}");
        assert_eq!(body["created"].as_u64().unwrap() > 0, exchange.headers().contains_key("date"), "{name}");

        let usage = reply.usage.unwrap();
        assert_eq!(usage, anthropic_usage(&sent["usage"]), "{name}");
        assert_eq!(body["usage"]["prompt_tokens"], usage.prompt, "{name}");
        assert_eq!(body["usage"]["completion_tokens"], usage.completion, "{name}");
        assert_eq!(body["usage"]["total_tokens"], usage.total(), "{name}");
    }
}

/// Returns id, name and arguments of each call in a canonical message, the arguments parsed.
pub(super) fn calls(message: &Value) -> Vec<(Value, Value, Value)> {
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    calls
        .map(|call| {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            (
                call["id"].clone(),
                call["function"]["name"].clone(),
                serde_json::from_str(arguments).unwrap_or_else(|_| panic!("arguments {arguments:?}")),
            )
        })
        .collect()
}

fn native_calls(blocks: &[&Value]) -> Vec<(Value, Value, Value)> {
    blocks.iter().map(|block| (block["id"].clone(), block["name"].clone(), block["input"].clone())).collect()
}

pub(super) fn finish_reason(native: &Value) -> Value {
    json!(match native.as_str().unwrap() {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool_calls",
        "max_tokens" => "length",
        other => panic!("{other} is new in the recordings"),
    })
}

pub(super) fn openai_usage(provider: &str, usage: &Value) -> Option<Usage> {
    usage.as_object()?;
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    let mut completion = count(&usage["completion_tokens"]);
    if provider == "xai" {
        completion += reasoning;
    }
    let cached = [
        &usage["prompt_tokens_details"]["cached_tokens"],
        &usage["cached_tokens"],
        &usage["num_cached_tokens"],
    ];
    let cached = cached.into_iter().map(count).max().unwrap();
    let prompt = count(&usage["prompt_tokens"]);
    Some(Usage {
        // Some of Azure's replies say that more was cached than prompted.
        prompt: if provider == "azure" && cached > prompt { prompt + cached } else { prompt },
        completion,
        cached_read: cached,
        cache_write_5m: count(&usage["prompt_tokens_details"]["cache_write_tokens"]),
        cache_write_1h: 0,
        reasoning: reasoning.min(completion),
        audio_prompt: count(&usage["prompt_tokens_details"]["audio_tokens"]),
        audio_completion: count(&usage["completion_tokens_details"]["audio_tokens"]),
        reported_cost: reported_cost(usage),
        ..Usage::default()
    })
}

/// The cost as the vendors document it: dollars, dollars in parts, or ticks of 10^-10 dollars. Whoever brings a key of their own
/// pays the provider beside OpenRouter.
fn reported_cost(usage: &Value) -> Option<Usd> {
    if usage["is_byok"] == true {
        let upstream = usage["cost_details"]["upstream_inference_cost"].as_f64().unwrap_or_default();
        return usage["cost"].as_f64().and_then(|cost| Usd::from_dollars(cost + upstream));
    }
    let dollars = usage["cost"].as_f64().or(usage["cost"]["total_cost"].as_f64());
    let ticks = usage["cost_in_usd_ticks"].as_u64();
    dollars.and_then(Usd::from_dollars).or(ticks.map(|ticks| Usd::from_pico(ticks * 100)))
}

pub(super) fn anthropic_usage(usage: &Value) -> Usage {
    let count = |member: &str| usage[member].as_u64().unwrap_or(0);
    let (read, written) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let one_hour = usage["cache_creation"]["ephemeral_1h_input_tokens"].as_u64().unwrap_or(0);
    Usage {
        prompt: count("input_tokens") + read + written,
        completion: count("output_tokens"),
        cached_read: read,
        cache_write_5m: written - one_hour,
        cache_write_1h: one_hour,
        reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0),
        ..Usage::default()
    }
}
