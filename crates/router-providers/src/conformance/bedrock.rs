//! Bedrock's recorded exchanges.

use bytes::Bytes;
use router_core::{ChatRequest, ChunkKind, ProviderErrorKind, Usage};
use serde_json::{Value, json};

use super::errors::meaning;
use super::exchange::{Exchange, replay, target};
use super::replies::calls;
use super::requests::without_nulls;
use super::streams::Answer;
use crate::protocol::{Mode, Target};

fn all() -> Vec<Exchange> {
    Exchange::all("bedrock_converse")
}

fn is_error(exchange: &Exchange) -> bool {
    exchange.kind.contains("error")
}

/// Reads the frames of a stream, by the format's description: names of events and their JSON.
fn events(mut stream: &[u8]) -> Vec<(String, Value)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut events = Vec::new();
    while !stream.is_empty() {
        let (total, headers) = (number(stream), number(&stream[4..]));
        let (mut head, payload) = (&stream[12..12 + headers], &stream[12 + headers..total - 4]);
        let mut name = String::new();
        while !head.is_empty() {
            let length = usize::from(head[0]);
            let header = head[1..1 + length].to_vec();
            head = &head[2 + length..]; // every recorded header is a text
            let length = usize::from(u16::from_be_bytes(head[..2].try_into().unwrap()));
            if header.ends_with(b"event-type") || header.ends_with(b"exception-type") {
                name = String::from_utf8(head[2..2 + length].to_vec()).unwrap();
            }
            head = &head[2 + length..];
        }
        events.push((name, serde_json::from_slice(payload).unwrap()));
        stream = &stream[total..];
    }
    events
}

/// The message that the events of a stream add up to, in the shape of a whole reply.
fn assemble(events: &[(String, Value)]) -> Value {
    let mut blocks: std::collections::BTreeMap<u64, Value> = std::collections::BTreeMap::new();
    let mut reply = json!({});
    for (name, event) in events {
        let index = event["contentBlockIndex"].as_u64().unwrap_or(0);
        match name.as_str() {
            "contentBlockStart" => {
                blocks.insert(index, event["start"].clone());
            }
            "contentBlockDelta" => {
                let block = blocks.entry(index).or_insert_with(|| json!({}));
                let delta = &event["delta"];
                let append = |place: &mut Value, more: &Value| {
                    let old = place.as_str().unwrap_or_default().to_owned();
                    *place = json!(old + more.as_str().unwrap());
                };
                if delta["text"].is_string() {
                    append(&mut block["text"], &delta["text"]);
                }
                if delta["toolUse"]["input"].is_string() {
                    append(&mut block["toolUse"]["input"], &delta["toolUse"]["input"]);
                }
                for member in ["text", "signature"] {
                    if delta["reasoningContent"][member].is_string() {
                        append(
                            &mut block["reasoningContent"]["reasoningText"][member],
                            &delta["reasoningContent"][member],
                        );
                    }
                }
            }
            "messageStop" => reply["stopReason"] = event["stopReason"].clone(),
            "metadata" => reply["usage"] = event["usage"].clone(),
            _ => {}
        }
    }
    for block in blocks.values_mut() {
        if let Some(input) = block["toolUse"]["input"].as_str() {
            block["toolUse"]["input"] = serde_json::from_str(input).unwrap();
        }
    }
    reply["output"]["message"]["content"] = blocks.into_values().collect();
    reply
}

/// What a whole reply means.
struct Meaning {
    text: String,
    reasoning: String,
    thinking_blocks: Vec<Value>,
    calls: Vec<(Value, Value, Value)>,
    finish_reason: &'static str,
    usage: Usage,
}

