//! Requests: ours against those that were recorded.

use router_core::{ChatRequest, ProviderErrorKind};
use serde_json::{Value, json};

use super::exchange::Exchange;
use crate::anthropic::Anthropic;
use crate::protocol::{Mode, Protocol, Target};

#[test]
fn an_openai_request_is_sent_as_it_is() {
    for exchange in Exchange::all("openai_chat") {
        let Some((request, model)) = as_request(&exchange) else { continue };
        for mode in [Mode::Whole, Mode::Stream] {
            let sent = exchange.protocol.encode(&Target::new(&model), &request, mode).unwrap();
            let sent: Value = serde_json::from_slice(&sent).unwrap();
            let mut expected = exchange.request.clone();
            let fields = expected.as_object_mut().unwrap();
            match mode {
                Mode::Whole => {
                    fields.remove("stream");
                    fields.remove("stream_options");
                }
                Mode::Stream => {
                    fields.insert("stream".to_owned(), json!(true));
                    let mut options = fields["messages"].clone(); // replaced below
                    options.clone_from(
                        fields
                            .get("stream_options")
                            .filter(|options| options.is_object())
                            .unwrap_or(&json!({})),
                    );
                    options["include_usage"] = json!(true);
                    fields.insert("stream_options".to_owned(), options);
                }
            }
            assert_eq!(sent, expected, "{}", exchange.name);
        }
    }
}

fn as_request(exchange: &Exchange) -> Option<(ChatRequest, String)> {
    let model = exchange.request["model"].as_str()?.to_owned();
    Some((ChatRequest::from_json(exchange.request.to_string()).ok()?, model))
}

#[test]
fn what_openai_took_anthropic_is_asked_in_its_own_rules() {
    let mut translated = 0;
    for exchange in Exchange::all("openai_chat") {
        let Some((request, _)) = as_request(&exchange) else { continue };
        if exchange.kind.contains("error") {
            continue;
        }
        match Anthropic.encode(&Target::new("claude-sonnet-4-5"), &request, Mode::Whole) {
            Ok(body) => {
                translated += 1;
                check_rules(&serde_json::from_slice(&body).unwrap(), &exchange.name);
            }
            Err(error) => {
                assert_eq!(error.kind(), ProviderErrorKind::Unsupported, "{}: {error}", exchange.name)
            }
        }
    }
    assert!(translated > 25, "{translated}");
}

/// The rules that Anthropic refuses requests by.
fn check_rules(body: &Value, name: &str) {
    assert!(body["max_tokens"].as_u64().unwrap() > 0, "{name}");
    let mut called: Vec<Value> = Vec::new();
    let mut previous = "";
    for turn in body["messages"].as_array().unwrap() {
        let role = turn["role"].as_str().unwrap();
        assert_ne!(role, previous, "{name}: roles alternate");
        previous = role;
        let blocks = turn["content"].as_array().unwrap();
        assert!(!blocks.is_empty(), "{name}: nothing to say");
        let answered: Vec<Value> = blocks
            .iter()
            .take_while(|block| block["type"] == "tool_result")
            .map(|block| block["tool_use_id"].clone())
            .collect();
        // Ollama took a conversation in which a call was never answered; Anthropic says by itself that it does not.
        assert!(called.starts_with(&answered), "{name}: results come first, in the order of their calls");
        called.clear();
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "text" => assert!(!block["text"].as_str().unwrap().trim().is_empty(), "{name}"),
                "tool_use" => {
                    assert!(block["input"].is_object(), "{name}");
                    called.push(block["id"].clone());
                }
                "tool_result" | "image" | "document" => {}
                other => panic!("{name}: {other}"),
            }
        }
    }
    // A tool with a type is some provider's own, and passes through.
    let tools = body["tools"].as_array().into_iter().flatten();
    for tool in tools.filter(|tool| tool["type"].is_null()) {
        assert_eq!(tool["input_schema"]["type"], "object", "{name}");
    }
}

/// Writes what may be written in two ways in one.
fn normal(recorded: &Value) -> Value {
    let blocks = |content: &Value| match content {
        Value::String(text) => json!([{"type": "text", "text": text}]),
        other => other.clone(),
    };
    let mut body = without_nulls(recorded);
    if body["system"].is_string() {
        body["system"] = blocks(&body["system"]);
    }
    if body["stream"] == false {
        body.as_object_mut().unwrap().remove("stream");
    }
    for turn in body["messages"].as_array_mut().unwrap() {
        turn["content"] = blocks(&turn["content"]);
        for block in turn["content"].as_array_mut().unwrap() {
            if block["type"] == "tool_result" {
                block["content"] = blocks(&block["content"]);
            }
        }
    }
    body
}

pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Checks that a canonical request, its model left out, becomes the recorded one.
fn check(recorded: &str, canonical: Value) {
    let exchange = Exchange::named("anthropic_messages", recorded);
    let mut canonical = canonical;
    canonical["model"] = json!("alias");
    let mode = if exchange.request["stream"] == true { Mode::Stream } else { Mode::Whole };
    let request = ChatRequest::from_json(canonical.to_string()).unwrap();
    let target = Target::new(exchange.request["model"].as_str().unwrap_or_default());
    let sent = exchange.protocol.encode(&target, &request, mode).unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    let mut expected = normal(&exchange.request);
    // An explicit "may call in parallel" is the default.
    if expected["tool_choice"]["disable_parallel_tool_use"] == false {
        expected["tool_choice"].as_object_mut().unwrap().remove("disable_parallel_tool_use");
    }
    assert_eq!(sent, expected, "{recorded}");
}

pub(super) fn function(name: &str, description: &str, parameters: Value) -> Value {
    json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

#[test]
fn canonical_requests_become_the_recorded_ones() {
    check(
        "anthropic_messages.tool_result.claude-3-opus",
        json!({
            "max_tokens": 500,
            "messages": [
                {"role": "user", "content": "What is the weather in San Francisco, CA?"},
                {"role": "assistant", "content": "<thinking>\nThe get_weather tool is directly relevant for answering this \
                    question about the weather in a specific location. \n\nThe get_weather tool requires a \"location\" \
                    parameter. The user has provided the location of \"San Francisco, CA\" in their question, so we have the \
                    necessary information to make the API call.\n\nNo other tools are needed to answer this question. We can \
                    proceed with calling the get_weather tool with the provided location.\n</thinking>",
                    "tool_calls": [call("toolu_01DYJo37oETVsCdLTTcCWcdq", "get_weather", "{\"location\": \"San Francisco, CA\"}")]},
                {"role": "tool", "tool_call_id": "toolu_01DYJo37oETVsCdLTTcCWcdq", "content": "The weather is 73f"},
            ],
            "tools": [function("get_weather", "Get the weather for a specific location",
                json!({"type": "object", "properties": {"location": {"type": "string"}}}))],
        }),
    );
    let ephemeral = json!({"type": "ephemeral"});
    check(
        "stream_tool_result.claude-sonnet-4-20250514.2601c3",
        json!({
            "max_completion_tokens": 4000,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant", "cache_control": ephemeral},
                {"role": "user", "content": [{"type": "text", "text": "What's the weather in Florence,Italy?"}]},
                {"role": "assistant", "content": "I'll check the weather in Florence, Italy for you.", "cache_control": ephemeral,
                    "tool_calls": [call("toolu_01XyYVp2FLhsEv6yVQH9basi", "weather", "{\"location\":\"Florence,Italy\"}")]},
                {"role": "tool", "tool_call_id": "toolu_01XyYVp2FLhsEv6yVQH9basi", "content": "40 C", "cache_control": ephemeral},
            ],
            "tool_choice": "auto",
            "tools": [function("weather", "Get weather information for a location", json!({"type": "object", "required": ["location"],
                "properties": {"location": {"type": "string", "description": "the city"}}}))],
        }),
    );
    check(
        "image_input.claude-3-5-haiku-20241022.190397",
        json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "Describe this image"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}},
        ]}]}),
    );
    check(
        "image_input.claude-sonnet-4-0.0545d1",
        json!({"max_tokens": 16000, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "Describe the following image in one sentence"},
            {"type": "image_url", "image_url": {"url": "https://en.wikipedia.org/static/images/icons/wikipedia.png"}},
        ]}]}),
    );
    check(
        "file_input.claude-haiku-4-5.b905ff",
        json!({"max_tokens": 1024, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What's in this document?"},
            {"type": "file", "file": {"file_data": "https://www.w3.org/WAI/ER/tests/xhtml/testfiles/resources/pdf/dummy.pdf"}},
        ]}]}),
    );
    check(
        "json_schema.claude-haiku-4-5.8b7983",
        json!({
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": "Return the three primary colors."}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "colors", "strict": true, "schema": {
                "type": "object", "required": ["colors"], "additionalProperties": false,
                "properties": {"colors": {"type": "array", "items": {"type": "string"}}},
            }}},
        }),
    );
    check(
        "stop_sequence.claude-sonnet-4-5.847be9",
        json!({"max_tokens": 1024, "stop": "Paris", "n": 1, "seed": 7, "messages": [{"role": "user", "content":
            "What is the capital of France? Give me an answer that contains the word \"Paris\", but is not the first word."}]}),
    );
    check(
        "vertex_anthropic/anthropic_messages.stream_system",
        json!({"max_tokens": 4000, "messages": [
            {"role": "system", "content": "You are a helpful assistant"},
            {"role": "user", "content": "Say hi in Portuguese"},
        ]}),
    );
    check(
        "stream_reasoning.claude-sonnet-4-20250514.ef01c9",
        json!({"max_tokens": 16000, "temperature": 1, "thinking": {"type": "enabled", "budget_tokens": 1024},
            "messages": [{"role": "user", "content": "What is the best selling book of all time?"}]}),
    );
}

