//! What an exchange means: one small reader for each provider's format, and one for the canonical shape, strict about it. The
//! code under test has no part in the former.

use std::collections::BTreeMap;

use router_core::{Chunk, ServiceTier, Usage};
use serde_json::{Value, json};

use super::exchange::Exchange;
use super::replies::{anthropic_usage, openai_usage};

/// An answer, whoever gave it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Meaning {
    pub(super) choices: Vec<Answer>,
    pub(super) usage: Option<Usage>,
}

/// One choice of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) reasoning: String,
    /// Id, name and arguments of each call.
    pub(super) calls: Vec<(String, String, String)>,
    pub(super) finish_reason: Option<String>,
}

impl Meaning {
    /// Reads what the provider sent.
    pub(super) fn recorded(exchange: &Exchange) -> Self {
        #[cfg(feature = "bedrock")]
        if exchange.family == "bedrock_converse" {
            return super::bedrock::recorded(exchange);
        }
        let events: Vec<Value> = if exchange.is_stream() {
            let events = exchange.events();
            events.iter().filter(|event| *event != "[DONE]").map(|event| json_of(event)).collect()
        } else {
            let body = &exchange.response["body"];
            // Google sends a stream that nobody asked for as events as a list.
            body.as_array().cloned().unwrap_or_else(|| vec![body.clone()])
        };
        match exchange.family.as_str() {
            "openai_chat" => openai(&exchange.provider, &events),
            "anthropic_messages" => anthropic(&events),
            "cohere_chat" => cohere(&events),
            "gemini_generate" => gemini(&events),
            other => panic!("{other} has no reader"),
        }
    }

    /// Reads a canonical reply.
    pub(super) fn of_reply(body: &[u8], usage: Option<Usage>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap();
        let choices = body["choices"].as_array().unwrap().iter().map(|choice| {
            let mut answer = Answer::default();
            canonical_part(&mut answer, &choice["message"], &mut BTreeMap::new());
            finish(&mut answer, &choice["finish_reason"]);
            answer
        });
        Self { choices: choices.collect(), usage: usage.map(without_tier) }
    }

    /// Puts canonical chunks together as a client does, by the indexes they carry.
    pub(super) fn of_chunks<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> Self {
        let mut answers: BTreeMap<u64, (Answer, BTreeMap<u64, usize>)> = BTreeMap::new();
        let mut usage = None;
        for chunk in chunks {
            usage = chunk.usage.or(usage);
            let data: Value = serde_json::from_slice(&chunk.data).unwrap();
            for choice in data["choices"].as_array().into_iter().flatten() {
                let index = choice["index"].as_u64().unwrap_or(0);
                let (answer, calls) = answers.entry(index).or_default();
                canonical_part(answer, &choice["delta"], calls);
                finish(answer, &choice["finish_reason"]);
            }
        }
        Self {
            choices: answers.into_values().map(|(answer, _)| answer).collect(),
            usage: usage.map(without_tier),
        }
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))
}

fn without_tier(usage: Usage) -> Usage {
    Usage { tier: ServiceTier::default(), ..usage }
}

/// Adds a message or a delta of the canonical shape, where contents are texts and reasoning has one of two names.
fn canonical_part(answer: &mut Answer, part: &Value, known_calls: &mut BTreeMap<u64, usize>) {
    let text = &part["content"];
    assert!(text.is_null() || text.is_string(), "a content that is no text: {text}");
    answer.text.push_str(text.as_str().unwrap_or_default());
    let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|name| part[*name].as_str());
    answer.reasoning.push_str(reasoning.unwrap_or_default());
    for (position, call) in part["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let index = call["index"].as_u64().unwrap_or(position as u64);
        let at = *known_calls.entry(index).or_insert_with(|| {
            answer.calls.push(Default::default());
            answer.calls.len() - 1
        });
        add_call(&mut answer.calls[at], call);
    }
}

fn add_call(known: &mut (String, String, String), call: &Value) {
    let (id, name, arguments) = known;
    for (to, more) in [(id, &call["id"]), (name, &call["function"]["name"])] {
        if let (true, Some(more)) = (to.is_empty(), more.as_str()) {
            to.push_str(more);
        }
    }
    arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
}

fn finish(answer: &mut Answer, reason: &Value) {
    if let Some(reason) = reason.as_str().filter(|reason| !reason.is_empty()) {
        answer.finish_reason = Some(reason.to_owned());
    }
}

