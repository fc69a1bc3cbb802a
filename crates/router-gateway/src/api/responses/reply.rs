//! From a canonical reply to a response, and the frame that all responses have.

use llm_router::{JsonObject, Reply, Usage};
use serde_json::{Value, json};

use super::item::{self, Status};
use super::request::raw;
use crate::api::ApiError;
use crate::api::canonical::Completion;
use crate::api::json::{Node, Object};

pub(super) fn response(asked: &JsonObject, reply: &Reply) -> Result<String, ApiError> {
    let completion = Completion::read(&reply.body).map_err(|error| ApiError::untranslatable(&error))?;
    let frame = Frame::of(&completion);
    let choice = completion.first();
    let incomplete = item::incompleteness(choice.and_then(|choice| choice.finish_reason.as_deref()));
    let status = if incomplete.is_some() { Status::Incomplete } else { Status::Completed };
    let message = choice.map(|choice| &choice.message);
    let reasoning = message.and_then(|message| message.reasoning());
    let calls: Vec<_> =
        message.and_then(|message| message.tool_calls.as_deref()).unwrap_or_default().iter().collect();
    // One id for each item there can be.
    let ids: Vec<String> = (0..calls.len() + 2).map(|rank| frame.item_id(rank)).collect();
    let mut free_ids = ids.iter().map(String::as_str);
    let mut next_id = || free_ids.next().unwrap_or_default();

    let mut output: Vec<Node<'_>> = Vec::new();
    output.extend(reasoning.as_deref().map(|text| item::reasoning(next_id(), Some(text)).into()));
    if let Some((said, text)) = message.and_then(|message| message.said()) {
        output.push(item::message(next_id(), status, Some(item::message_part(said, text))).into());
    }
    for call in calls {
        let function = call.function.as_ref();
        let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
        let arguments = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
        let id = next_id();
        let call_id = call.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(id);
        output.push(item::call(id, status, call_id, name, arguments).into());
    }
    let response = frame.response(asked, status.as_str(), output);
    let response = response
        .with("incomplete_details", incomplete.unwrap_or_default())
        .with("error", Value::Null)
        .with("usage", usage(&reply.usage.unwrap_or_default()));
    Ok(response.to_json())
}

/// What identifies a response.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// The id without its prefix.
    id: String,
    created_at: u64,
    model: String,
}

impl Frame {
    pub(super) fn of(completion: &Completion<'_>) -> Self {
        let id = completion.id.as_deref().unwrap_or_default();
        let id = ["chatcmpl-", "msg_", "resp_"]
            .into_iter()
            .find_map(|prefix| id.strip_prefix(prefix))
            .unwrap_or(id);
        Self {
            id: id.to_owned(),
            created_at: completion.created.unwrap_or_default(),
            model: completion.model.as_deref().unwrap_or_default().to_owned(),
        }
    }

    /// The id of an item, by its place in the output.
    pub(super) fn item_id(&self, rank: usize) -> String {
        format!("item_{}_{rank}", self.id)
    }

    /// A response, which repeats what was asked. `incomplete_details`, `error` and `usage` are for the caller to add.
    pub(super) fn response<'a>(
        &'a self,
        asked: &'a JsonObject,
        status: &'static str,
        output: Vec<Node<'a>>,
    ) -> Object<'a> {
        let repeated = |name: &str, unless: Value| raw(asked, name).map_or(Node::Made(unless), Node::Raw);
        Object::default()
            .with("id", format!("resp_{}", self.id))
            .with("object", "response")
            .with("created_at", self.created_at)
            .with("status", status)
            .with("background", false)
            .with("model", self.model.as_str())
            .with("output", Node::List(output))
            .with("instructions", repeated("instructions", Value::Null))
            .with("max_output_tokens", repeated("max_output_tokens", Value::Null))
            .with("metadata", repeated("metadata", json!({})))
            .with("parallel_tool_calls", repeated("parallel_tool_calls", json!(true)))
            .with("previous_response_id", Value::Null)
            .with("reasoning", repeated("reasoning", json!({"effort": null, "summary": null})))
            .with("store", false)
            .with("temperature", repeated("temperature", json!(1.0)))
            .with("text", repeated("text", json!({"format": {"type": "text"}})))
            .with("tool_choice", repeated("tool_choice", json!("auto")))
            .with("tools", repeated("tools", json!([])))
            .with("top_p", repeated("top_p", json!(1.0)))
            .with("truncation", "disabled")
            .with("user", repeated("user", Value::Null))
    }
}

pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cached_read,
            "cache_write_tokens": usage.cache_write_5m.saturating_add(usage.cache_write_1h),
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