impl Meaning {
    fn of(reply: &Value, name: &str) -> Self {
        let content = reply["output"]["message"]["content"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let cited = |block: &Value| -> String {
            let cited = block["citationsContent"]["content"].as_array();
            cited.into_iter().flatten().map(|part| text(&part["text"])).collect()
        };
        let reasoned = content.iter().map(|block| &block["reasoningContent"]["reasoningText"]);
        let signed = reasoned.clone().filter(|reasoning| reasoning["signature"].is_string());
        let count = |member: &str| reply["usage"][member].as_u64().unwrap_or(0);
        let (read, written) = (count("cacheReadInputTokens"), count("cacheWriteInputTokens"));
        let usage = Usage {
            prompt: count("inputTokens") + read + written,
            completion: count("outputTokens"),
            cached_read: read,
            cache_write_5m: written,
            ..Usage::default()
        };
        // AWS's own sum is a second opinion.
        assert_eq!(usage.total(), count("totalTokens"), "{name}");
        Self {
            text: content.iter().map(|block| text(&block["text"]) + &cited(block)).collect(),
            reasoning: reasoned.map(|reasoning| text(&reasoning["text"])).collect(),
            thinking_blocks: signed
                .map(|reasoning| json!({"type": "thinking", "thinking": reasoning["text"], "signature": reasoning["signature"]}))
                .collect(),
            calls: content
                .iter()
                .map(|block| &block["toolUse"])
                .filter(|call| call.is_object() && call["type"] != "server_tool_use")
                .map(|call| (call["toolUseId"].clone(), call["name"].clone(), call["input"].clone()))
                .collect(),
            finish_reason: match reply["stopReason"].as_str().unwrap() {
                "end_turn" | "stop_sequence" => "stop",
                "tool_use" => "tool_calls",
                "max_tokens" => "length",
                "guardrail_intervened" => "content_filter",
                other => panic!("{name}: {other} is new in the recordings"),
            },
            usage,
        }
    }
}

/// What a recorded answer means, in the words that all formats share.
pub(super) fn recorded(exchange: &Exchange) -> super::meaning::Meaning {
    let reply = match exchange.stream() {
        Some(bytes) => assemble(&events(&bytes)),
        None => exchange.response["body"].clone(),
    };
    let meaning = Meaning::of(&reply, &exchange.name);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let calls = meaning.calls.iter().map(|(id, name, input)| (text(id), text(name), input.to_string()));
    let answer = super::meaning::Answer {
        text: meaning.text,
        reasoning: meaning.reasoning,
        calls: calls.collect(),
        finish_reason: Some(meaning.finish_reason.to_owned()),
    };
    super::meaning::Meaning { choices: vec![answer], usage: Some(meaning.usage) }
}

#[test]
fn replies_are_translated() {
    let mut count = 0;
    for exchange in all().iter().filter(|exchange| !exchange.is_stream() && !is_error(exchange)) {
        count += 1;
        let name = &exchange.name;
        let meaning = Meaning::of(&exchange.response["body"], name);
        let reply = exchange.protocol.decode(&target(), exchange.reply());
        let reply = reply.unwrap_or_else(|error| panic!("{name}: {error}"));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let message = &body["choices"][0]["message"];
        assert_eq!(message["content"].as_str().unwrap_or_default(), meaning.text, "{name}");
        assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), meaning.reasoning, "{name}");
        let blocks = message["thinking_blocks"].as_array().cloned().unwrap_or_default();
        assert_eq!(blocks, meaning.thinking_blocks, "{name}");
        assert_eq!(calls(message), meaning.calls, "{name}");
        assert_eq!(body["choices"][0]["finish_reason"], meaning.finish_reason, "{name}");
        assert_eq!(reply.usage, Some(meaning.usage), "{name}");
        assert_eq!(body["usage"]["total_tokens"], meaning.usage.total(), "{name}");
        assert_eq!(body["model"], "the-model", "{name}");
        let id = exchange.headers().get("x-amzn-requestid").map(|id| id.to_str().unwrap().to_owned());
        assert_eq!(body["id"], id.unwrap_or_default(), "{name}");
    }
    assert!(count > 25, "{count}");
}

