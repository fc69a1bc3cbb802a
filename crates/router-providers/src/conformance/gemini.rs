//! Google's recorded exchanges, in AI Studio and on Vertex.

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
    Exchange::all("gemini_generate")
}

/// What the responses of an exchange say together, read from the recorded JSON alone.
#[derive(Debug, Default)]
struct Meaning {
    text: String,
    reasoning: String,
    /// Name, arguments and signature of each call.
    calls: Vec<(Value, Value, Value)>,
    own_ids: Vec<Value>,
    /// The last signature that did not come with a call.
    signature: Value,
    finish_reason: Value,
    blocked: Value,
    usage: Option<Usage>,
}

impl Meaning {
    fn of(responses: &[Value]) -> Self {
        let mut meaning = Self::default();
        for response in responses {
            let candidate = &response["candidates"][0];
            for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                let signature = part.get("thoughtSignature").cloned().unwrap_or_default();
                if let Some(call) = part.get("functionCall") {
                    let args = call.get("args").cloned().unwrap_or(json!({}));
                    meaning.calls.push((call["name"].clone(), args, signature));
                    meaning.own_ids.push(call["id"].clone());
                    continue;
                }
                if signature.is_string() {
                    meaning.signature = signature;
                }
                let text = part["text"].as_str().unwrap_or_default();
                if part["thought"] == true { &mut meaning.reasoning } else { &mut meaning.text }
                    .push_str(text);
            }
            if !candidate["finishReason"].is_null() {
                meaning.finish_reason = candidate["finishReason"].clone();
            }
            if response["candidates"].is_null() {
                meaning.blocked = response["promptFeedback"]["blockReason"].clone();
            }
            let counts = &response["usageMetadata"];
            if counts["promptTokenCount"].is_u64() {
                let count = |name: &str| counts[name].as_u64().unwrap_or(0);
                let audio = |name: &str| {
                    let details = counts[name].as_array().into_iter().flatten();
                    details
                        .filter(|detail| detail["modality"] == "AUDIO")
                        .map(|detail| detail["tokenCount"].as_u64().unwrap())
                        .sum()
                };
                meaning.usage = Some(Usage {
                    prompt: count("promptTokenCount") + count("toolUsePromptTokenCount"),
                    completion: count("candidatesTokenCount") + count("thoughtsTokenCount"),
                    cached_read: count("cachedContentTokenCount"),
                    reasoning: count("thoughtsTokenCount"),
                    audio_prompt: audio("promptTokensDetails"),
                    audio_completion: audio("candidatesTokensDetails"),
                    ..Usage::default()
                });
                // Google's own sum is a second opinion.
                let total = meaning.usage.unwrap().total();
                assert!(total == count("totalTokenCount") || count("totalTokenCount") == 0, "{counts}");
            }
        }
        meaning
    }

    fn check_finish(&self, canonical: &Value, name: &str) {
        let expected = match &self.finish_reason {
            Value::Number(_) => "STOP", // the recorded numbers are all 1
            reason => reason.as_str().unwrap(),
        };
        let expected = match (expected, self.calls.is_empty()) {
            ("STOP" | "UNEXPECTED_TOOL_CALL", false) => "tool_calls",
            ("STOP", true) => "stop",
            ("MAX_TOKENS", _) => "length",
            ("SAFETY" | "MODEL_ARMOR" | "PROHIBITED_CONTENT" | "RECITATION", _) => "content_filter",
            other => panic!("{name}: {other:?} is new in the recordings"),
        };
        assert_eq!(canonical, expected, "{name}");
    }

    fn check_calls(&self, tool_calls: &[Value], name: &str) {
        let called = calls(&json!({ "tool_calls": tool_calls }));
        let ids: std::collections::BTreeSet<_> = called.iter().map(|(id, ..)| id.as_str().unwrap()).collect();
        assert_eq!(ids.len(), called.len(), "{name}: ids differ");
        for (id, own) in called.iter().map(|(id, ..)| id).zip(&self.own_ids) {
            assert!(own.is_null() || own == id, "{name}: Gemini's own ids stay");
        }
        let found: Vec<_> = called
            .into_iter()
            .zip(tool_calls)
            .map(|((_, name, args), call)| {
                (name, args, call["extra_content"]["google"]["thought_signature"].clone())
            })
            .collect();
        assert_eq!(found, self.calls, "{name}");
    }
}

fn is_error(exchange: &Exchange) -> bool {
    exchange.kind.contains("error")
}

