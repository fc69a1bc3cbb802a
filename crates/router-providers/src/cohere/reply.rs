//! From Cohere's reply to a canonical one.

use router_core::{ProviderError, ProviderErrorKind, Reply};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{errors, usage};
use crate::canonical::{self, Choice, Completion, UsageObject};
use crate::protocol::{Target, WireReply};
use crate::raw_json::{self, Text};

#[derive(Deserialize)]
struct ChatReply<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    message: Option<Message>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<Vec<Part>>,
    tool_plan: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
    citations: Option<Value>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    thinking: Option<String>,
}

pub(super) fn decode(target: &Target, reply: &WireReply) -> Result<Reply, ProviderError> {
    let text = std::str::from_utf8(&reply.body).map_err(|_| malformed("the reply is not UTF-8"))?;
    let chat: ChatReply<'_> =
        raw_json::parse(text).map_err(|_| malformed("the reply is not one as Cohere sends it"))?;
    let message = chat.message.ok_or_else(|| malformed("the reply has no message"))?;
    let native = chat.finish_reason.as_ref().map(|reason| reason.0.as_ref());
    let reason = finish_reason(native.unwrap_or("COMPLETE"))?;
    let usage = chat.usage.and_then(usage::read);
    let completion = Completion {
        id: chat.id.as_ref().map_or("", |id| &id.0),
        object: "chat.completion",
        created: canonical::created(&reply.headers),
        model: &target.model,
        choices: vec![Choice {
            index: 0,
            message: answer(message),
            finish_reason: reason,
            native_finish_reason: native,
        }],
        usage: usage.as_ref().map(UsageObject::from),
    };
    let body =
        serde_json::to_vec(&completion).map_err(|_| malformed("the reply cannot be written as JSON"))?;
    Ok(Reply { body: body.into(), model: Some(target.model.clone()), usage, headroom: None })
}

fn answer(message: Message) -> Map<String, Value> {
    let (mut text, mut reasoning) = (message.tool_plan.unwrap_or_default(), String::new());
    for part in message.content.into_iter().flatten() {
        text.push_str(&part.text.unwrap_or_default());
        reasoning.push_str(&part.thinking.unwrap_or_default());
    }
    let calls = message.tool_calls.unwrap_or_default();
    let mut answer = Map::new();
    answer.insert("role".to_owned(), "assistant".into());
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    answer.insert("content".to_owned(), content);
    if !reasoning.is_empty() {
        answer.insert("reasoning_content".to_owned(), reasoning.into());
    }
    if !calls.is_empty() {
        answer.insert("tool_calls".to_owned(), json!(calls));
    }
    if let Some(citations) = message.citations.filter(|citations| !citations.is_null()) {
        answer.insert("citations".to_owned(), citations);
    }
    answer
}

/// Returns the canonical reason for Cohere's. One that is not known yet still ends an answer.
pub(super) fn finish_reason(native: &str) -> Result<&'static str, ProviderError> {
    match native {
        "TOOL_CALL" => Ok("tool_calls"),
        "MAX_TOKENS" => Ok("length"),
        "ERROR_TOXIC" => Ok("content_filter"),
        "ERROR" | "ERROR_LIMIT" | "TIMEOUT" => Err(errors::in_answer(native)),
        _ => Ok("stop"),
    }
}

pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::MalformedReply, message)
}
