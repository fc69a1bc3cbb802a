//! The items of an output.

use serde_json::{Value, json};

use crate::api::canonical::Said;
use crate::api::json::Object;

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// A part of a message.
pub(super) fn message_part(said: Said, text: &str) -> Object<'_> {
    match said {
        Said::Text => Object::typed("output_text")
            .with("text", text)
            .with("annotations", json!([]))
            .with("logprobs", json!([])),
        Said::Refusal => Object::typed("refusal").with("refusal", text),
    }
}

/// A message with these parts, of which there is one at most.
pub(super) fn message<'a>(id: &'a str, status: Status, part: Option<Object<'a>>) -> Object<'a> {
    let parts: Vec<Object<'a>> = part.into_iter().collect();
    Object::typed("message")
        .with("id", id)
        .with("status", status.as_str())
        .with("role", "assistant")
        .with("content", parts)
}

/// A call of a function.
pub(super) fn call<'a>(
    id: &'a str,
    status: Status,
    call_id: &'a str,
    name: &'a str,
    arguments: &'a str,
) -> Object<'a> {
    Object::typed("function_call")
        .with("id", id)
        .with("status", status.as_str())
        .with("call_id", call_id)
        .with("name", name)
        .with("arguments", arguments)
}

/// Reasoning, told as its summary: where a model shows all of it, this is all of it.
pub(super) fn reasoning<'a>(id: &'a str, text: Option<&'a str>) -> Object<'a> {
    let summary: Vec<Object<'a>> = text.map(summary_part).into_iter().collect();
    Object::typed("reasoning").with("id", id).with("summary", summary)
}

/// A part of the summary of reasoning.
pub(super) fn summary_part(text: &str) -> Object<'_> {
    Object::typed("summary_text").with("text", text)
}

/// Why an answer is not complete; `None` when it is.
pub(super) fn incompleteness(finish_reason: Option<&str>) -> Option<Value> {
    match finish_reason {
        Some("length") => Some(json!({"reason": "max_output_tokens"})),
        Some("content_filter") => Some(json!({"reason": "content_filter"})),
        _ => None,
    }
}
