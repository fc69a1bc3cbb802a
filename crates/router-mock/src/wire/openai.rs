//! OpenAI chat completions.

use serde_json::json;

use super::{CONTEXT_WINDOW, Refusal, Wire, quoted};
use crate::{
    answer::{Answer, Content, Finish, Piece},
    behaviour::Usage,
};

/// The format of `POST /v1/chat/completions`.
pub(crate) struct OpenAi;

impl Wire for OpenAi {
    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn requires_max_tokens(&self) -> bool {
        false
    }

    fn refusal(&self, refusal: &Refusal, _request_id: &str) -> (u16, String) {
        let bad = |message: &str, param, code| (400, message.to_owned(), INVALID, param, code);
        let (status, message, kind, param, code) = match refusal {
            Refusal::Status { code: status, message } => {
                let (kind, code, usual) = usual_error(*status);
                let message = message.as_deref().unwrap_or(usual);
                (*status, message.to_owned(), kind, None, code)
            }
            Refusal::BadJson(error) => bad(&format!("could not read the JSON body: {error}"), None, None),
            Refusal::Missing("model") => bad("you must provide a model parameter", None, None),
            Refusal::Missing(field) => {
                let message = format!("Missing required parameter: '{field}'.");
                bad(&message, Some(*field), Some("missing_required_parameter"))
            }
            Refusal::NoMessages => {
                let message = "Invalid 'messages': expected at least one message.";
                bad(message, Some("messages"), Some("empty_array"))
            }
            Refusal::ContextWindow { prompt_tokens: tokens } => {
                let message = format!(
                    "This model's maximum context length is {CONTEXT_WINDOW} tokens, but the messages have {tokens}."
                );
                bad(&message, Some("messages"), Some("context_length_exceeded"))
            }
            Refusal::ContentFilter => {
                let message = "The prompt was stopped by the content management policy.";
                bad(message, Some("prompt"), Some("content_filter"))
            }
            Refusal::InsufficientQuota => {
                let (kind, message) =
                    ("insufficient_quota", "You exceeded your current quota; check your plan.");
                (429, message.to_owned(), kind, None, Some(kind))
            }
        };
        let body = json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
        (status, body.to_string())
    }

    fn reply(&self, answer: &Answer) -> String {
        let message = match &answer.content {
            Content::Text(text) => format!(r#""content":{},"refusal":null,"annotations":[]"#, quoted(text)),
            Content::ToolCall { name, arguments } => format!(
                r#""content":null,"tool_calls":[{{"id":"{}","type":"function","function":{{"name":{},"arguments":{}}}}}],"refusal":null,"annotations":[]"#,
                call_id(answer),
                quoted(name),
                quoted(arguments),
            ),
        };
        format!(
            r#"{{"id":"{}","object":"chat.completion","created":{},"model":{},"choices":[{{"index":0,"message":{{"role":"assistant",{message}}},"logprobs":null,"finish_reason":"{}"}}],"usage":{},"service_tier":"default","system_fingerprint":null}}"#,
            completion_id(answer),
            answer.created,
            quoted(&answer.model),
            finish_reason(answer.finish),
            usage(&answer.usage),
        )
    }

    fn preamble(&self, answer: &Answer) -> String {
        match answer.content {
            Content::Text(_) => delta(answer, r#""role":"assistant","content":"","refusal":null"#),
            Content::ToolCall { .. } => delta(answer, r#""role":"assistant","content":null,"refusal":null"#),
        }
    }

    fn chunk(&self, answer: &Answer, piece: &Piece<'_>) -> String {
        let content = match piece {
            Piece::Text(text) => format!(r#""content":{}"#, quoted(text)),
            Piece::Call(name) => format!(
                r#""tool_calls":[{{"index":0,"id":"{}","type":"function","function":{{"name":{},"arguments":""}}}}]"#,
                call_id(answer),
                quoted(name),
            ),
            Piece::Arguments(text) => {
                format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":{}}}}}]"#, quoted(text))
            }
        };
        delta(answer, &content)
    }

    fn broken_chunk(&self, answer: &Answer) -> String {
        let id = completion_id(answer);
        event(&format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":""#
        ))
    }

    fn error_event(&self, error_body: &str) -> String {
        event(error_body)
    }

    fn finish(&self, answer: &Answer) -> String {
        let choices = format!(
            r#"{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"{}"}}"#,
            finish_reason(answer.finish)
        );
        let mut events = chunk(answer, &choices, "null");
        if answer.include_usage {
            events.push_str(&chunk(answer, "", &usage(&answer.usage)));
        }
        events
    }

    fn end_marker(&self) -> &'static str {
        "data: [DONE]\n\n"
    }

    fn models(&self) -> String {
        let model = json!({ "id": "simulated", "object": "model", "created": 0, "owned_by": "router-mock" });
        json!({ "object": "list", "data": [model] }).to_string()
    }
}

const INVALID: &str = "invalid_request_error";

/// The type, code and message that go with a status.
fn usual_error(status: u16) -> (&'static str, Option<&'static str>, &'static str) {
    match status {
        401 => (INVALID, Some("invalid_api_key"), "Incorrect API key provided."),
        403 => ("permission_error", Some("permission_denied"), "The project may not use this model."),
        404 => (INVALID, Some("model_not_found"), "The model does not exist, or you have no access to it."),
        413 => (INVALID, Some("request_too_large"), "The request body is too large."),
        408 => ("timeout", Some("request_timeout"), "The request timed out."),
        429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests per minute."),
        502 => ("server_error", Some("bad_gateway"), "Bad gateway."),
        503 => ("server_error", Some("overloaded"), "The engine is overloaded, try again later."),
        504 => ("server_error", Some("gateway_timeout"), "Gateway timeout."),
        500.. => ("server_error", None, "The server had an error while processing the request."),
        _ => (INVALID, None, "The request is invalid."),
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

fn usage(usage: &Usage) -> String {
    let total = usage.prompt_tokens.saturating_add(usage.completion_tokens);
    // Only models that charge for cache writes report them.
    let written = match usage.cache_write_tokens() {
        0 => String::new(),
        tokens => format!(r#","cache_write_tokens":{tokens}"#),
    };
    format!(
        r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":0{written}}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens,
    )
}

/// An event whose one choice has this delta.
fn delta(answer: &Answer, delta: &str) -> String {
    let choice = format!(r#"{{"index":0,"delta":{{{delta}}},"logprobs":null,"finish_reason":null}}"#);
    chunk(answer, &choice, "null")
}

fn chunk(answer: &Answer, choices: &str, usage: &str) -> String {
    let usage = if answer.include_usage { format!(r#","usage":{usage}"#) } else { String::new() };
    event(&format!(
        r#"{{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":null,"choices":[{choices}]{usage}}}"#,
        completion_id(answer),
        answer.created,
        quoted(&answer.model),
    ))
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

fn completion_id(answer: &Answer) -> String {
    answer.id("chatcmpl-", 29)
}

fn call_id(answer: &Answer) -> String {
    answer.id("call_", 24)
}