#[test]
fn frames_become_an_answer_in_chunks() {
    let mut count = 0;
    for exchange in all().iter().filter(|exchange| !is_error(exchange)) {
        let Some(bytes) = exchange.stream() else { continue };
        count += 1;
        let name = &exchange.name;
        let meaning = Meaning::of(&assemble(&events(&bytes)), name);
        let (chunks, result) = replay(exchange.protocol, &exchange.headers(), [bytes]);
        assert!(result.is_ok(), "{name}: {result:?}");
        let answer = Answer::assemble(&chunks);
        assert_eq!(answer.text, meaning.text, "{name}");
        assert_eq!(answer.reasoning, meaning.reasoning, "{name}");
        assert_eq!(answer.thinking_blocks, meaning.thinking_blocks, "{name}");
        assert_eq!(answer.calls(), meaning.calls, "{name}");
        assert_eq!(answer.finish_reason, meaning.finish_reason, "{name}");
        assert_eq!(answer.usage, meaning.usage, "{name}");
        let kinds: Vec<ChunkKind> = chunks.iter().map(|chunk| chunk.kind).collect();
        let [ChunkKind::Preamble, content @ .., ChunkKind::Finish, ChunkKind::Usage] = &kinds[..] else {
            panic!("{name}: {kinds:?}")
        };
        assert!(content.iter().all(|kind| *kind == ChunkKind::Content), "{name}: {kinds:?}");
    }
    assert!(count > 10, "{count}");
}

#[test]
fn a_stream_that_is_cut_or_changed_never_ends_well() {
    for exchange in all().iter().filter(|exchange| !is_error(exchange)) {
        let Some(bytes) = exchange.stream() else { continue };
        let name = &exchange.name;
        let replay = |bytes: Bytes| replay(exchange.protocol, &exchange.headers(), [bytes]).1;
        let end = bytes.len();
        for length in [0, 1, 13, end / 3, end / 2, end - 1] {
            let kind = replay(bytes.slice(..length)).unwrap_err().kind();
            assert_eq!(kind, ProviderErrorKind::StreamInterrupted, "{name} at {length}");
        }
        for at in [0, 9, end / 3, end / 2, end - 1] {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let kind = replay(changed.into()).unwrap_err().kind();
            assert_eq!(kind, ProviderErrorKind::MalformedReply, "{name} at {at}");
        }
    }
}

#[test]
fn errors_are_what_they_mean() {
    let mut count = 0;
    for exchange in all().iter().filter(|exchange| is_error(exchange)) {
        count += 1;
        let name = &exchange.name;
        let (error, body, code) = match exchange.stream() {
            Some(bytes) => {
                let (code, body) = events(&bytes).pop().unwrap();
                (replay(exchange.protocol, &exchange.headers(), [bytes]).1.unwrap_err(), body, Some(code))
            }
            None => {
                let error = exchange.protocol.decode_error(&exchange.reply());
                let code = exchange.response["headers"]["x-amzn-errortype"].as_str();
                let code = code.map(|code| code.split(':').next().unwrap().to_owned());
                (error, exchange.response["body"].clone(), code)
            }
        };
        assert_eq!(error.kind(), meaning(&exchange.kind), "{name}: {error}");
        assert_eq!(error.message(), body["message"].as_str().unwrap(), "{name}");
        assert_eq!(error.code().map(str::to_owned), code, "{name}");
    }
    assert!(count >= 5, "{count}");
}

