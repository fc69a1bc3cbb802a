//! Replies and chunks: OpenAI's, but for reasoning, which Mistral puts into the content as a part of its own.
//!
//! What has no such part passes through as it came. Else the content becomes the text, and the reasoning stands in
//! `reasoning_content`, where most others have it.

use router_core::{Chunk, ProviderError, Reply};
use serde_json::{Map, Value};

use crate::openai::reply;
use crate::protocol::WireReply;

pub(super) fn decode(reply: WireReply) -> Result<Reply, ProviderError> {
    let mut reply = reply::decode(reply)?;
    if let Some(body) = rewritten(&reply.body, "message") {
        reply.body = body.into();
    }
    Ok(reply)
}

/// Writes a chunk anew where it is not canonical.
pub(super) fn make_canonical(chunk: &mut Chunk) {
    if let Some(data) = rewritten(&chunk.data, "delta") {
        chunk.data = data.into();
    }
}

/// Returns a reply's body in the canonical shape; `None` when it has it already.
fn rewritten(body: &[u8], member: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.contains("\"type\"") && !text.contains("model_length") {
        return None;
    }
    let mut body: Value = serde_json::from_str(text).ok()?;
    let mut is_changed = false;
    for choice in body.get_mut("choices")?.as_array_mut()? {
        if let Some(message) = choice.get_mut(member).and_then(Value::as_object_mut) {
            is_changed |= take_apart(message);
        }
        if let Some(reason) = choice.get_mut("finish_reason").filter(|reason| *reason == "model_length") {
            *reason = "length".into();
            is_changed = true;
        }
    }
    is_changed.then(|| body.to_string())
}

/// Takes a content of parts apart into text and reasoning.
fn take_apart(message: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(parts)) = message.get("content") else { return false };
    let (mut text, mut reasoning) = (None::<String>, None::<String>);
    let add = |to: &mut Option<String>, more: &Value| {
        if let Some(more) = more["text"].as_str() {
            to.get_or_insert_default().push_str(more);
        }
    };
    for part in parts {
        match part["type"].as_str() {
            Some("text") => add(&mut text, part),
            Some("thinking") => {
                part["thinking"].as_array().into_iter().flatten().for_each(|part| add(&mut reasoning, part));
            }
            _ => {} // references to documents
        }
    }
    match text {
        Some(text) => message.insert("content".to_owned(), text.into()),
        None => message.remove("content"),
    };
    if let Some(reasoning) = reasoning {
        message.insert("reasoning_content".to_owned(), reasoning.into());
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasoning_is_taken_out_of_the_content() {
        let check = |member: &str, content: Value, expected: Value| {
            let body = json!({"choices": [{"index": 0, member: {"role": "assistant", "content": content}}]});
            let written: Value =
                serde_json::from_str(&rewritten(body.to_string().as_bytes(), member).unwrap()).unwrap();
            assert_eq!(written["choices"][0][member], expected);
        };
        let thought = |text: &str| json!({"type": "thinking", "closed": true, "thinking": [{"type": "text", "text": text}]});
        check(
            "message",
            json!([thought("a"), thought("b"), {"type": "text", "text": "c"}, {"type": "text", "text": "d"}]),
            json!({"role": "assistant", "content": "cd", "reasoning_content": "ab"}),
        );
        check("delta", json!([thought("a")]), json!({"role": "assistant", "reasoning_content": "a"}));
        check("delta", json!([{"type": "text", "text": "b"}]), json!({"role": "assistant", "content": "b"}));
    }

    #[test]
    fn what_is_canonical_already_is_not_touched() {
        for body in [
            r#"{"choices":[{"message":{"content":"x","tool_calls":[{"type":"function"}]}}]}"#,
            r#"{"choices":[{"message":{"content":null}}]}"#,
            r#"{"choices":[]}"#,
        ] {
            assert_eq!(rewritten(body.as_bytes(), "message"), None, "{body}");
        }
    }

    #[test]
    fn a_full_window_is_an_answer_of_full_length() {
        let body = r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"model_length"}]}"#;
        let written = rewritten(body.as_bytes(), "delta").unwrap();
        assert!(written.contains(r#""finish_reason":"length""#), "{written}");
    }
}