/// The responses of a whole reply: one, or the list of a stream that was asked for as such.
fn responses(body: &Value) -> Vec<Value> {
    body.as_array().cloned().unwrap_or_else(|| vec![body.clone()])
}

#[test]
fn replies_are_translated() {
    let mut count = 0;
    for exchange in all().iter().filter(|exchange| !exchange.is_stream() && !is_error(exchange)) {
        count += 1;
        let name = &exchange.name;
        let sent = &exchange.response["body"];
        let meaning = Meaning::of(&responses(sent));
        let decoded = exchange.protocol.decode(&target(), exchange.reply());
        if meaning.blocked.is_string() {
            let error = decoded.unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::ContentPolicy, "{name}");
            assert_eq!(error.code(), meaning.blocked.as_str(), "{name}");
            continue;
        }
        let reply = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let choice = &body["choices"][0];
        let message = &choice["message"];
        assert_eq!(message["content"].as_str().unwrap_or_default(), meaning.text, "{name}");
        assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), meaning.reasoning, "{name}");
        assert_eq!(message["extra_content"]["google"]["thought_signature"], meaning.signature, "{name}");
        meaning.check_calls(message["tool_calls"].as_array().map_or(&[], Vec::as_slice), name);
        meaning.check_finish(&choice["finish_reason"], name);
        assert_eq!(reply.usage, meaning.usage, "{name}");
        let first = &responses(sent)[0];
        assert_eq!(reply.model.as_deref(), first["modelVersion"].as_str(), "{name}");
        assert_eq!(body["id"], first["responseId"], "{name}");
        if let Some(usage) = meaning.usage {
            assert_eq!(body["usage"]["total_tokens"], usage.total(), "{name}");
        }
        let probabilities = sent["candidates"][0]["logprobsResult"]["chosenCandidates"].as_array();
        assert_eq!(
            choice["logprobs"]["content"].as_array().map(Vec::len),
            probabilities.map(Vec::len),
            "{name}"
        );
    }
    assert!(count > 25, "{count}");
}

#[test]
fn events_become_an_answer_in_chunks() {
    let mut count = 0;
    for exchange in all().iter().filter(|exchange| exchange.is_stream() && !is_error(exchange)) {
        count += 1;
        let name = &exchange.name;
        let events: Vec<Value> =
            exchange.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let meaning = Meaning::of(&events);
        let (chunks, result) = replay(exchange.protocol, &exchange.headers(), [exchange.sse()]);
        assert!(result.is_ok(), "{name}: {result:?}");
        let answer = Answer::assemble(&chunks);
        assert_eq!(answer.text, meaning.text, "{name}");
        assert_eq!(answer.reasoning, meaning.reasoning, "{name}");
        let tool_calls: Vec<Value> = answer.tools.values().cloned().collect();
        meaning.check_calls(&tool_calls, name);
        meaning.check_finish(&answer.finish_reason, name);
        assert_eq!(Some(answer.usage), meaning.usage, "{name}");
        let signatures = chunks.iter().filter_map(|chunk| {
            let chunk: Value = serde_json::from_slice(&chunk.data).unwrap();
            let google = &chunk["choices"][0]["delta"]["extra_content"]["google"];
            google.get("thought_signature").cloned()
        });
        assert_eq!(signatures.last().unwrap_or_default(), meaning.signature, "{name}");

        let kinds: Vec<ChunkKind> = chunks.iter().map(|chunk| chunk.kind).collect();
        let [ChunkKind::Preamble, content @ .., ChunkKind::Finish, ChunkKind::Usage] = &kinds[..] else {
            panic!("{name}: {kinds:?}")
        };
        assert!(content.iter().all(|kind| *kind == ChunkKind::Content), "{name}: {kinds:?}");
    }
    assert!(count > 10, "{count}");
}

#[test]
fn a_stream_that_is_cut_never_ends_well() {
    for exchange in all().iter().filter(|exchange| exchange.is_stream() && !is_error(exchange)) {
        let sse = exchange.sse();
        let last = std::str::from_utf8(&sse).unwrap().rfind("finishReason").unwrap();
        for length in [0, 1, sse.len() / 3, sse.len() / 2, last - 20, last + 1] {
            let length = length.min(last);
            let (_, result) = replay(exchange.protocol, &exchange.headers(), [sse.slice(..length)]);
            let kind = result.unwrap_err().kind();
            assert_eq!(kind, ProviderErrorKind::StreamInterrupted, "{} at {length}", exchange.name);
        }
    }
}