/// OpenAI's format with all that hosts make of it: contents in parts, calls told apart by their ids where indexes do not.
fn openai(provider: &str, events: &[Value]) -> Meaning {
    let mut answers: BTreeMap<u64, (Answer, Vec<u64>)> = BTreeMap::new();
    let mut usage = None;
    for event in events {
        usage = openai_usage(provider, &event["usage"]).or(usage);
        for choice in event["choices"].as_array().into_iter().flatten() {
            let (answer, indexes) = answers.entry(choice["index"].as_u64().unwrap_or(0)).or_default();
            let part = if choice["message"].is_object() { &choice["message"] } else { &choice["delta"] };
            match &part["content"] {
                Value::Array(parts) => {
                    for part in parts {
                        answer.text.push_str(part["text"].as_str().unwrap_or_default());
                        for thought in part["thinking"].as_array().into_iter().flatten() {
                            answer.reasoning.push_str(thought["text"].as_str().unwrap());
                        }
                    }
                }
                content => answer.text.push_str(content.as_str().unwrap_or_default()),
            }
            let reasoning = part["reasoning_content"].as_str().or(part["reasoning"].as_str());
            answer.reasoning.push_str(reasoning.unwrap_or_default());
            for (position, call) in part["tool_calls"].as_array().into_iter().flatten().enumerate() {
                let index = call["index"].as_u64().unwrap_or(position as u64);
                let id = call["id"].as_str().filter(|id| !id.is_empty());
                let same = indexes.iter().rposition(|known| *known == index);
                let same = same.filter(|at| id.is_none_or(|id| answer.calls[*at].0 == id));
                let at = same.unwrap_or_else(|| {
                    answer.calls.push(Default::default());
                    indexes.push(index);
                    indexes.len() - 1
                });
                add_call(&mut answer.calls[at], call);
            }
            finish(answer, &choice["finish_reason"]);
        }
    }
    let choices = answers.into_values().map(|(answer, _)| answer).collect();
    Meaning { choices, usage: usage.map(without_tier) }
}

fn anthropic(events: &[Value]) -> Meaning {
    let mut blocks: BTreeMap<u64, Value> = BTreeMap::new();
    let (mut stop_reason, mut usage) = (Value::Null, json!({}));
    let add = |to: &mut Value, more: &Value| {
        let old = to.as_str().unwrap_or_default().to_owned();
        *to = (old + more.as_str().unwrap_or_default()).into();
    };
    for event in events {
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str() {
            Some("message") => {
                let content = event["content"].as_array().unwrap();
                for (index, block) in content.iter().enumerate() {
                    let mut block = block.clone();
                    block["json"] = block["input"].to_string().into();
                    blocks.insert(index as u64, block);
                }
                stop_reason = event["stop_reason"].clone();
                usage = event["usage"].clone();
            }
            Some("message_start") => usage = event["message"]["usage"].clone(),
            Some("content_block_start") => {
                blocks.insert(index, event["content_block"].clone());
            }
            Some("content_block_delta") => {
                let block = blocks.get_mut(&index).unwrap();
                for (from, to) in [("text", "text"), ("thinking", "thinking"), ("partial_json", "json")] {
                    if !event["delta"][from].is_null() {
                        add(&mut block[to], &event["delta"][from]);
                    }
                }
            }
            Some("message_delta") => {
                stop_reason = event["delta"]["stop_reason"].clone();
                for (name, value) in event["usage"].as_object().unwrap() {
                    usage[name] = value.clone();
                }
            }
            _ => {}
        }
    }
    let mut answer = Answer::default();
    for block in blocks.values() {
        match block["type"].as_str().unwrap() {
            "text" => answer.text.push_str(block["text"].as_str().unwrap()),
            "thinking" => answer.reasoning.push_str(block["thinking"].as_str().unwrap()),
            "tool_use" => {
                let text = |member: &str| block[member].as_str().unwrap_or_default().to_owned();
                let json =
                    Some(text("json")).filter(|json| !json.is_empty()).unwrap_or_else(|| "{}".to_owned());
                answer.calls.push((text("id"), text("name"), json));
            }
            _ => {}
        }
    }
    answer.finish_reason = Some(super::replies::finish_reason(&stop_reason).as_str().unwrap().to_owned());
    Meaning { choices: vec![answer], usage: Some(anthropic_usage(&usage)) }
}

