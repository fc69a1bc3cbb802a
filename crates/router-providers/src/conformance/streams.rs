//! Streams, whole and cut into any pieces.

use std::collections::BTreeMap;

use bytes::Bytes;
use router_core::{Chunk, ChunkKind, ProviderErrorKind};
use serde_json::{Value, json};

use super::exchange::{Exchange, replay};
use super::replies::{anthropic_usage, calls, finish_reason, openai_usage};
use crate::protocol::Protocol;

fn good(family: &str) -> Vec<Exchange> {
    let mut all = streams(family);
    all.retain(|exchange| !exchange.kind.contains("error"));
    all
}

fn streams(family: &str) -> Vec<Exchange> {
    let mut all = Exchange::all(family);
    all.retain(Exchange::is_stream);
    assert!(all.len() > 10);
    all
}

#[test]
fn openai_shaped_chunks_pass_through_and_are_understood() {
    let mut renumbered = 0;
    for exchange in good("openai_chat") {
        let name = &exchange.name;
        let sse = exchange.sse();
        let (chunks, result) = replay(exchange.protocol, &exchange.headers(), [sse.clone()]);
        assert!(result.is_ok(), "{name}: {result:?}");
        let mut events = exchange.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{name}");
        assert_eq!(chunks.len(), events.len(), "{name}");
        for (chunk, event) in chunks.iter().zip(&events) {
            if numbers(event).contains(&None) {
                // The one thing that is added: which call a piece belongs to, where the service does not say.
                let chunk = std::str::from_utf8(&chunk.data).unwrap();
                assert!(!numbers(chunk).contains(&None), "{name}: {chunk}");
                assert_eq!(without_numbers(chunk), without_numbers(event), "{name}");
                renumbered += 1;
            } else {
                assert_eq!(chunk.data, event, "{name}");
                let start = sse.as_ptr().addr();
                assert!(
                    (start..start + sse.len()).contains(&chunk.data.as_ptr().addr()),
                    "{name}: not copied"
                );
            }
            let event: Value = serde_json::from_str(event).unwrap();
            assert_eq!(chunk.kind, openai_kind(&event), "{name}: {event}");
            assert_eq!(chunk.usage, openai_usage(&exchange.provider, &event["usage"]), "{name}");
        }
        let finishes = chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Finish).count();
        let contents = chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Content).count();
        assert!(finishes + contents > 0, "{name}");
    }
    assert!((1..10).contains(&renumbered), "{renumbered}");
}

/// Returns the number of each piece of a tool call in a chunk.
fn numbers(chunk: &str) -> Vec<Option<u64>> {
    let chunk: Value = serde_json::from_str(chunk).unwrap();
    let choices = chunk["choices"].as_array().into_iter().flatten();
    let pieces = choices.flat_map(|choice| choice["delta"]["tool_calls"].as_array().into_iter().flatten());
    pieces.map(|piece| piece["index"].as_u64()).collect()
}

fn without_numbers(chunk: &str) -> Value {
    let mut chunk: Value = serde_json::from_str(chunk).unwrap();
    for choice in chunk["choices"].as_array_mut().unwrap() {
        for piece in choice["delta"]["tool_calls"].as_array_mut().into_iter().flatten() {
            piece.as_object_mut().unwrap().remove("index");
        }
    }
    chunk
}

fn openai_kind(event: &Value) -> ChunkKind {
    let choices = event["choices"].as_array().unwrap();
    let is_filled = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    let members = ["content", "reasoning", "reasoning_content", "reasoning_details", "refusal", "tool_calls"];
    if choices.iter().any(|choice| members.iter().any(|member| is_filled(&choice["delta"][*member]))) {
        ChunkKind::Content
    } else if choices.iter().any(|choice| choice["finish_reason"].is_string()) {
        ChunkKind::Finish
    } else if choices.is_empty() && event["usage"].is_object() {
        ChunkKind::Usage
    } else {
        ChunkKind::Preamble
    }
}

