//! From Anthropic's request to a canonical one.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `system`, `messages` | `messages`, see [`conversation`](super::conversation) |
//! | `max_tokens`, `temperature`, `top_p`, `stream` | the same |
//! | `stop_sequences` | `stop` |
//! | `tools`, `tool_choice` | functions; Anthropic's own tools have no counterpart |
//! | `thinking`, `output_config.effort` | `reasoning_effort`, when thinking is switched on |
//! | `output_config.format` | `response_format` |
//! | `metadata.user_id` | `user`, up to the 64 characters that OpenAI takes |
//! | `fallbacks`, `num_retries`, `disable_fallbacks` | the same: they are for the router |
//! | `mcp_servers`, `container` | no counterpart |
//! | others, such as `top_k`, `service_tier`, `context_management` | left out: the answer is valid without |
//!
//! Deployments of Anthropic's get the request as it was written. A request that holds something without a counterpart is for
//! them only; others of the pool are passed over.

use std::borrow::Cow;

use http::HeaderMap;
use llm_router::{ChatRequest, Edit, JsonObject, Native, NativeFormat};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::conversation::{self, Conversation};
use crate::api::ApiError;
use crate::api::json::{Node, Object, needed, part, text};

/// What a request is translated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Answer,
    /// Only its length matters, so that it needs no `max_tokens`.
    Count,
}

/// What has no counterpart in the canonical shape: the first thing found, in words.
#[derive(Debug, Default)]
pub(super) struct Gap(Option<String>);

impl Gap {
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        self.0.get_or_insert_with(what);
    }
}

const ROUTER_FIELDS: [&str; 3] = ["fallbacks", "num_retries", "disable_fallbacks"];

/// The longest `user` that OpenAI takes, in characters.
const MAX_USER: usize = 64;

pub(super) fn canonical(
    body: JsonObject,
    headers: HeaderMap,
    purpose: Purpose,
) -> Result<ChatRequest, ApiError> {
    let mut gap = Gap::default();
    let Conversation { messages, signed } = conversation::convert(&body, &mut gap)?;
    if purpose == Purpose::Answer && body.get::<f64>("max_tokens", "a number")?.is_none() {
        return Err(ApiError::missing("max_tokens"));
    }
    let mut request = Object::default();
    request.set_some("model", raw(&body, "model"));
    request.set("messages", messages);
    for name in ["max_tokens", "temperature", "top_p", "stream"] {
        request.set_some(name, raw(&body, name));
    }
    if body.get("stream", "a boolean")? == Some(true) {
        request.set("stream_options", json!({"include_usage": true}));
    }
    let stops = stop_sequences(&body)?;
    request.set_some("stop", (!stops.is_empty()).then_some(stops));
    tools(&body, &mut request, &mut gap)?;
    reasoning_and_format(&body, &mut request)?;
    request.set_some("user", user(&body));
    for name in ROUTER_FIELDS {
        request.set_some(name, raw(&body, name));
    }
    for name in ["mcp_servers", "container"] {
        if body.field(name).is_some_and(|value| !matches!(value, "null" | "[]")) {
            gap.note(|| format!("`{name}`"));
        }
    }
    let request = ChatRequest::from_json(request.to_json())?;

    let mut edits = Vec::from(ROUTER_FIELDS.map(|name| (name, Edit::Remove)));
    edits.extend(signed.as_deref().map(|messages| ("messages", Edit::Set(messages))));
    let is_as_written = signed.is_none() && ROUTER_FIELDS.iter().all(|name| body.field(name).is_none());
    let body = if is_as_written { body } else { JsonObject::read(body.with(&edits))? };
    let native = Native::new(NativeFormat::AnthropicMessages, body).with_headers(headers);
    Ok(request.with_native(match gap.0 {
        Some(what) => native.with_untranslated(what),
        None => native,
    }))
}

/// Returns the sequences at which the answer shall end.
pub(super) fn stop_sequences(body: &JsonObject) -> Result<Vec<String>, ApiError> {
    Ok(body.get("stop_sequences", "a list of strings")?.unwrap_or_default())
}