#[test]
fn errors_are_what_they_mean() {
    let mut count = 0;
    for exchange in all().iter().filter(|exchange| is_error(exchange)) {
        count += 1;
        let name = &exchange.name;
        let error = exchange.protocol.decode_error(&exchange.reply());
        assert_eq!(error.kind(), google_meaning(exchange), "{name}: {error}");
        let body = &exchange.response["body"]["error"];
        assert_eq!(error.message(), body["message"].as_str().unwrap(), "{name}");
        let details = body["details"].as_array().cloned().unwrap_or_default();
        let reason = details.iter().find_map(|detail| detail["reason"].as_str());
        assert_eq!(error.code(), reason.or(body["status"].as_str()), "{name}");
        let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str());
        let expected = delay.map(|delay| delay.trim_end_matches('s').parse::<u64>().unwrap());
        assert_eq!(error.retry_after().map(|span| span.as_secs()), expected, "{name}");
    }
    assert!(count >= 6, "{count}");
}

/// The quota recorded is one of a minute, whatever it was filed under.
fn google_meaning(exchange: &Exchange) -> ProviderErrorKind {
    match exchange.kind.as_str() {
        "error_quota" => ProviderErrorKind::RateLimited,
        kind => meaning(kind),
    }
}

/// Writes what may be written in several ways in one: Google takes camel and snake case, enumerations in numbers, and a schema as
/// OpenAPI's or as JSON Schema.
fn normal(recorded: &Value) -> Value {
    let mut body = camel_case(&without_nulls(recorded));
    if let Some(system) = body.get_mut("systemInstruction").and_then(Value::as_object_mut) {
        system.remove("role");
        let parts = system["parts"].take();
        let mut parts = if parts.is_array() { parts } else { json!([parts]) };
        parts.as_array_mut().unwrap().retain(|part| part["text"] != "");
        let is_empty = parts == json!([]);
        system["parts"] = parts;
        if is_empty {
            system.clear();
        }
    }
    let tools = body.get_mut("tools").and_then(Value::as_array_mut);
    for tool in tools.into_iter().flatten() {
        let Some(functions) = tool.get_mut("functionDeclarations") else { continue };
        for function in functions.as_array_mut().unwrap() {
            let function = function.as_object_mut().unwrap();
            if let Some(schema) = function.remove("parameters") {
                function.insert("parametersJsonSchema".to_owned(), lower_types(&schema));
            }
        }
    }
    if let Some(tools) = body.get_mut("tools").and_then(Value::as_array_mut) {
        tools.sort_by_key(|tool| tool.get("functionDeclarations").is_none());
    }
    for name in ["generationConfig", "systemInstruction", "tools"] {
        let object = body.as_object_mut().unwrap();
        if object.get(name).is_none_or(|value| *value == json!({}) || *value == json!([]) || value.is_null())
        {
            object.remove(name);
        }
    }
    if let Some(config) = body.get_mut("generationConfig").and_then(Value::as_object_mut) {
        if let Some(schema) = config.remove("responseSchema") {
            config.insert("responseJsonSchema".to_owned(), lower_types(&schema));
        }
        for nothing in [("responseModalities", json!(["TEXT"])), ("candidateCount", json!(1))] {
            if config.get(nothing.0) == Some(&nothing.1) {
                config.remove(nothing.0);
            }
        }
        if config.is_empty() {
            body.as_object_mut().unwrap().remove("generationConfig");
        }
    }
    let mut contents: Vec<Value> = Vec::new();
    for mut content in body["contents"].as_array().unwrap().clone() {
        if content["role"].is_null() {
            content["role"] = json!("user");
        }
        let parts = content["parts"].as_array_mut().unwrap();
        parts.retain(|part| part["text"] != "" || part["thoughtSignature"].is_string());
        for part in parts.iter_mut() {
            // The recordings hold a small image in place of large data of whatever kind.
            let data = part["inlineData"]["data"].as_str().unwrap_or_default();
            if data.starts_with("iVBORw0KGgo")
                && !part["inlineData"]["mimeType"].as_str().unwrap().starts_with("audio")
            {
                part["inlineData"]["mimeType"] = json!("image/png");
            }
        }
        let is_result = |content: &Value| content["parts"][0].get("functionResponse").is_some();
        match contents.last_mut() {
            Some(last) if last["role"] == content["role"] && is_result(last) == is_result(&content) => {
                let more = content["parts"].as_array().unwrap().clone();
                last["parts"].as_array_mut().unwrap().extend(more);
            }
            _ if content["parts"] == json!([]) => {}
            _ => contents.push(content),
        }
    }
    if contents.is_empty() {
        contents.push(json!({"role": "user", "parts": [{"text": ""}]}));
    }
    body["contents"] = json!(contents);
    body
}