#[test]
fn anthropic_events_become_an_answer_in_chunks() {
    for exchange in good("anthropic_messages") {
        let name = &exchange.name;
        let (chunks, result) = replay(exchange.protocol, &exchange.headers(), [exchange.sse()]);
        assert!(result.is_ok(), "{name}: {result:?}");
        let events: Vec<Value> =
            exchange.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let native = Native::assemble(&events);
        let answer = Answer::assemble(&chunks);
        assert_eq!(answer.text, native.text, "{name}");
        assert_eq!(answer.reasoning, native.reasoning, "{name}");
        assert_eq!(answer.thinking_blocks, native.thinking_blocks, "{name}");
        assert_eq!(answer.calls(), native.calls, "{name}");
        assert_eq!(answer.finish_reason, finish_reason(&native.stop_reason), "{name}");
        assert_eq!(answer.usage, chunks.back().unwrap().usage.unwrap(), "{name}");
        assert_eq!(answer.usage, anthropic_usage(&native.usage), "{name}");

        let kinds: Vec<ChunkKind> = chunks.iter().map(|chunk| chunk.kind).collect();
        let [ChunkKind::Preamble, content @ .., ChunkKind::Finish, ChunkKind::Usage] = &kinds[..] else {
            panic!("{name}: {kinds:?}")
        };
        assert!(content.iter().all(|kind| *kind == ChunkKind::Content), "{name}: {kinds:?}");
    }
}

/// What a client makes of canonical chunks.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) thinking_blocks: Vec<Value>,
    pub(super) tools: BTreeMap<u64, Value>,
    pub(super) finish_reason: Value,
    pub(super) usage: router_core::Usage,
}

impl Answer {
    pub(super) fn assemble<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> Self {
        let mut answer = Self::default();
        for chunk in chunks {
            let data: Value = serde_json::from_slice(&chunk.data).unwrap();
            assert_eq!(data["object"], "chat.completion.chunk");
            if chunk.kind == ChunkKind::Usage {
                assert_eq!(data["choices"], json!([]));
                assert_eq!(data["usage"]["prompt_tokens"], chunk.usage.unwrap().prompt);
                answer.usage = chunk.usage.unwrap();
                continue;
            }
            let choice = &data["choices"][0];
            if choice["finish_reason"].is_string() {
                answer.finish_reason = choice["finish_reason"].clone();
            }
            let delta = &choice["delta"];
            answer.text.push_str(delta["content"].as_str().unwrap_or_default());
            answer.reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
            answer.thinking_blocks.extend(delta["thinking_blocks"].as_array().into_iter().flatten().cloned());
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let known =
                    answer.tools.entry(call["index"].as_u64().unwrap()).or_insert_with(|| call.clone());
                if known != call {
                    let arguments = known["function"]["arguments"].as_str().unwrap().to_owned();
                    let more = call["function"]["arguments"].as_str().unwrap();
                    known["function"]["arguments"] = json!(arguments + more);
                }
            }
        }
        answer
    }

    pub(super) fn calls(&self) -> Vec<(Value, Value, Value)> {
        calls(&json!({"tool_calls": self.tools.values().collect::<Vec<_>>()}))
    }
}

/// What Anthropic's events say, put together as its documentation tells.
#[derive(Default)]
struct Native {
    text: String,
    reasoning: String,
    thinking_blocks: Vec<Value>,
    calls: Vec<(Value, Value, Value)>,
    stop_reason: Value,
    usage: Value,
}

