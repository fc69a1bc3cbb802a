//! From a canonical request to Mistral's, which answers 422 to a field it does not know.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `messages` | as they came, but for what Mistral would refuse, see [`messages`] |
//! | `max_completion_tokens` | `max_tokens` |
//! | `seed` | `random_seed` |
//! | `tool_choice` `required` | `any` |
//! | `stream_options` | dropped: the usage always comes |
//! | `user`, `store`, `service_tier`, `verbosity`, … | dropped: hints, or OpenAI's own bookkeeping |
//! | `logprobs`, `logit_bias`, `audio`, … | refused, unless they ask for what happens anyway |
//!
//! What is in no list of OpenAI's passes through, for it is Mistral's own: `safe_prompt`, `prompt_mode`, `random_seed`.

use bytes::Bytes;
use router_core::{ChatRequest, Edit, ProviderError};
use serde_json::value::RawValue;

use super::messages;
use crate::protocol::{Mode, Target};
use crate::unsupported::{is_neutral, unsupported};

/// Dropped: nothing of the answer depends on them.
const HINTS: [&str; 9] = [
    "user",
    "store",
    "service_tier",
    "safety_identifier",
    "verbosity",
    "prompt_cache_options",
    "prompt_cache_retention",
    "stream_options",
    "moderation",
];

/// Refused, unless they change nothing; then dropped.
const LACKS: [&str; 8] = [
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "modalities",
    "audio",
    "functions",
    "function_call",
    "web_search_options",
];

pub(super) fn encode(target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
    let mut edits: Vec<(&str, Edit<'_>)> = vec![("model", Edit::Set(&target.model_json))];
    edits.extend(HINTS.map(|name| (name, Edit::Remove)));
    for name in LACKS {
        let value = request.field(name).and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
        if value.is_some_and(|value| !is_neutral(name, value)) {
            return Err(unsupported(&format!("`{name}`"), "Mistral"));
        }
        edits.push((name, Edit::Remove));
    }
    for (theirs, ours) in [("max_tokens", "max_completion_tokens"), ("random_seed", "seed")] {
        if let Some(value) = request.field(ours) {
            edits.push((ours, Edit::Remove));
            if request.field(theirs).is_none() {
                edits.push((theirs, Edit::Set(value)));
            }
        }
    }
    if request.field("tool_choice") == Some("\"required\"") {
        edits.push(("tool_choice", Edit::Set("\"any\"")));
    }
    let messages = messages::rewritten(request.field("messages").unwrap_or("[]"))?;
    if let Some(messages) = &messages {
        edits.push(("messages", Edit::Set(messages)));
    }
    edits.push(("stream", if mode == Mode::Stream { Edit::Set("true") } else { Edit::Remove }));
    Ok(request.body_with(&edits))
}

#[cfg(test)]
mod tests {
    use router_core::ProviderErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn sent(mut body: Value) -> Result<Value, ProviderError> {
        body["model"] = json!("alias");
        let request = ChatRequest::from_json(body.to_string()).unwrap();
        let sent = encode(&Target::new("mistral-small"), &request, Mode::Whole)?;
        Ok(serde_json::from_slice(&sent).unwrap())
    }

    fn check(body: Value, expected: Value) {
        let mut expected = expected;
        expected["model"] = json!("mistral-small");
        assert_eq!(sent(body).unwrap(), expected);
    }

    #[test]
    fn fields_have_mistrals_names() {
        let hi = json!([{"role": "user", "content": "hi"}]);
        check(
            json!({"messages": hi, "max_completion_tokens": 5, "seed": 7, "user": "u", "n": 2, "stream": true,
                "stream_options": {"include_usage": true}, "logprobs": false, "tool_choice": "required", "safe_prompt": true}),
            json!({"messages": hi, "max_tokens": 5, "random_seed": 7, "n": 2, "tool_choice": "any", "safe_prompt": true}),
        );
        let error = sent(json!({"messages": hi, "logit_bias": {"1": 2}})).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
        assert_eq!(error.message(), "`logit_bias` is not supported by Mistral");
    }

    #[test]
    fn messages_are_left_as_they_are_where_nothing_is_wrong_with_them() {
        let body = r#"{"messages": [ {"role":"user","content":"hi" } ],"model":"alias","temperature":1e-1}"#;
        let request = ChatRequest::from_json(body).unwrap();
        let sent = encode(&Target::new("m"), &request, Mode::Whole).unwrap();
        assert_eq!(
            sent,
            r#"{"messages":[ {"role":"user","content":"hi" } ],"model":"m","temperature":1e-1}"#
        );
    }

    #[test]
    fn a_history_from_elsewhere_is_made_fit() {
        check(
            json!({"messages": [
                {"role": "developer", "content": "brief"},
                {"role": "user", "name": "ann", "content": [
                    {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"}},
                    {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
                ]},
                {"role": "assistant", "content": null, "refusal": null, "annotations": [], "reasoning_content": "hm",
                    "tool_calls": [{"id": "call_abc", "type": "function", "index": 0,
                        "function": {"name": "f", "arguments": "{}"}, "extra_content": {"x": 1}}]},
                {"role": "tool", "tool_call_id": "call_abc", "name": "f", "content": "42"},
                {"role": "assistant", "content": ""},
                {"role": "assistant", "content": "It is"},
            ]}),
            json!({"messages": [
                {"role": "system", "content": "brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
                    {"type": "document_url", "document_url": "data:application/pdf;base64,QQ==", "document_name": "a.pdf"},
                    {"type": "input_audio", "input_audio": "QQ=="},
                ]},
                {"role": "assistant", "content": null,
                    "tool_calls": [{"id": "WFH8yRA8u", "type": "function", "index": 0,
                        "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "WFH8yRA8u", "name": "f", "content": "42"},
                {"role": "assistant", "content": "It is", "prefix": true},
            ]}),
        );
    }
}