fn camel_case(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let mut words = name.split('_');
                let mut camel = words.next().unwrap().to_owned();
                for word in words.filter(|word| !word.is_empty()) {
                    camel.push_str(&word[..1].to_uppercase());
                    camel.push_str(&word[1..]);
                }
                // What stands in arguments, results and schemas is the caller's.
                let is_theirs =
                    ["args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema"]
                        .contains(&camel.as_str());
                (camel, if is_theirs { value.clone() } else { camel_case(value) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(camel_case).collect(),
        other => other.clone(),
    }
}

fn lower_types(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(kind) if name == "type" => (name.clone(), json!(kind.to_lowercase())),
                value => (name.clone(), lower_types(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(lower_types).collect(),
        other => other.clone(),
    }
}

/// Writes a recorded request, already in its normal form, as OpenAI's callers would; `None` where they have no words for it.
fn canonical(native: &Value) -> Option<Value> {
    let mut body = json!({"model": "alias", "messages": []});
    for part in native["systemInstruction"]["parts"].as_array().into_iter().flatten() {
        body["messages"].as_array_mut()?.push(json!({"role": "system", "content": part["text"]}));
    }
    for content in native["contents"].as_array()? {
        let parts = content["parts"].as_array()?;
        let messages = body["messages"].as_array_mut()?;
        if content["role"] == "model" {
            messages.push(canonical_answer(parts));
            continue;
        }
        let mut said = Vec::new();
        for part in parts {
            match part.get("functionResponse") {
                Some(result) if result.get("parts").is_some() => return None,
                Some(result) => messages
                    .push(json!({"role": "tool", "tool_call_id": result["id"], "name": result["name"],
                    "content": result["response"].to_string()})),
                None => said.push(canonical_part(part)?),
            }
        }
        if said.len() < parts.len() && !said.is_empty() {
            return None; // what tools show, beside an object that is no text
        }
        if !said.is_empty() {
            messages.push(json!({"role": "user", "content": said}));
        }
    }
    for (name, value) in native.as_object()? {
        match name.as_str() {
            "contents" | "systemInstruction" => {}
            "generationConfig" => canonical_config(value, &mut body)?,
            "tools" => {
                let mut tools = Vec::new();
                for tool in value.as_array()? {
                    let Some(functions) = tool["functionDeclarations"].as_array() else {
                        tools.push(tool.clone());
                        continue;
                    };
                    tools.extend(functions.iter().map(|function| {
                        let mut function = function.clone();
                        if let Some(schema) = function.as_object_mut().unwrap().remove("parametersJsonSchema")
                        {
                            function["parameters"] = schema;
                        }
                        json!({"type": "function", "function": function})
                    }));
                }
                body["tools"] = json!(tools);
            }
            "toolConfig" => {
                let config = &value["functionCallingConfig"];
                let named = |name: &Value| json!({"type": "function", "function": {"name": name}});
                let names = config["allowedFunctionNames"].as_array();
                let (field, choice) = match (config["mode"].as_str(), names.map(Vec::as_slice)) {
                    (Some("AUTO"), None) => ("tool_choice", json!("auto")),
                    (Some("ANY"), None) => ("tool_choice", json!("required")),
                    (Some("ANY"), Some([name])) => ("tool_choice", named(name)),
                    (Some("ANY"), Some(names)) => {
                        let tools: Vec<Value> = names.iter().map(named).collect();
                        (
                            "tool_choice",
                            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}),
                        )
                    }
                    _ => ("toolConfig", value.clone()),
                };
                body[field] = choice;
            }
            // Gemini's own fields.
            _ => body[name] = value.clone(),
        }
    }
    Some(body)
}

fn canonical_answer(parts: &[Value]) -> Value {
    let mut answer = json!({"role": "assistant"});
    let (mut text, mut calls) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        let signature = || json!({"google": {"thought_signature": part["thoughtSignature"]}});
        if let Some(call) = part.get("functionCall") {
            let mut canonical = json!({"id": call["id"], "type": "function", "function": {"name": call["name"],
                "arguments": call["args"].to_string()}});
            if part["thoughtSignature"].is_string() {
                canonical["extra_content"] = signature();
            }
            calls.push(canonical);
            continue;
        }
        let is_last = at + 1 == parts.len() || parts[at + 1].get("functionCall").is_some();
        match (part.get("text"), part.get("thoughtSignature")) {
            (Some(said), None) if part.get("thought").is_none() => {
                text.push(json!({"type": "text", "text": said}))
            }
            (Some(said), Some(_)) if is_last => {
                answer["extra_content"] = signature();
                text.push(json!({"type": "text", "text": said}));
            }
            // Gemini's own parts.
            _ => text.push(part.clone()),
        }
    }
    answer["content"] = json!(text);
    answer["tool_calls"] = json!(calls);
    answer
}