/// Writes a recorded request as OpenAI's callers would; `None` where they have no words for it.
fn canonical(native: &Value) -> Option<Value> {
    let mut body = json!({"model": "alias", "messages": []});
    let messages = body["messages"].as_array_mut()?;
    if let Some(system) = native.get("system").filter(|system| **system != json!([])) {
        messages.push(json!({"role": "system", "content": canonical_parts(system.as_array()?)?}));
    }
    for turn in native["messages"].as_array()? {
        let blocks = turn["content"].as_array()?;
        if turn["role"] == "assistant" {
            messages.push(canonical_answer(blocks)?);
            continue;
        }
        let is_result = |block: &&Value| block.get("toolResult").is_some();
        for result in blocks.iter().filter(is_result).map(|block| &block["toolResult"]) {
            messages.push(json!({"role": "tool", "tool_call_id": result["toolUseId"], "is_error": result["status"] == "error",
                "content": canonical_parts(result["content"].as_array()?)?}));
        }
        let said: Vec<Value> = blocks.iter().filter(|block| !is_result(block)).cloned().collect();
        if !said.is_empty() {
            messages.push(json!({"role": "user", "content": canonical_parts(&said)?}));
        }
    }
    for (name, value) in native.as_object()? {
        match name.as_str() {
            "messages" | "system" => {}
            "inferenceConfig" => {
                for (name, value) in value.as_object()? {
                    let name = match name.as_str() {
                        "maxTokens" => "max_tokens",
                        "topP" => "top_p",
                        "stopSequences" => "stop",
                        other => other,
                    };
                    body[name] = value.clone();
                }
            }
            "additionalModelRequestFields" => {
                for (name, value) in value.as_object()? {
                    if name == "inferenceConfig" {
                        body["top_k"] = value["topK"].clone();
                    } else {
                        body[name] = value.clone();
                    }
                }
            }
            "toolConfig" => canonical_tools(value, &mut body)?,
            "outputConfig" => {
                let format = &value["textFormat"]["structure"]["jsonSchema"];
                let schema: Value = serde_json::from_str(format["schema"].as_str()?).unwrap();
                body["response_format"] = json!({"type": "json_schema", "json_schema": {"schema": schema, "name": format["name"],
                    "description": format["description"]}});
            }
            // Converse's own fields.
            _ => body[name] = value.clone(),
        }
    }
    Some(body)
}

fn canonical_tools(config: &Value, body: &mut Value) -> Option<()> {
    let mut tools: Vec<Value> = Vec::new();
    for tool in config["tools"].as_array()? {
        if tool.get("cachePoint").is_some() {
            tools.last_mut()?["cache_control"] = json!({"type": "ephemeral"});
            continue;
        }
        let Some(spec) = tool.get("toolSpec") else {
            tools.push(tool.clone());
            continue;
        };
        tools.push(
            json!({"type": "function", "function": {"name": spec["name"], "description": spec["description"],
            "strict": spec["strict"], "parameters": spec["inputSchema"]["json"]}}),
        );
    }
    body["tools"] = json!(tools);
    if let Some(choice) = config.get("toolChoice") {
        body["tool_choice"] = match choice.as_object()?.iter().next()? {
            (name, _) if name == "auto" => json!("auto"),
            (name, _) if name == "any" => json!("required"),
            (_, tool) => json!({"type": "function", "function": {"name": tool["name"]}}),
        };
    }
    Some(())
}

fn canonical_answer(blocks: &[Value]) -> Option<Value> {
    let (mut thinking, mut text, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks {
        if let Some(reasoning) = block.get("reasoningContent") {
            let reasoning = &reasoning["reasoningText"];
            thinking.push(json!({"type": "thinking", "thinking": reasoning["text"], "signature": reasoning.get("signature")?}));
        } else if let Some(call) = block.get("toolUse") {
            calls
                .push(json!({"id": call["toolUseId"], "type": "function", "function": {"name": call["name"],
                "arguments": call["input"].to_string()}}));
        } else {
            text.push(block.clone());
        }
    }
    let content = canonical_parts(&text)?;
    Some(json!({"role": "assistant", "thinking_blocks": thinking, "content": content, "tool_calls": calls}))
}

fn canonical_parts(blocks: &[Value]) -> Option<Value> {
    let mut parts: Vec<Value> = Vec::new();
    for block in blocks {
        if let Some(point) = block.get("cachePoint") {
            parts.last_mut()?["cache_control"] = json!({"type": "ephemeral", "ttl": point["ttl"]});
        } else if let Some(text) = block.get("text") {
            parts.push(json!({"type": "text", "text": text}));
        } else if block["image"]["source"]["bytes"].is_string() {
            let image = &block["image"];
            let uri = format!(
                "data:image/{};base64,{}",
                image["format"].as_str()?,
                image["source"]["bytes"].as_str()?
            );
            parts.push(json!({"type": "image_url", "image_url": {"url": uri}}));
        } else if block["document"]["format"] == "pdf" && block["document"].get("citations").is_none() {
            let document = &block["document"];
            let uri = format!("data:application/pdf;base64,{}", document["source"]["bytes"].as_str()?);
            parts.push(json!({"type": "file", "file": {"filename": document["name"], "file_data": uri}}));
        } else {
            parts.push(block.clone()); // Converse's own
        }
    }
    Some(json!(parts))
}

/// Returns a request with data of the type that it is said to be: the recordings hold a small image in place of large data of
/// whatever kind.
fn restored(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: serde_json::Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), restored(value))).collect();
            let beginning = match members.get("format").and_then(Value::as_str) {
                Some("jpeg") => "/9j/AAAA",
                Some("pdf") => "JVBERi0x",
                _ => "",
            };
            if let Some(bytes) = members.get_mut("source").and_then(|source| source.get_mut("bytes"))
                && !beginning.is_empty()
            {
                *bytes = json!(beginning);
            }
            Value::Object(members)
        }
        Value::Array(items) => items.iter().map(restored).collect(),
        other => other.clone(),
    }
}