impl Native {
    fn assemble(events: &[Value]) -> Self {
        let mut native = Self::default();
        let mut blocks: BTreeMap<u64, (Value, String)> = BTreeMap::new();
        for event in events {
            let index = event["index"].as_u64().unwrap_or(0);
            match event["type"].as_str().unwrap() {
                "message_start" => native.usage = event["message"]["usage"].clone(),
                "content_block_start" => {
                    blocks.insert(index, (event["content_block"].clone(), String::new()));
                }
                "content_block_delta" => {
                    let (block, json) = blocks.get_mut(&index).unwrap();
                    for member in ["text", "thinking", "signature"] {
                        if let Some(more) = event["delta"][member].as_str() {
                            let old = block[member].as_str().unwrap_or_default().to_owned();
                            block[member] = Value::from(old + more);
                        }
                    }
                    json.push_str(event["delta"]["partial_json"].as_str().unwrap_or_default());
                }
                "message_delta" => {
                    native.stop_reason = event["delta"]["stop_reason"].clone();
                    for (name, value) in event["usage"].as_object().unwrap() {
                        native.usage[name] = value.clone();
                    }
                }
                _ => {}
            }
        }
        for (_, (block, json)) in blocks {
            match block["type"].as_str().unwrap() {
                "text" => native.text.push_str(block["text"].as_str().unwrap()),
                "thinking" => {
                    native.reasoning.push_str(block["thinking"].as_str().unwrap());
                    native.thinking_blocks.push(block);
                }
                "redacted_thinking" => native.thinking_blocks.push(block),
                "tool_use" => {
                    let input =
                        if json.is_empty() { json!({}) } else { serde_json::from_str(&json).unwrap() };
                    native.calls.push((block["id"].clone(), block["name"].clone(), input));
                }
                _ => {}
            }
        }
        native
    }
}

#[test]
fn a_stream_means_the_same_wherever_the_network_cuts_it() {
    let mut formats = std::collections::BTreeSet::new();
    for (exchange, protocol) in super::matrix::all() {
        let Some(stream) = exchange.stream() else { continue };
        let name = &exchange.name;
        let whole = check_cuts(&exchange, protocol, &stream);
        formats.insert(exchange.family.clone());
        if exchange.response["sse"].is_string() {
            // Line breaks of other systems mean the same.
            let text = std::str::from_utf8(&stream).unwrap().replace('\n', "\r\n");
            assert!(outcome(&exchange, protocol, vec![text.into()]) == whole, "{name} with CRLF");
        }
    }
    assert_eq!(formats.len(), if cfg!(feature = "bedrock") { 5 } else { 4 });
}

/// What a stream came to.
type Outcome = (Vec<(Bytes, ChunkKind, Option<router_core::Usage>)>, Result<(), (ProviderErrorKind, String)>);

fn outcome(exchange: &Exchange, protocol: &dyn Protocol, pieces: Vec<Bytes>) -> Outcome {
    let (chunks, result) = replay(protocol, &exchange.headers(), pieces);
    let chunks = chunks.into_iter().map(|chunk| (chunk.data, chunk.kind, chunk.usage)).collect();
    (chunks, result.map_err(|error| (error.kind(), error.message().to_owned())))
}

/// Checks that a stream means the same whole, byte by byte and in random pieces, and returns what it means.
fn check_cuts(exchange: &Exchange, protocol: &dyn Protocol, stream: &Bytes) -> Outcome {
    let name = &exchange.name;
    let mut dice = Dice(0x5EED);
    let whole = outcome(exchange, protocol, vec![stream.clone()]);
    let single_bytes = (0..stream.len()).map(|at| stream.slice(at..=at)).collect();
    assert!(outcome(exchange, protocol, single_bytes) == whole, "{name} byte by byte");
    for _ in 0..3 {
        let mut rest = stream.clone();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            pieces.push(rest.split_to(dice.roll(rest.len().min(700)) + 1));
        }
        assert!(outcome(exchange, protocol, pieces) == whole, "{name} in random pieces");
    }
    whole
}

#[test]
fn a_stream_that_is_cut_never_ends_well() {
    for exchange in good("openai_chat").iter().chain(&good("anthropic_messages")) {
        let sse = exchange.sse();
        let marker = ["[DONE]", "\"message_stop\""]
            .iter()
            .find_map(|marker| std::str::from_utf8(&sse).unwrap().rfind(marker))
            .unwrap();
        for length in [0, 1, sse.len() / 3, sse.len() / 2, marker - 20, marker + 1] {
            let (_, result) = replay(exchange.protocol, &exchange.headers(), [sse.slice(..length)]);
            let kind = result.unwrap_err().kind();
            assert_eq!(kind, ProviderErrorKind::StreamInterrupted, "{} at {length}", exchange.name);
        }
    }
}

/// A small generator (SplitMix64), so that each run makes the same cuts.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }
}
