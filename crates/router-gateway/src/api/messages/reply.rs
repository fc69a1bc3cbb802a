//! From a canonical reply to Anthropic's message.

use std::borrow::Cow;

use llm_router::{Reply, ServiceTier, Usage};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::api::canonical::{Choice, Completion, Message, ToolCall};
use crate::api::json::{Node, Object};

pub(super) fn message(reply: &Reply, stops: &[String]) -> Result<String, ApiError> {
    let completion = Completion::read(&reply.body).map_err(|error| ApiError::untranslatable(&error))?;
    let choice = completion.first();
    let content: Vec<Node<'_>> = choice.map(|choice| blocks(&choice.message)).unwrap_or_default();
    let end = Ending::of(choice, stops);
    let message = Object::typed("message")
        .with("id", message_id(completion.id.as_deref()))
        .with("role", "assistant")
        .with("model", completion.model.clone().unwrap_or_default())
        .with("content", content)
        .with("stop_reason", end.reason.clone())
        .with("stop_sequence", json!(end.sequence))
        .with("usage", usage(&reply.usage.unwrap_or_default()));
    Ok(message.to_json())
}

fn blocks<'a>(message: &'a Message<'a>) -> Vec<Node<'a>> {
    let mut blocks: Vec<Node<'a>> = Vec::new();
    match message.thinking_blocks.as_deref() {
        Some(signed) if !signed.is_empty() => blocks.extend(signed.iter().map(|block| Node::Raw(block))),
        _ => blocks.extend(message.reasoning().map(|text| unsigned(text).into())),
    }
    blocks.extend(message.text().map(|text| Object::typed("text").with("text", text).into()));
    for (rank, call) in message.tool_calls.iter().flatten().enumerate() {
        let function = call.function.as_ref();
        let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
        let arguments = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
        let block = Object::typed("tool_use").with("id", call_id(call, rank)).with("name", name);
        blocks.push(block.with("input", input(arguments)).into());
    }
    blocks
}

/// Reasoning that is not Anthropic's has no signature, by which it is known when it comes back.
fn unsigned(text: Cow<'_, str>) -> Object<'_> {
    Object::typed("thinking").with("thinking", text).with("signature", "")
}

/// The arguments of a call, as an object. What a model wrote that is none is kept for the caller to see.
fn input(arguments: &str) -> Node<'_> {
    match serde_json::from_str::<&RawValue>(arguments) {
        Ok(object) if object.get().starts_with('{') => object.into(),
        _ if arguments.trim().is_empty() => json!({}).into(),
        _ => Object::default().with("raw_arguments", arguments).into(),
    }
}

/// The id of a call, in the letters that Anthropic takes back. Calls without one get one.
pub(super) fn call_id(call: &ToolCall<'_>, rank: usize) -> String {
    let id = call.id.as_deref().unwrap_or_default();
    if id.is_empty() {
        return format!("toolu_{rank}");
    }
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

/// The id of a message. Anthropic's own stays.
pub(super) fn message_id(id: Option<&str>) -> String {
    let id = id.unwrap_or_default();
    if id.starts_with("msg_") { id.to_owned() } else { format!("msg_{}", id.trim_start_matches("chatcmpl-")) }
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) reason: Cow<'static, str>,
    pub(super) sequence: Option<String>,
}

impl Ending {
    pub(super) fn of(choice: Option<&Choice<'_>>, stops: &[String]) -> Self {
        let calls = choice.is_some_and(|choice| choice.message.tool_calls.iter().flatten().next().is_some());
        let reason = |of: fn(&Choice<'_>) -> Option<String>| choice.and_then(of);
        let native = reason(|choice| choice.native_finish_reason.as_deref().map(str::to_owned));
        let canonical = reason(|choice| choice.finish_reason.as_deref().map(str::to_owned));
        Self::from_reasons(canonical.as_deref(), native.as_deref(), calls, stops)
    }

    /// Translates the reason; where Anthropic itself gave one, it stands.
    pub(super) fn from_reasons(
        canonical: Option<&str>,
        native: Option<&str>,
        has_calls: bool,
        stops: &[String],
    ) -> Self {
        const ANTHROPICS: [&str; 8] = [
            "end_turn",
            "max_tokens",
            "stop_sequence",
            "tool_use",
            "pause_turn",
            "refusal",
            "model_context_window_exceeded",
            "compaction",
        ];
        let known = native.and_then(|native| ANTHROPICS.into_iter().find(|known| *known == native));
        let reason = known.unwrap_or(match canonical {
            Some("length") => "max_tokens",
            Some("content_filter") => "refusal",
            Some("tool_calls" | "function_call") => "tool_use",
            // Some services say "stop" when they call.
            _ if has_calls => "tool_use",
            _ => "end_turn",
        });
        // Nobody tells which sequence it was; where there is but one, it is clear.
        let sequence = match stops {
            [only] if reason == "stop_sequence" => Some(only.clone()),
            _ => None,
        };
        Self { reason: reason.into(), sequence }
    }
}

/// Usage in Anthropic's terms: what caches gave and took stands beside the input.
pub(super) fn usage(usage: &Usage) -> Value {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let input = usage.prompt.saturating_sub(usage.cached_read).saturating_sub(written);
    let mut object = json!({
        "input_tokens": input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.completion,
        "service_tier": match usage.tier {
            ServiceTier::Standard | ServiceTier::Flex => "standard",
            ServiceTier::Batch => "batch",
            ServiceTier::Priority => "priority",
        },
    });
    if let Some(object) = object.as_object_mut()
        && usage.reasoning > 0
    {
        object.insert("output_tokens_details".to_owned(), json!({"thinking_tokens": usage.reasoning}));
    }
    object
}