fn raw<'a>(body: &'a JsonObject, name: &str) -> Option<&'a RawValue> {
    serde_json::from_str(body.field(name)?).ok()
}

fn tools<'a>(body: &'a JsonObject, request: &mut Object<'a>, gap: &mut Gap) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        description: Option<&'a RawValue>,
        #[serde(borrow)]
        input_schema: Option<&'a RawValue>,
        #[serde(borrow)]
        strict: Option<&'a RawValue>,
    }
    let tools: Vec<&'a RawValue> = body.get("tools", "a list")?.unwrap_or_default();
    let mut functions: Vec<Node<'a>> = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        let place = format!("tools[{index}]");
        let tool: Tool<'a> = part(tool, &place, "a tool")?;
        if let Some(own) = tool.kind.filter(|kind| kind != "custom") {
            gap.note(|| format!("`{place}` of type {own:?}"));
            continue;
        }
        let function = Object::default()
            .with("name", needed(tool.name, &place, "name")?)
            .with_some("description", tool.description)
            .with("parameters", needed(tool.input_schema, &place, "input_schema")?)
            .with_some("strict", tool.strict);
        functions.push(Object::typed("function").with("function", function).into());
    }
    if functions.is_empty() {
        return Ok(()); // a choice among no tools says nothing
    }
    request.set("tools", functions);

    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        disable_parallel_tool_use: Option<bool>,
    }
    let Some(choice) = body.get::<Choice<'a>>("tool_choice", "an object with a `type`")? else {
        return Ok(());
    };
    let choice_node = match &*choice.kind {
        "auto" => Node::from("auto"),
        "any" => Node::from("required"),
        "none" => Node::from("none"),
        "tool" => {
            let name = needed(choice.name, "tool_choice", "name")?;
            Object::typed("function").with("function", Object::default().with("name", name)).into()
        }
        _ => return Err(ApiError::wrong("tool_choice.type", "auto, any, tool or none")),
    };
    request.set("tool_choice", choice_node);
    if choice.disable_parallel_tool_use == Some(true) {
        request.set("parallel_tool_calls", false);
    }
    Ok(())
}

fn reasoning_and_format<'a>(body: &'a JsonObject, request: &mut Object<'a>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Thinking<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        budget_tokens: Option<u64>,
    }
    #[derive(Deserialize)]
    struct OutputConfig<'a> {
        #[serde(borrow)]
        effort: Option<Cow<'a, str>>,
        #[serde(borrow)]
        format: Option<Format<'a>>,
    }
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let thinking: Option<Thinking<'a>> = body.get("thinking", "an object with a `type`")?;
    let config: Option<OutputConfig<'a>> = body.get("output_config", "an object")?;
    let (effort, format) = config.map_or((None, None), |config| (config.effort, config.format));
    let thinks = thinking.as_ref().is_some_and(|thinking| thinking.kind != "disabled");
    let effort = match effort.as_deref() {
        Some("low") => Some("low"),
        Some("medium") => Some("medium"),
        // Anthropic knows words above, OpenAI's models differ in those.
        Some(_) => Some("high"),
        None => thinking.and_then(|thinking| thinking.budget_tokens).map(effort_of),
    };
    request.set_some("reasoning_effort", effort.filter(|_| thinks));
    if let Some(schema) = format.and_then(|format| format.schema) {
        let schema = Object::default().with("name", "answer").with("strict", true).with("schema", schema);
        request.set("response_format", Object::typed("json_schema").with("json_schema", schema));
    }
    Ok(())
}

/// The inverse of what budgets stand for efforts on the way to Anthropic.
const fn effort_of(budget: u64) -> &'static str {
    match budget {
        0..2048 => "low",
        2048..4096 => "medium",
        _ => "high",
    }
}

fn user(body: &JsonObject) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        user_id: Option<&'a RawValue>,
    }
    let metadata: Metadata<'_> = serde_json::from_str(body.field("metadata")?).ok()?;
    text(metadata.user_id?).filter(|user| user.chars().count() <= MAX_USER)
}

#[cfg(test)]
mod tests;
