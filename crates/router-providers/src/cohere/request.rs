//! From a canonical request to Cohere's.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `messages` | the same roles, `developer` as `system`; text beside tool calls becomes `tool_plan` |
//! | `max_completion_tokens`, `max_tokens` | `max_tokens` |
//! | `stop` | `stop_sequences` |
//! | `top_p` | `p` |
//! | `temperature` | at most 1 |
//! | `tools` | the same; `strict` is dropped |
//! | `tool_choice` | `REQUIRED` or `NONE`; a named tool is refused |
//! | `response_format` | `json_schema` becomes a schema for `json_object` |
//! | `reasoning_effort` | `thinking`: off for `none`, else on |
//! | `user`, `store`, `metadata`, `service_tier`, … | dropped: hints, or OpenAI's own bookkeeping |
//! | `n`, `logprobs`, `logit_bias`, `audio`, … | refused, unless they ask for what happens anyway |
//!
//! What is in no list of OpenAI's passes through, for it is Cohere's own: `documents`, `safety_mode`, `k`.

use bytes::Bytes;
use router_core::{ChatRequest, ProviderError, ProviderErrorKind};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::protocol::{Mode, Target};
use crate::unsupported::{is_neutral, unsupported};

const NAME: &str = "Cohere";

/// Dropped: nothing of the answer depends on them.
const HINTS: [&str; 12] = [
    "stream",
    "stream_options",
    "user",
    "store",
    "metadata",
    "service_tier",
    "safety_identifier",
    "verbosity",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
];

/// Refused, unless they change nothing; then dropped.
const LACKS: [&str; 11] = [
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "modalities",
    "audio",
    "functions",
    "function_call",
    "web_search_options",
    "parallel_tool_calls",
    "moderation",
];

pub(super) fn encode(target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
    for name in LACKS {
        let value = request.field(name).and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
        if value.is_some_and(|value| !is_neutral(name, value)) {
            return Err(unsupported(&format!("`{name}`"), NAME));
        }
    }
    let mut body: Map<String, Value> =
        serde_json::from_slice(request.body()).map_err(|_| invalid("the body is not a JSON object"))?;
    body.retain(|name, value| {
        !HINTS.contains(&name.as_str()) && !LACKS.contains(&name.as_str()) && !value.is_null()
    });
    body.insert("model".to_owned(), target.model.clone().into());
    if let Some(Value::Array(messages)) = body.get_mut("messages") {
        for (position, message) in messages.iter_mut().enumerate() {
            convert_message(message, &format!("messages[{position}]"))?;
        }
    }
    let old_limit = body.remove("max_completion_tokens");
    if let Some(limit) = old_limit {
        body.insert("max_tokens".to_owned(), limit);
    }
    if let Some(p) = body.remove("top_p") {
        body.insert("p".to_owned(), p);
    }
    if let Some(temperature) = body.get_mut("temperature")
        && temperature.as_f64().is_some_and(|number| number > 1.0)
    {
        *temperature = json!(1);
    }
    match body.remove("stop") {
        Some(Value::String(one)) => {
            body.insert("stop_sequences".to_owned(), json!([one]));
        }
        Some(several) => {
            body.insert("stop_sequences".to_owned(), several);
        }
        None => {}
    }
    tools(&mut body)?;
    response_format(&mut body)?;
    if let Some(effort) = body.remove("reasoning_effort")
        && !body.contains_key("thinking")
    {
        let kind = if effort == "none" { "disabled" } else { "enabled" };
        body.insert("thinking".to_owned(), json!({"type": kind}));
    }
    if mode == Mode::Stream {
        body.insert("stream".to_owned(), true.into());
    }
    Ok(Value::Object(body).to_string().into())
}

fn tools(body: &mut Map<String, Value>) -> Result<(), ProviderError> {
    match body.remove("tool_choice") {
        None => {}
        Some(choice) => match choice.as_str() {
            Some("auto") => {}
            Some("required" | "any") => {
                body.insert("tool_choice".to_owned(), "REQUIRED".into());
            }
            Some("none") => {
                body.insert("tool_choice".to_owned(), "NONE".into());
            }
            Some("REQUIRED" | "NONE") => {
                body.insert("tool_choice".to_owned(), choice);
            }
            _ => {
                let what = "`tool_choice` of one function";
                return Err(unsupported(what, NAME));
            }
        },
    }
    let Some(Value::Array(tools)) = body.get_mut("tools") else { return Ok(()) };
    for tool in tools {
        let Some(tool) = tool.as_object_mut() else { continue };
        tool.retain(|name, _| matches!(name.as_str(), "type" | "function"));
        if let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) {
            function.retain(|name, _| matches!(name.as_str(), "name" | "description" | "parameters"));
        }
    }
    Ok(())
}

