//! Anthropic messages.

use serde_json::{Map, Value, json};

use super::{CONTEXT_WINDOW, Refusal, Wire, quoted};
use crate::{
    answer::{Answer, Content, Finish, Piece},
    behaviour::Usage,
};

/// The format of `POST /v1/messages`.
pub(crate) struct Anthropic;

impl Wire for Anthropic {
    fn request_id_header(&self) -> &'static str {
        "request-id"
    }

    fn requires_max_tokens(&self) -> bool {
        true
    }

    fn refusal(&self, refusal: &Refusal, request_id: &str) -> (u16, String) {
        let (status, message) = match refusal {
            Refusal::Status { code, message: Some(message) } => (*code, message.clone()),
            Refusal::Status { code, message: None } => (*code, usual_message(*code).to_owned()),
            Refusal::BadJson(error) => (400, format!("the request body is not valid: {error}")),
            Refusal::Missing(field) => (400, format!("{field}: Field required")),
            Refusal::NoMessages => (400, "messages: at least one message is required".to_owned()),
            Refusal::ContextWindow { prompt_tokens } => {
                (400, format!("prompt is too long: {prompt_tokens} tokens > {CONTEXT_WINDOW} maximum"))
            }
            Refusal::ContentFilter => (400, "Output blocked by content filtering policy".to_owned()),
            Refusal::InsufficientQuota => {
                (400, "Your credit balance is too low to access the Anthropic API.".to_owned())
            }
        };
        let error = json!({ "type": error_type(status), "message": message });
        (status, json!({ "type": "error", "error": error, "request_id": request_id }).to_string())
    }

    fn reply(&self, answer: &Answer) -> String {
        let block = match &answer.content {
            Content::Text(text) => format!(r#"{{"type":"text","text":{}}}"#, quoted(text)),
            Content::ToolCall { name, arguments } => {
                let input: Map<String, Value> = serde_json::from_str(arguments).unwrap_or_default();
                tool_use(answer, name, &Value::Object(input).to_string())
            }
        };
        let usage = &answer.usage;
        message(
            answer,
            &block,
            &quoted(stop_reason(answer.finish)),
            &full_usage(usage, usage.completion_tokens),
        )
    }

    fn preamble(&self, answer: &Answer) -> String {
        let message = message(answer, "", "null", &full_usage(&answer.usage, 1));
        let start = event("message_start", &format!(r#","message":{message}"#));
        match answer.content {
            Content::Text(_) => start + &block_start(r#"{"type":"text","text":""}"#) + PING,
            // The block of a tool call has the tool's name, which is content.
            Content::ToolCall { .. } => start,
        }
    }

    fn chunk(&self, answer: &Answer, piece: &Piece<'_>) -> String {
        match piece {
            Piece::Text(text) => block_delta(&format!(r#"{{"type":"text_delta","text":{}}}"#, quoted(text))),
            Piece::Call(name) => block_start(&tool_use(answer, name, "{}")) + PING + &arguments_delta(""),
            Piece::Arguments(text) => arguments_delta(text),
        }
    }

    fn broken_chunk(&self, _answer: &Answer) -> String {
        let data = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","te"#;
        format!("event: content_block_delta\ndata: {data}\n\n")
    }

    fn error_event(&self, error_body: &str) -> String {
        format!("event: error\ndata: {error_body}\n\n")
    }

    fn finish(&self, answer: &Answer) -> String {
        let delta = format!(r#"{{"stop_reason":"{}","stop_sequence":null}}"#, stop_reason(answer.finish));
        let usage = format!("{{{}}}", token_counts(&answer.usage, answer.usage.completion_tokens));
        event("content_block_stop", r#","index":0"#)
            + &event("message_delta", &format!(r#","delta":{delta},"usage":{usage}"#))
    }

    fn end_marker(&self) -> &'static str {
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
    }

    fn models(&self) -> String {
        let id = "simulated";
        let model = json!({ "type": "model", "id": id, "display_name": "Simulated", "created_at": "1970-01-01T00:00:00Z" });
        json!({ "data": [model], "has_more": false, "first_id": id, "last_id": id }).to_string()
    }
}

const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn usual_message(status: u16) -> &'static str {
    match status {
        401 => "invalid x-api-key",
        402 => "There is a problem with the billing of this account",
        403 => "This key may not use the requested resource",
        404 => "model: not found",
        408 | 504 => "The request timed out",
        413 => "Request exceeds the maximum size",
        429 => "This request would exceed the rate limit of this account",
        529 => "Overloaded",
        500.. => "Internal server error",
        _ => "The request is invalid",
    }
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}

fn message(answer: &Answer, content: &str, stop_reason: &str, usage: &str) -> String {
    format!(
        r#"{{"model":{},"id":"{}","type":"message","role":"assistant","content":[{content}],"stop_reason":{stop_reason},"stop_sequence":null,"usage":{usage}}}"#,
        quoted(&answer.model),
        answer.id("msg_01", 22),
    )
}

fn tool_use(answer: &Answer, name: &str, input: &str) -> String {
    format!(
        r#"{{"type":"tool_use","id":"{}","name":{},"input":{input}}}"#,
        answer.id("toolu_01", 22),
        quoted(name)
    )
}

/// The token counts that every report has. Here, unlike elsewhere, input excludes what passed through caches.
fn token_counts(usage: &Usage, output_tokens: u64) -> String {
    let written = usage.cache_write_tokens();
    let input = usage.prompt_tokens.saturating_sub(usage.cached_tokens).saturating_sub(written);
    let read = usage.cached_tokens;
    let thinking = match usage.reasoning_tokens {
        0 => String::new(),
        tokens => format!(r#","output_tokens_details":{{"thinking_tokens":{tokens}}}"#),
    };
    format!(
        r#""input_tokens":{input},"cache_creation_input_tokens":{written},"cache_read_input_tokens":{read},"output_tokens":{output_tokens}{thinking}"#
    )
}

fn full_usage(usage: &Usage, output_tokens: u64) -> String {
    format!(
        r#"{{{},"cache_creation":{{"ephemeral_5m_input_tokens":{},"ephemeral_1h_input_tokens":{}}},"service_tier":"standard"}}"#,
        token_counts(usage, output_tokens),
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
    )
}

fn block_start(block: &str) -> String {
    event("content_block_start", &format!(r#","index":0,"content_block":{block}"#))
}

fn block_delta(delta: &str) -> String {
    event("content_block_delta", &format!(r#","index":0,"delta":{delta}"#))
}

fn arguments_delta(text: &str) -> String {
    block_delta(&format!(r#"{{"type":"input_json_delta","partial_json":{}}}"#, quoted(text)))
}

fn event(kind: &str, fields: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{fields}}}\n\n")
}