/// Writes what may be written in several ways in one.
fn normal(recorded: &Value) -> Value {
    let mut body = without_nulls(recorded);
    if let Some(config) = body.get_mut("inferenceConfig").and_then(Value::as_object_mut) {
        config.retain(|name, value| name != "stopSequences" || *value != json!([]));
    }
    for name in ["system", "inferenceConfig"] {
        if body.get(name).is_some_and(|value| *value == json!([]) || *value == json!({})) {
            body.as_object_mut().unwrap().remove(name);
        }
    }
    for turn in body["messages"].as_array_mut().unwrap() {
        for block in turn["content"].as_array_mut().unwrap() {
            // Success is what a result means that says nothing else.
            if let Some(result) = block.get_mut("toolResult") {
                result.as_object_mut().unwrap().retain(|name, value| name != "status" || value == "error");
            }
        }
    }
    let mut turns: Vec<Value> = Vec::new();
    for turn in body["messages"].as_array().unwrap().clone() {
        match turns.last_mut() {
            Some(last) if last["role"] == turn["role"] => {
                let more = turn["content"].as_array().unwrap().clone();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            _ => turns.push(turn),
        }
    }
    body["messages"] = json!(turns);
    // A schema in a text may have its members in any order.
    if let Some(schema) = body.pointer_mut("/outputConfig/textFormat/structure/jsonSchema/schema") {
        *schema = serde_json::from_str(schema.as_str().unwrap()).unwrap();
    }
    body
}

#[test]
fn what_was_recorded_is_what_we_would_send() {
    let (mut same, mut wordless) = (0, 0);
    for exchange in all().iter().filter(|exchange| exchange.request.is_object() && !is_error(exchange)) {
        let name = &exchange.name;
        let recorded = restored(&without_nulls(&exchange.request));
        let Some(canonical) = canonical(&recorded) else {
            wordless += 1;
            continue;
        };
        let request = ChatRequest::from_json(canonical.to_string()).unwrap();
        let sent = exchange.protocol.encode(&model(exchange), &request, Mode::Whole);
        let sent = match sent {
            Ok(sent) => normal(&serde_json::from_slice(&sent).unwrap()),
            Err(error) => panic!("{name}: {error}"),
        };
        assert_eq!(sent, normal(&restored(&exchange.request)), "{name}");
        same += 1;
    }
    assert!(same > 40 && wordless * 5 < same, "{same} and {wordless}");
}

/// The model stands in the path, escaped by some clients and not by others.
fn model(exchange: &Exchange) -> Target {
    let id = exchange.path.split('/').nth(2).unwrap();
    Target::new(&id.replace("%3A", ":").replace("%2F", "/"))
}

#[test]
fn the_url_is_the_recorded_one() {
    for exchange in all() {
        let mode = if exchange.path.ends_with("-stream") { Mode::Stream } else { Mode::Whole };
        let path = exchange.protocol.path(&model(&exchange), mode);
        let id = exchange.path.split('/').nth(2).unwrap().to_owned();
        let expected =
            if id.contains('%') { exchange.path.clone() } else { exchange.path.replace(':', "%3A") };
        assert_eq!(path, expected, "{}", exchange.name);
    }
}