fn response_format(body: &mut Map<String, Value>) -> Result<(), ProviderError> {
    let Some(format) = body.remove("response_format") else { return Ok(()) };
    let format = match format.get("type").and_then(Value::as_str) {
        Some("text") => return Ok(()),
        Some("json_object") => format,
        Some("json_schema") => match format.pointer("/json_schema/schema") {
            Some(schema) => json!({"type": "json_object", "json_schema": schema}),
            None => {
                return Err(invalid("`response_format.json_schema.schema` is missing: expected an object"));
            }
        },
        _ => return Err(unsupported("`response_format` of this type", NAME)),
    };
    body.insert("response_format".to_owned(), format);
    Ok(())
}

fn convert_message(message: &mut Value, place: &str) -> Result<(), ProviderError> {
    let Value::Object(message) = message else {
        return Err(invalid(&format!("`{place}` is wrong: expected an object")));
    };
    for name in ["function_call", "audio"] {
        if message.get(name).is_some_and(|value| !value.is_null()) {
            return Err(unsupported(&format!("`{place}.{name}`"), NAME));
        }
    }
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let refusal = message.remove("refusal").filter(Value::is_string);
    message.retain(|name, value| {
        matches!(
            name.as_str(),
            "role" | "content" | "tool_calls" | "tool_call_id" | "tool_plan" | "citations"
        ) && !value.is_null()
    });
    if role == "developer" {
        message.insert("role".to_owned(), "system".into());
    }
    if let (None, Some(refusal)) = (message.get("content"), refusal) {
        message.insert("content".to_owned(), refusal);
    }
    if let Some(Value::Array(parts)) = message.get_mut("content") {
        for (index, part) in parts.iter_mut().enumerate() {
            convert_part(part, &format!("{place}.content[{index}]"))?;
        }
        parts.retain(|part| !part.is_null());
    }
    let Some(Value::Array(calls)) = message.get_mut("tool_calls") else { return Ok(()) };
    for call in calls.iter_mut().filter_map(Value::as_object_mut) {
        call.retain(|name, _| matches!(name.as_str(), "id" | "type" | "function"));
    }
    if calls.is_empty() {
        message.remove("tool_calls");
        return Ok(());
    }
    // What was said before the calls is the plan; beside calls, Cohere takes no other text.
    let said = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    };
    message.remove("content");
    if !said.is_empty() && !message.contains_key("tool_plan") {
        message.insert("tool_plan".to_owned(), said.into());
    }
    Ok(())
}

/// Makes a part fit, or `null` where it is to be left out.
fn convert_part(part: &mut Value, place: &str) -> Result<(), ProviderError> {
    let Value::Object(members) = part else {
        return Err(invalid(&format!("`{place}` is wrong: expected an object")));
    };
    members.remove("cache_control");
    match members.get("type").and_then(Value::as_str).unwrap_or_default() {
        "refusal" => *part = json!({"type": "text", "text": members.get("refusal")}),
        "redacted_thinking" => *part = Value::Null,
        kind @ ("file" | "input_audio") => {
            let what = format!("`{place}` of type \"{kind}\"");
            return Err(unsupported(&what, NAME));
        }
        _ => {}
    }
    Ok(())
}

fn invalid(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(mut body: Value) -> Result<Value, ProviderError> {
        body["model"] = json!("alias");
        let request = ChatRequest::from_json(body.to_string()).unwrap();
        let sent = encode(&Target::new("command-a"), &request, Mode::Stream)?;
        Ok(serde_json::from_slice(&sent).unwrap())
    }

    #[test]
    fn a_canonical_request_becomes_coheres() {
        let tool = |extra: bool| {
            let mut function = json!({"name": "f", "parameters": {"type": "object"}});
            if extra {
                function["strict"] = json!(true);
            }
            json!({"type": "function", "function": function})
        };
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let sent = sent(json!({
            "messages": [
                {"role": "developer", "content": "brief"},
                {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {}}]},
                {"role": "assistant", "content": "I will look.", "refusal": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "name": "f", "content": "42"},
            ],
            "max_completion_tokens": 5, "stop": "x", "top_p": 0.5, "temperature": 1.5, "user": "u", "n": 1, "k": 3,
            "tools": [tool(true)], "tool_choice": "required", "reasoning_effort": "high", "stream_options": {},
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        }))
        .unwrap();
        assert_eq!(
            sent,
            json!({
                "model": "command-a", "stream": true,
                "messages": [
                    {"role": "system", "content": "brief"},
                    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                    {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c", "content": "42"},
                ],
                "max_tokens": 5, "stop_sequences": ["x"], "p": 0.5, "temperature": 1, "k": 3,
                "tools": [tool(false)], "tool_choice": "REQUIRED", "thinking": {"type": "enabled"},
                "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
            })
        );
    }

    #[test]
    fn what_cohere_cannot_do_is_refused() {
        for (field, value) in [
            ("n", json!(2)),
            ("logprobs", json!(true)),
            ("parallel_tool_calls", json!(false)),
            ("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
        ] {
            let error = sent(json!({"messages": [], field: value})).unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::Unsupported, "{field}");
        }
        let audio = json!([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]);
        let error = sent(json!({"messages": [{"role": "user", "content": audio}]})).unwrap_err();
        assert_eq!(
            error.message(),
            "`messages[0].content[0]` of type \"input_audio\" is not supported by Cohere"
        );
    }
}
