//! Messages, made fit for Mistral: it refuses members it does not know, ids of tool calls that are not nine letters or digits,
//! an answer of nothing, and an answer at the end that is not marked as the beginning of the next.
//!
//! A message that is fit already is copied as it stands. Reasoning of earlier turns is left out.

use router_core::{ProviderError, ProviderErrorKind};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::call_id::nine_characters;
use crate::raw_json::{self, Fields};
use crate::unsupported::unsupported;

/// Returns the messages as Mistral takes them; `None` when they can go as they are.
pub(super) fn rewritten(messages: &str) -> Result<Option<String>, ProviderError> {
    let messages: Vec<&RawValue> =
        serde_json::from_str(messages).map_err(|_| invalid("`messages` is wrong: expected a list"))?;
    let mut is_changed = false;
    let mut fit: Vec<String> = Vec::with_capacity(messages.len());
    for (position, raw) in messages.iter().enumerate() {
        let fields: Fields<'_> = serde_json::from_str(raw.get())
            .map_err(|_| invalid(&format!("`messages[{position}]` is wrong: expected an object")))?;
        let is_last = position + 1 == messages.len();
        if is_fit(&fields, is_last) {
            fit.push(raw.get().to_owned());
            continue;
        }
        is_changed = true;
        let message: Map<String, Value> = serde_json::from_str(raw.get())
            .map_err(|_| invalid(&format!("`messages[{position}]` is wrong: expected an object")))?;
        fit.extend(made_fit(message, is_last, position)?.map(|message| Value::Object(message).to_string()));
    }
    Ok(is_changed.then(|| format!("[{}]", fit.join(","))))
}

fn is_fit(fields: &Fields<'_>, is_last: bool) -> bool {
    let role = fields.get("role").map(RawValue::get);
    let content = fields.get("content").map_or("null", RawValue::get);
    let is_answer = role == Some("\"assistant\"");
    matches!(role, Some("\"system\"" | "\"user\"" | "\"assistant\"" | "\"tool\""))
        && fields.0.iter().all(|(name, value)| match &**name {
            "role" | "prefix" => true,
            // Lists may hold parts of other vendors, which only a closer look tells.
            "content" => !value.get().starts_with('[') || !has_foreign_parts(value.get()),
            "name" => role == Some("\"tool\""),
            "tool_call_id" => raw_json::text(value).is_some_and(|id| nine_characters(&id) == id),
            "tool_calls" => raw_json::is_null(value) || value.get() == "[]",
            _ => false,
        })
        && !(is_answer && (is_last || matches!(content, "null" | "\"\"")) && fields.get("prefix").is_none())
}

fn has_foreign_parts(content: &str) -> bool {
    ["cache_control", "\"file\"", "\"input_audio\"", "\"refusal\"", "thinking", "\"input_"]
        .iter()
        .any(|mark| content.contains(mark))
}

fn made_fit(
    mut message: Map<String, Value>,
    is_last: bool,
    position: usize,
) -> Result<Option<Map<String, Value>>, ProviderError> {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    for name in ["function_call", "audio"] {
        if message.get(name).is_some_and(|value| !value.is_null()) {
            return Err(unsupported(&format!("`messages[{position}].{name}`"), "Mistral"));
        }
    }
    let refusal = message.remove("refusal").filter(Value::is_string);
    message.retain(|name, value| match name.as_str() {
        "role" | "content" | "prefix" => true,
        "tool_calls" => value.as_array().is_some_and(|calls| !calls.is_empty()),
        "tool_call_id" | "name" => role == "tool",
        _ => false,
    });
    if role == "developer" {
        message.insert("role".to_owned(), "system".into());
    }
    if let Some(Value::Array(parts)) = message.get_mut("content") {
        for (index, part) in std::mem::take(parts).into_iter().enumerate() {
            parts.extend(part_made_fit(part, &format!("messages[{position}].content[{index}]"))?);
        }
    }
    if let Some(Value::String(id)) = message.get_mut("tool_call_id") {
        *id = nine_characters(id);
    }
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        for call in calls.iter_mut().filter_map(Value::as_object_mut) {
            call.retain(|name, _| matches!(name.as_str(), "id" | "type" | "function" | "index"));
            if let Some(Value::String(id)) = call.get_mut("id") {
                *id = nine_characters(id);
            }
        }
    }
    if role == "assistant" && !message.contains_key("tool_calls") {
        let is_empty = match message.get("content") {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(parts)) => parts.is_empty(),
            Some(_) => false,
        };
        match (is_empty, refusal) {
            (true, Some(refusal)) => {
                message.insert("content".to_owned(), refusal);
            }
            (true, None) => return Ok(None),
            (false, _) => {}
        }
        if is_last {
            message.insert("prefix".to_owned(), true.into());
        }
    }
    Ok(Some(message))
}

/// Returns a part of a content as Mistral writes it; `None` for reasoning, which stays where it was thought.
fn part_made_fit(part: Value, place: &str) -> Result<Option<Value>, ProviderError> {
    let Value::Object(mut part) = part else {
        return Err(invalid(&format!("`{place}` is wrong: expected an object")));
    };
    part.remove("cache_control");
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(match kind.as_str() {
        "refusal" => json!({"type": "text", "text": part.get("refusal")}),
        "redacted_thinking" => return Ok(None),
        // Mistral's own is a list; a text is Anthropic's.
        "thinking" if !part.get("thinking").is_some_and(Value::is_array) => return Ok(None),
        "input_audio" => match part.get("input_audio").and_then(|audio| audio.get("data")) {
            Some(data) => json!({"type": "input_audio", "input_audio": data}),
            None => Value::Object(part),
        },
        "file" => match part.get("file") {
            Some(file) if file.get("file_data").is_some() => {
                let document = json!({"type": "document_url", "document_url": file["file_data"]});
                match (document, file.get("filename")) {
                    (Value::Object(mut document), Some(name)) => {
                        document.insert("document_name".to_owned(), name.clone());
                        Value::Object(document)
                    }
                    (document, _) => document,
                }
            }
            Some(file) if file.get("file_id").is_some() => {
                json!({"type": "file", "file_id": file["file_id"]})
            }
            _ => Value::Object(part),
        },
        _ => Value::Object(part),
    }))
}

fn invalid(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidRequest, message)
}