/// Writes a request that was recorded in Anthropic's format as OpenAI's callers would; `None` where they have no words for it.
fn anthropic_as_canonical(native: &Value) -> Option<Value> {
    let mut body = json!({});
    let mut messages = Vec::new();
    if let Some(system) = native.get("system") {
        messages.push(json!({"role": "system", "content": system}));
    }
    for turn in native["messages"].as_array()? {
        let Some(blocks) = turn["content"].as_array() else {
            messages.push(turn.clone());
            continue;
        };
        match turn["role"].as_str()? {
            "assistant" => messages.push(anthropic_answer(blocks)),
            "user" => {
                let (results, said): (Vec<_>, Vec<_>) =
                    blocks.iter().partition(|block| block["type"] == "tool_result");
                for result in results {
                    let mut message = result.clone();
                    let members = message.as_object_mut()?;
                    members.remove("type");
                    let id = members.remove("tool_use_id")?;
                    members.insert("tool_call_id".to_owned(), id);
                    members.insert("role".to_owned(), json!("tool"));
                    messages.push(message);
                }
                if !said.is_empty() {
                    let parts: Vec<Value> = said.into_iter().map(anthropic_part).collect();
                    messages.push(json!({"role": "user", "content": parts}));
                }
            }
            _ => return None, // a system message between the others is one at the top for everybody else
        }
    }
    for (name, value) in native.as_object()? {
        match name.as_str() {
            "messages" | "system" | "stream" | "anthropic_version" => {}
            "stop_sequences" => body["stop"] = value.clone(),
            "tools" => body["tools"] = value.as_array()?.iter().map(anthropic_tool).collect(),
            "tool_choice" => {
                body["tool_choice"] = match value["type"].as_str()? {
                    "any" => json!("required"),
                    "tool" => json!({"type": "function", "function": {"name": value["name"]}}),
                    other => json!(other),
                };
                if value["disable_parallel_tool_use"] == true {
                    body["parallel_tool_calls"] = json!(false);
                }
            }
            "output_config" => {
                let mut rest = value.clone();
                let format = rest.as_object_mut()?.remove("format");
                if let Some(format) = format {
                    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": format["schema"]}});
                }
                body["output_config"] = rest;
            }
            other => body[other] = value.clone(),
        }
    }
    body["model"] = json!("alias");
    body["messages"] = messages.into();
    Some(body)
}

/// Thoughts come first and calls last in OpenAI's messages; where Anthropic's server mixed them, its own blocks stand in the content.
fn anthropic_answer(blocks: &[Value]) -> Value {
    let rank = |block: &Value| match block["type"].as_str() {
        Some("thinking" | "redacted_thinking") => 0,
        Some("tool_use") => 2,
        _ => 1,
    };
    let is_plain = blocks.is_sorted_by_key(rank) && blocks.iter().all(|block| block["caller"].is_null());
    if !is_plain {
        return json!({"role": "assistant", "content": blocks});
    }
    let of_rank = |wanted: i32| blocks.iter().filter(move |block| rank(block) == wanted);
    let calls = of_rank(2).map(|block| {
        let mut call =
            call(block["id"].as_str().unwrap(), block["name"].as_str().unwrap(), &block["input"].to_string());
        call["cache_control"] = block["cache_control"].clone();
        call
    });
    let mut message = json!({"role": "assistant", "content": of_rank(1).cloned().collect::<Vec<_>>()});
    let calls: Vec<Value> = calls.collect();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message["thinking_blocks"] = of_rank(0).cloned().collect();
    message
}

fn anthropic_part(block: &Value) -> Value {
    let source = &block["source"];
    let url = match source["type"].as_str() {
        Some("base64") => format!(
            "data:{};base64,{}",
            source["media_type"].as_str().unwrap(),
            source["data"].as_str().unwrap()
        ),
        Some("url") => source["url"].as_str().unwrap().to_owned(),
        _ => return block.clone(), // a text is written alike, and the rest is Anthropic's own
    };
    let mut part = match block["type"].as_str() {
        Some("image") => json!({"type": "image_url", "image_url": {"url": url}}),
        _ => json!({"type": "file", "file": {"file_data": url}}),
    };
    part["cache_control"] = block["cache_control"].clone();
    part
}

