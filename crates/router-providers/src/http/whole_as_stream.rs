//! A whole reply, cut into the chunks it would have come in: for hosts that do not stream.

use router_core::{Chunk, ChunkKind, ProviderError, ProviderErrorKind, Reply};
use serde_json::{Map, Value, json};

/// Returns the chunks of a canonical reply: for each choice its message and its end, and then the usage.
pub(super) fn chunks(reply: &Reply) -> Result<Vec<Chunk>, ProviderError> {
    let not_a_reply = || {
        ProviderError::new(
            ProviderErrorKind::MalformedReply,
            "expected a stream, got a reply of unknown shape",
        )
    };
    let mut reply_body: Map<String, Value> =
        serde_json::from_slice(&reply.body).map_err(|_| not_a_reply())?;
    let Some(Value::Array(choices)) = reply_body.remove("choices") else { return Err(not_a_reply()) };
    let usage = reply_body.remove("usage").filter(|usage| !usage.is_null());
    reply_body.insert("object".to_owned(), "chat.completion.chunk".into());
    let chunk = |kind, choices: Value, usage: Option<Value>| {
        let mut body = reply_body.clone();
        body.insert("choices".to_owned(), choices);
        if let Some(usage) = usage {
            body.insert("usage".to_owned(), usage);
        }
        Chunk { data: Value::Object(body).to_string().into(), kind, usage: None }
    };
    let mut chunks = Vec::with_capacity(2 * choices.len() + 1);
    for choice in choices {
        let Value::Object(mut choice) = choice else { return Err(not_a_reply()) };
        let Some(Value::Object(mut delta)) = choice.remove("message") else { return Err(not_a_reply()) };
        if let Some(Value::Array(calls)) = delta.get_mut("tool_calls") {
            for (index, call) in calls.iter_mut().enumerate() {
                if let Value::Object(call) = call {
                    call.insert("index".to_owned(), index.into());
                }
            }
        }
        let mut end = choice.clone();
        end.remove("logprobs");
        end.insert("delta".to_owned(), json!({}));
        choice.insert("delta".to_owned(), Value::Object(delta));
        choice.insert("finish_reason".to_owned(), Value::Null);
        chunks.push(chunk(ChunkKind::Content, json!([choice]), None));
        chunks.push(chunk(ChunkKind::Finish, json!([end]), None));
    }
    if usage.is_some() {
        let mut last = chunk(ChunkKind::Usage, json!([]), usage);
        last.usage = reply.usage;
        chunks.push(last);
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use router_core::Usage;

    use super::*;

    #[test]
    fn a_reply_becomes_the_chunks_it_would_have_come_in() {
        let body = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":
            {"role":"assistant","content":"hi","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
            "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let usage = Some(Usage { prompt: 1, completion: 2, ..Usage::default() });
        let chunks = chunks(&Reply { body: body.into(), model: None, usage, headroom: None }).unwrap();
        let kinds: Vec<_> = chunks.iter().map(|chunk| chunk.kind).collect();
        assert_eq!(kinds, [ChunkKind::Content, ChunkKind::Finish, ChunkKind::Usage]);
        let json: Vec<Value> =
            chunks.iter().map(|chunk| serde_json::from_slice(&chunk.data).unwrap()).collect();
        assert_eq!(json[0]["object"], "chat.completion.chunk");
        assert_eq!(json[0]["choices"][0]["delta"]["content"], "hi");
        assert_eq!(json[0]["choices"][0]["delta"]["tool_calls"][0]["index"], 0);
        assert_eq!(json[0]["choices"][0]["finish_reason"], Value::Null);
        assert_eq!(json[1]["choices"][0]["delta"], json!({}));
        assert_eq!(json[1]["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(json[2]["usage"]["completion_tokens"], 2);
        assert_eq!(chunks[2].usage, usage);
    }
}