fn cohere(events: &[Value]) -> Meaning {
    let mut answer = Answer::default();
    let mut usage = Value::Null;
    let parts = |message: &Value, answer: &mut Answer| {
        answer.text.push_str(message["tool_plan"].as_str().unwrap_or_default());
        let content = &message["content"];
        for part in content.as_array().into_iter().flatten().chain(content.is_object().then_some(content)) {
            answer.text.push_str(part["text"].as_str().unwrap_or_default());
            answer.reasoning.push_str(part["thinking"].as_str().unwrap_or_default());
        }
    };
    for event in events {
        let message = &event["delta"]["message"];
        match event["type"].as_str() {
            None => {
                parts(&event["message"], &mut answer);
                for call in event["message"]["tool_calls"].as_array().into_iter().flatten() {
                    answer.calls.push(Default::default());
                    add_call(answer.calls.last_mut().unwrap(), call);
                }
                answer.finish_reason = event["finish_reason"].as_str().map(str::to_owned);
                usage = event["usage"].clone();
            }
            Some("content-start" | "content-delta" | "tool-plan-delta") => parts(message, &mut answer),
            Some("tool-call-start") => {
                answer.calls.push(Default::default());
                add_call(answer.calls.last_mut().unwrap(), &message["tool_calls"]);
            }
            Some("tool-call-delta") => add_call(answer.calls.last_mut().unwrap(), &message["tool_calls"]),
            Some("message-end") => {
                answer.finish_reason = event["delta"]["finish_reason"].as_str().map(str::to_owned);
                usage = event["delta"]["usage"].clone();
            }
            Some(_) => {}
        }
    }
    answer.finish_reason = answer.finish_reason.map(|reason| {
        match reason.as_str() {
            "COMPLETE" | "STOP_SEQUENCE" => "stop",
            "TOOL_CALL" => "tool_calls",
            other => panic!("{other} is new in the recordings"),
        }
        .to_owned()
    });
    let tokens = &usage["tokens"];
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let usage = Usage {
        prompt: count(&tokens["input_tokens"]) + count(&tokens["image_tokens"]),
        completion: count(&tokens["output_tokens"]),
        cached_read: count(&usage["cached_tokens"]),
        reasoning: count(&tokens["reasoning_tokens"]),
        ..Usage::default()
    };
    Meaning { choices: vec![answer], usage: Some(usage) }
}

/// Google's calls have no ids before Gemini 3; what we make up in their place is left out on both sides.
fn gemini(responses: &[Value]) -> Meaning {
    let mut answer = Answer::default();
    let mut usage = None;
    for response in responses {
        let candidate = &response["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let text = part["text"].as_str().unwrap_or_default();
            if part["thought"] == true { &mut answer.reasoning } else { &mut answer.text }.push_str(text);
            if let Some(call) = part.get("functionCall") {
                let arguments = call.get("args").cloned().unwrap_or(json!({}));
                let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
                answer.calls.push((text("id"), text("name"), arguments.to_string()));
            }
        }
        if !candidate["finishReason"].is_null() {
            let has_calls = !answer.calls.is_empty();
            answer.finish_reason = Some(match candidate["finishReason"].as_str() {
                None | Some("STOP" | "UNEXPECTED_TOOL_CALL") if has_calls => "tool_calls".to_owned(),
                None | Some("STOP") => "stop".to_owned(),
                Some("MAX_TOKENS") => "length".to_owned(),
                Some("SAFETY" | "MODEL_ARMOR" | "PROHIBITED_CONTENT" | "RECITATION") => {
                    "content_filter".to_owned()
                }
                Some(other) => panic!("{other} is new in the recordings"),
            });
        }
        let counts = &response["usageMetadata"];
        let count = |name: &str| counts[name].as_u64().unwrap_or(0);
        let audio = |name: &str| -> u64 {
            let details = counts[name].as_array().into_iter().flatten();
            let sound = details.filter(|detail| detail["modality"] == "AUDIO");
            sound.map(|detail| detail["tokenCount"].as_u64().unwrap()).sum()
        };
        if counts["promptTokenCount"].is_u64() {
            usage = Some(Usage {
                prompt: count("promptTokenCount") + count("toolUsePromptTokenCount"),
                completion: count("candidatesTokenCount") + count("thoughtsTokenCount"),
                cached_read: count("cachedContentTokenCount"),
                reasoning: count("thoughtsTokenCount"),
                audio_prompt: audio("promptTokensDetails"),
                audio_completion: audio("candidatesTokensDetails"),
                ..Usage::default()
            });
        }
    }
    Meaning { choices: vec![answer], usage }
}
