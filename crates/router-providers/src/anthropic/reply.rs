//! From Anthropic's message to a canonical reply.

use std::borrow::Cow;

use router_core::{ProviderError, ProviderErrorKind, Reply};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::errors;
use super::usage::WireUsage;
use crate::canonical::{self, Choice, Completion, UsageObject};
use crate::protocol::WireReply;
use crate::raw_json::{self, Text};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A block of content. Which members it has depends on its type; what is not known here is not carried over.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Answer<'a> {
    role: &'static str,
    content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    /// With their signatures, to be sent back in a tool loop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinking_blocks: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    /// JSON in a string.
    arguments: &'a str,
}

pub(super) fn decode(reply: &WireReply) -> Result<Reply, ProviderError> {
    let text = std::str::from_utf8(&reply.body).map_err(|_| malformed("the reply is not UTF-8"))?;
    let message: Message<'_> =
        raw_json::parse(text).map_err(|_| malformed("the reply is not a message as Anthropic sends it"))?;
    if message.error.is_some() || message.kind.as_ref().is_some_and(|kind| kind.0 == "error") {
        return Err(errors::in_band(text));
    }
    let Some(content) = message.content else { return Err(malformed("the reply has no content")) };
    let answer = answer(&content)?;
    let wire_usage = message.usage.and_then(WireUsage::read);
    let usage = wire_usage.map(WireUsage::canonical);
    let native = message.stop_reason.as_ref().map(|reason| reason.0.as_ref());
    let model = message.model.map(|model| model.0);
    let completion = Completion {
        id: message.id.as_ref().map_or("", |id| &id.0),
        object: "chat.completion",
        created: canonical::created(&reply.headers),
        model: model.as_deref().unwrap_or_default(),
        choices: vec![Choice {
            index: 0,
            message: answer,
            finish_reason: finish_reason(native.unwrap_or("end_turn")),
            native_finish_reason: native,
        }],
        usage: usage.as_ref().map(UsageObject::from),
    };
    let body =
        serde_json::to_vec(&completion).map_err(|_| malformed("the reply cannot be written as JSON"))?;
    Ok(Reply { body: body.into(), model: model.map(Cow::into_owned), usage, headroom: None })
}

fn answer<'a>(content: &[&'a RawValue]) -> Result<Answer<'a>, ProviderError> {
    let mut answer = Answer {
        role: "assistant",
        content: None,
        reasoning_content: None,
        thinking_blocks: Vec::new(),
        tool_calls: Vec::new(),
    };
    for raw in content {
        let block: Block<'a> =
            raw_json::parse(raw.get()).map_err(|_| malformed("a content block has an unknown shape"))?;
        match block.kind.0.as_ref() {
            "text" => join(&mut answer.content, block.text),
            "thinking" => {
                join(&mut answer.reasoning_content, block.thinking);
                answer.thinking_blocks.push(raw);
            }
            "redacted_thinking" => answer.thinking_blocks.push(raw),
            "tool_use" => answer.tool_calls.push(ToolCall {
                id: block.id.ok_or_else(|| malformed("a tool call has no id"))?.0,
                kind: "function",
                function: Function {
                    name: block.name.ok_or_else(|| malformed("a tool call has no name"))?.0,
                    arguments: block.input.map_or("{}", RawValue::get),
                },
            }),
            _ => {} // Anthropic's own tools, which it has already run
        }
    }
    if answer.content.is_none() && answer.tool_calls.is_empty() {
        answer.content = Some("".into());
    }
    Ok(answer)
}

fn join<'a>(whole: &mut Option<Cow<'a, str>>, more: Option<Text<'a>>) {
    if let Some(Text(more)) = more {
        match whole {
            Some(whole) => whole.to_mut().push_str(&more),
            None => *whole = Some(more),
        }
    }
}

/// Returns the canonical reason for Anthropic's. One that is not known yet still ends an answer.
pub(super) fn finish_reason(native: &str) -> &'static str {
    match native {
        "tool_use" => "tool_calls",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::MalformedReply, message)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn decoded(body: &Value) -> Result<Reply, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Thu, 01 Jan 1970 00:01:00 GMT"));
        decode(&WireReply { status: StatusCode::OK, headers, body: body.to_string().into() })
    }

    #[test]
    fn every_block_finds_its_place() {
        let reply = decoded(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "a"},
                {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
                {"type": "text", "text": "\"b\""},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"q": [1]}},
            ],
            "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4},
        }))
        .unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({
                "id": "msg_1", "object": "chat.completion", "created": 60, "model": "claude-x",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "native_finish_reason": "tool_use", "message": {
                    "role": "assistant", "content": "a\"b\"", "reasoning_content": "hm",
                    "thinking_blocks": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "redacted_thinking", "data": "d"},
                    ],
                    "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"q\":[1]}"}}],
                }}],
                "usage": {
                    "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
                    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0},
                },
            })
        );
        assert_eq!(reply.text().as_deref(), Some("a\"b\""));
        assert_eq!(reply.model.as_deref(), Some("claude-x"));
    }

    #[test]
    fn finish_reasons_are_translated_and_the_native_one_is_kept() {
        for (native, expected) in [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("tool_use", "tool_calls"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "content_filter"),
            ("brand_new", "stop"),
        ] {
            let reply = decoded(&json!({"content": [], "stop_reason": native})).unwrap();
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["choices"][0]["finish_reason"], expected);
            assert_eq!(body["choices"][0]["native_finish_reason"], native);
            assert_eq!(body["choices"][0]["message"]["content"], "");
            assert_eq!(reply.usage, None);
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        use ProviderErrorKind::{MalformedReply, Overloaded};
        let kind = |body: Value| decoded(&body).unwrap_err().kind();
        assert_eq!(
            kind(json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}})),
            Overloaded
        );
        assert_eq!(kind(json!({})), MalformedReply);
        assert_eq!(kind(json!([])), MalformedReply);
        assert_eq!(kind(json!({"content": "text"})), MalformedReply);
        assert_eq!(kind(json!({"content": [{"type": "tool_use"}]})), MalformedReply);
    }
}