fn canonical_part(part: &Value) -> Option<Value> {
    if let Some(text) = part.get("text") {
        return Some(json!({"type": "text", "text": text}));
    }
    if let Some(inline) = part.get("inlineData") {
        let (kind, data) = (inline["mimeType"].as_str()?, inline["data"].as_str()?);
        let uri = format!("data:{kind};base64,{data}");
        return Some(match kind.split_once('/')? {
            ("image", _) => json!({"type": "image_url", "image_url": {"url": uri}}),
            ("audio", format) => {
                json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
            }
            _ => json!({"type": "file", "file": {"file_data": uri}}),
        });
    }
    let file = part.get("fileData")?;
    Some(json!({"type": "file", "file": {"file_id": file["fileUri"], "format": file["mimeType"]}}))
}

fn canonical_config(config: &Value, body: &mut Value) -> Option<()> {
    let mut own = json!({});
    for (name, value) in config.as_object()? {
        let name = match name.as_str() {
            "maxOutputTokens" => "max_tokens",
            "temperature" => "temperature",
            "topP" => "top_p",
            "topK" => "top_k",
            "seed" => "seed",
            "stopSequences" => "stop",
            "responseLogprobs" => "logprobs",
            "responseMimeType" if config.get("responseJsonSchema").is_none() => {
                body["response_format"] = json!({"type": "json_object"});
                continue;
            }
            "responseMimeType" => continue,
            "responseJsonSchema" => {
                body["response_format"] =
                    json!({"type": "json_schema", "json_schema": {"name": "n", "schema": value}});
                continue;
            }
            other => {
                own[other] = value.clone();
                continue;
            }
        };
        body[name] = value.clone();
    }
    body["generationConfig"] = own;
    Some(())
}

#[test]
fn what_was_recorded_is_what_we_would_send() {
    let (mut same, mut wordless) = (0, 0);
    for exchange in all().iter().filter(|exchange| exchange.request.is_object() && !is_error(exchange)) {
        let name = &exchange.name;
        let expected = normal(&exchange.request);
        let Some(canonical) = canonical(&expected) else {
            wordless += 1;
            continue;
        };
        let request = ChatRequest::from_json(canonical.to_string()).unwrap();
        let sent = exchange.protocol.encode(&Target::new(&model(exchange)), &request, Mode::Whole);
        let sent: Value =
            serde_json::from_slice(&sent.unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap();
        assert_eq!(sent, expected, "{name}: {canonical}");
        same += 1;
    }
    assert!(same > 40 && wordless * 5 < same, "{same} and {wordless}");
}

fn model(exchange: &Exchange) -> String {
    exchange.path.rsplit_once('/').unwrap().1.split_once(':').unwrap().0.to_owned()
}

#[test]
fn the_url_and_the_answer_of_a_stream_are_asked_as_recorded() {
    for exchange in all() {
        let target = Target::new(&model(&exchange));
        let is_streamed = exchange.path.contains(":stream");
        let path = exchange.protocol.path(&target, if is_streamed { Mode::Stream } else { Mode::Whole });
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        assert!(exchange.path.ends_with(path), "{}: {} {path}", exchange.name, exchange.path);
        if exchange.is_stream() {
            assert_eq!(query, "alt=sse", "{}", exchange.name);
        }
    }
}

#[test]
fn cuts_within_the_bytes_of_a_character_do_no_harm() {
    let event = r#"data: {"candidates":[{"content":{"parts":[{"text":"ü🦀"}]},"finishReason":"STOP"}]}"#;
    let stream = Bytes::from(format!("{event}\r\n\r\n"));
    for at in 0..stream.len() {
        let pieces = [stream.slice(..at), stream.slice(at..)];
        let (chunks, result) = replay(&crate::gemini::Gemini, &http::HeaderMap::new(), pieces);
        assert!(result.is_ok());
        assert_eq!(Answer::assemble(&chunks).text, "ü🦀");
    }
}
