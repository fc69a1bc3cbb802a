//! From Converse's answer to a canonical reply.

use std::borrow::Cow;

use http::HeaderMap;
use router_core::{ProviderError, ProviderErrorKind, Reply};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{errors, usage};
use crate::canonical::{self, Choice, Completion, UsageObject};
use crate::protocol::WireReply;
use crate::raw_json::{self, Strict, Text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    output: Option<Strict<Output<'a>>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// An error that came under status 200 has nothing else.
    #[serde(borrow, rename = "__type")]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Strict<Message<'a>>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<Strict<Block<'a>>>>,
}

/// A block of content. What is not known here is not carried over: tools that Bedrock runs itself, and their results.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    tool_use: Option<Strict<ToolUse<'a>>>,
    #[serde(borrow)]
    reasoning_content: Option<Strict<ReasoningContent<'a>>>,
    #[serde(borrow)]
    citations_content: Option<Strict<CitationsContent<'a>>>,
}

/// A call of a tool, whole or, in a stream, its beginning.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    #[serde(borrow)]
    pub(super) tool_use_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
}

impl ToolUse<'_> {
    /// Returns whether Bedrock runs the tool itself.
    pub(super) fn is_servers(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| kind.0 == "server_tool_use")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent<'a> {
    #[serde(borrow)]
    reasoning_text: Option<Strict<ReasoningText<'a>>>,
    #[serde(borrow)]
    redacted_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ReasoningText<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct CitationsContent<'a> {
    #[serde(borrow)]
    content: Option<Vec<Strict<CitedText<'a>>>>,
}

#[derive(Deserialize)]
struct CitedText<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    role: &'static str,
    content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    /// With their signatures, to be sent back in a tool loop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinking_blocks: Vec<ThinkingBlock<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

/// Reasoning as Anthropic writes it, whose models are the ones that sign theirs.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ThinkingBlock<'a> {
    Thinking { thinking: Cow<'a, str>, signature: Cow<'a, str> },
    RedactedThinking { data: &'a RawValue },
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

/// Returns the id of a request, which is all the id that its answer has.
pub(super) fn id(headers: &HeaderMap) -> &str {
    headers.get("x-amzn-requestid").and_then(|id| id.to_str().ok()).unwrap_or_default()
}

pub(super) fn decode(model: &str, reply: &WireReply) -> Result<Reply, ProviderError> {
    let text = std::str::from_utf8(&reply.body).map_err(|_| malformed("the reply is not UTF-8"))?;
    let response: Response<'_> =
        raw_json::parse(text).map_err(|_| malformed("the reply is not what Converse sends"))?;
    if response.error.is_some() {
        return Err(errors::decode(reply));
    }
    let message = response.output.and_then(|Strict(output)| output.message);
    let content = message.and_then(|Strict(message)| message.content);
    let answer = answer(content.ok_or_else(|| malformed("the reply has no content"))?)?;
    let usage = response.usage.and_then(usage::read);
    let native = response.stop_reason.as_ref().map(|reason| reason.0.as_ref());
    let has_content = answer.content.is_some() || !answer.tool_calls.is_empty();
    let finish_reason = finish_reason(native.unwrap_or("end_turn"), has_content)?;
    let answer = match &answer {
        Answer { content: None, tool_calls, .. } if tool_calls.is_empty() => {
            Answer { content: Some("".into()), ..answer }
        }
        _ => answer,
    };
    let completion = Completion {
        id: id(&reply.headers),
        object: "chat.completion",
        created: canonical::created(&reply.headers),
        model,
        choices: vec![Choice { index: 0, message: answer, finish_reason, native_finish_reason: native }],
        usage: usage.as_ref().map(UsageObject::from),
    };
    let body =
        serde_json::to_vec(&completion).map_err(|_| malformed("the reply cannot be written as JSON"))?;
    Ok(Reply { body: body.into(), model: Some(model.to_owned()), usage, headroom: None })
}

fn answer(content: Vec<Strict<Block<'_>>>) -> Result<Answer<'_>, ProviderError> {
    let mut answer = Answer {
        role: "assistant",
        content: None,
        reasoning_content: None,
        thinking_blocks: Vec::new(),
        tool_calls: Vec::new(),
    };
    for Strict(block) in content {
        join(&mut answer.content, block.text);
        for Strict(cited) in
            block.citations_content.and_then(|Strict(cited)| cited.content).into_iter().flatten()
        {
            join(&mut answer.content, cited.text);
        }
        if let Some(Strict(call)) = block.tool_use.filter(|call| !call.0.is_servers()) {
            answer.tool_calls.push(ToolCall {
                id: call.tool_use_id.ok_or_else(|| malformed("a tool call has no id"))?.0,
                kind: "function",
                function: Function {
                    name: call.name.ok_or_else(|| malformed("a tool call has no name"))?.0,
                    arguments: call.input.map_or("{}", RawValue::get),
                },
            });
        }
        let Some(Strict(reasoning)) = block.reasoning_content else { continue };
        if let Some(data) = reasoning.redacted_content {
            answer.thinking_blocks.push(ThinkingBlock::RedactedThinking { data });
        }
        if let Some(Strict(ReasoningText { text: Some(Text(text)), signature })) = reasoning.reasoning_text {
            if let Some(Text(signature)) = signature.filter(|signature| !signature.0.is_empty()) {
                answer.thinking_blocks.push(ThinkingBlock::Thinking { thinking: text.clone(), signature });
            }
            join(&mut answer.reasoning_content, Some(Text(text)));
        }
    }
    Ok(answer)
}

fn join<'a>(whole: &mut Option<Cow<'a, str>>, more: Option<Text<'a>>) {
    let Some(Text(more)) = more.filter(|more| !more.0.is_empty()) else { return };
    match whole {
        Some(whole) => whole.to_mut().push_str(&more),
        None => *whole = Some(more),
    }
}

/// Returns the canonical reason for Bedrock's; one that is not known yet still ends an answer. An empty answer in place of
/// something that the model could not write is no answer, and asking again usually helps.
pub(super) fn finish_reason(native: &str, has_content: bool) -> Result<&'static str, ProviderError> {
    Ok(match native {
        "tool_use" => "tool_calls",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        "malformed_model_output" | "malformed_tool_use" if !has_content => {
            return Err(malformed("the model gave up without an answer").with_code(native));
        }
        _ => "stop",
    })
}

pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::MalformedReply, message)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn decoded(body: &Value) -> Result<Reply, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-requestid", HeaderValue::from_static("r-1"));
        decode("amazon.nova", &WireReply { status: StatusCode::OK, headers, body: body.to_string().into() })
    }

    fn saying(content: Value, reason: &str) -> Value {
        json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason,
            "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}})
    }

    #[test]
    fn every_block_finds_its_place() {
        let reply = decoded(&saying(
            json!([
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"reasoningText": {"text": "unsigned"}}},
                {"reasoningContent": {"redactedContent": "AAAA"}},
                {"text": "a"},
                {"toolUse": {"toolUseId": "x", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
                {"toolResult": {"toolUseId": "x", "content": []}},
                {"citationsContent": {"content": [{"text": "\"b\""}], "citations": [{"title": "t"}]}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"q": [1]}}},
            ]),
            "tool_use",
        ))
        .unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({
                "id": "r-1", "object": "chat.completion", "created": 0, "model": "amazon.nova",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "native_finish_reason": "tool_use", "message": {
                    "role": "assistant", "content": "a\"b\"", "reasoning_content": "hmunsigned",
                    "thinking_blocks": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "redacted_thinking", "data": "AAAA"},
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
    }

    #[test]
    fn finish_reasons_are_translated_and_the_native_one_is_kept() {
        for (native, expected) in [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("tool_use", "tool_calls"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("guardrail_intervened", "content_filter"),
            ("content_filtered", "content_filter"),
            ("brand_new", "stop"),
        ] {
            let reply = decoded(&saying(json!([]), native)).unwrap();
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["choices"][0]["finish_reason"], expected);
            assert_eq!(body["choices"][0]["native_finish_reason"], native);
            assert_eq!(body["choices"][0]["message"]["content"], "");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        use ProviderErrorKind::{MalformedReply, RateLimited};
        let kind = |body: Value| decoded(&body).unwrap_err().kind();
        assert_eq!(kind(json!({"__type": "x#ThrottlingException", "message": "m"})), RateLimited);
        assert_eq!(kind(saying(json!([]), "malformed_tool_use")), MalformedReply);
        assert_eq!(kind(saying(json!([{"toolUse": {}}]), "tool_use")), MalformedReply);
        for body in
            [json!({}), json!([]), json!({"output": {"message": {"content": 7}}}), json!({"output": {}})]
        {
            assert_eq!(kind(body), MalformedReply);
        }
    }
}