fn anthropic_tool(tool: &Value) -> Value {
    // What has a type is a server's tool, and what is strict is so in Anthropic's sense.
    if !tool["type"].is_null() || !tool["strict"].is_null() {
        return tool.clone();
    }
    let mut converted =
        json!({"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}});
    if !tool["description"].is_null() {
        converted["function"]["description"] = tool["description"].clone();
    }
    for name in ["cache_control", "defer_loading"] {
        if !tool[name].is_null() {
            converted[name] = tool[name].clone();
        }
    }
    converted
}

/// Compares a request of ours with the recorded one, both written in one way.
fn sent_as_recorded(exchange: &Exchange, canonical: &Value, normal: impl Fn(&Value) -> Value) {
    let name = &exchange.name;
    let mode = if exchange.request["stream"] == true { Mode::Stream } else { Mode::Whole };
    let request = ChatRequest::from_json(canonical.to_string()).unwrap();
    let target = Target::new(exchange.request["model"].as_str().unwrap_or_default());
    let sent = exchange.protocol.encode(&target, &request, mode);
    let sent: Value =
        serde_json::from_slice(&sent.unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap();
    let (sent, recorded) = (normal(&sent), normal(&exchange.request));
    for (field, value) in recorded.as_object().unwrap() {
        assert_eq!(&sent[field], value, "{name}: {field}");
    }
    assert_eq!(sent, recorded, "{name}");
}

fn is_blank(block: &Value) -> bool {
    block["text"].as_str().is_some_and(|text| text.trim().is_empty())
}

#[test]
fn every_request_to_anthropic_is_what_was_recorded() {
    let normal = |body: &Value| {
        let mut body = normal(body);
        // An explicit "may call in parallel" is the default.
        if body["tool_choice"]["disable_parallel_tool_use"] == false {
            body["tool_choice"].as_object_mut().unwrap().remove("disable_parallel_tool_use");
        }
        let mut turns: Vec<Value> = Vec::new();
        for turn in body["messages"].as_array().unwrap() {
            match turns.last_mut() {
                Some(last) if last["role"] == turn["role"] => {
                    last["content"]
                        .as_array_mut()
                        .unwrap()
                        .extend(turn["content"].as_array().unwrap().clone());
                }
                _ => turns.push(turn.clone()),
            }
        }
        // A blank text is no text; some of Anthropic's models refuse it.
        for turn in &mut turns {
            turn["content"].as_array_mut().unwrap().retain(|block| !is_blank(block));
        }
        turns.retain(|turn| turn["content"] != json!([]));
        if let Some(system) = body["system"].as_array_mut() {
            system.retain(|block| !is_blank(block));
        }
        body["messages"] = turns.into();
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null() && *value != json!([]));
        body
    };
    let (mut same, mut wordless) = (0, 0);
    for exchange in Exchange::all("anthropic_messages") {
        if exchange.kind.contains("error") || !exchange.request["messages"].is_array() {
            continue;
        }
        match anthropic_as_canonical(&exchange.request) {
            Some(canonical) => {
                sent_as_recorded(&exchange, &canonical, normal);
                same += 1;
            }
            None => wordless += 1,
        }
    }
    assert!(same > 150 && wordless < 3, "{same} and {wordless}");
}

#[test]
fn every_request_to_cohere_is_what_was_recorded() {
    let normal = |body: &Value| {
        let mut body = without_nulls(body);
        for message in body["messages"].as_array_mut().unwrap() {
            if let Some(text) = message["content"].as_str() {
                message["content"] = json!([{"type": "text", "text": text}]);
            }
            let members = message.as_object_mut().unwrap();
            let nothing = [json!([{"type": "text", "text": ""}]), Value::Null];
            members.retain(|name, value| name != "content" || !nothing.contains(value));
        }
        body.as_object_mut().unwrap().retain(|name, value| name != "stream" || *value != false);
        body
    };
    let mut count = 0;
    for exchange in Exchange::all("cohere_chat") {
        if exchange.kind.contains("error") || !exchange.request["messages"].is_array() {
            continue;
        }
        let mut canonical = without_nulls(&exchange.request);
        let fields = canonical.as_object_mut().unwrap();
        for (theirs, ours) in [("stop_sequences", "stop"), ("p", "top_p")] {
            if let Some(value) = fields.remove(theirs) {
                fields.insert(ours.to_owned(), value);
            }
        }
        if let Some(choice) = fields.get_mut("tool_choice") {
            *choice = json!(choice.as_str().unwrap().to_lowercase());
        }
        if let Some(schema) = fields.get("response_format").map(|format| format["json_schema"].clone()) {
            let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
            fields.insert("response_format".to_owned(), format);
        }
        sent_as_recorded(&exchange, &canonical, normal);
        count += 1;
    }
    assert!(count > 20, "{count}");
}
