//! Writes replies and chunks in the canonical shape, for formats that have another.

use bytes::Bytes;
use http::{HeaderMap, header};
use router_core::{Chunk, ChunkKind, Usage};
use serde::Serialize;

/// Returns when a reply was made, in seconds since 1970, by its own `date` header; 0 when it has none.
pub(crate) fn created(headers: &HeaderMap) -> u64 {
    headers
        .get(header::DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_secs())
}

/// A `chat.completion`.
#[derive(Serialize)]
pub(crate) struct Completion<'a, C> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) choices: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<UsageObject>,
}

/// The choice of a completion. The provider's own reason stands beside ours, which knows fewer.
#[derive(Serialize)]
pub(crate) struct Choice<'a, M> {
    pub(crate) index: usize,
    pub(crate) message: M,
    pub(crate) finish_reason: &'static str,
    pub(crate) native_finish_reason: Option<&'a str>,
}

/// Usage as OpenAI writes it.
#[derive(Serialize)]
pub(crate) struct UsageObject {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<&Usage> for UsageObject {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.total(),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cached_read,
                cache_write_tokens: usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.reasoning },
        }
    }
}

/// Writes the chunks of one stream, which all begin alike. Each is one allocation.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    head: String,
}

impl ChunkWriter {
    pub(crate) fn new(id: &str, created: u64, model: &str) -> Self {
        let head = serde_json::json!({"id": id, "object": "chat.completion.chunk", "created": created, "model": model});
        let mut head = head.to_string();
        head.pop(); // the brace, which `choices` comes before
        Self { head }
    }

    /// Returns a chunk whose delta is these pieces of JSON, put together.
    pub(crate) fn delta(&self, kind: ChunkKind, delta: &[&str]) -> Chunk {
        self.choice_delta(0, kind, delta, "")
    }

    /// Returns such a chunk for one of several choices; `rest` is what stands beside its delta, each member with a comma before it.
    pub(crate) fn choice_delta(&self, index: usize, kind: ChunkKind, delta: &[&str], rest: &str) -> Chunk {
        let length = self.head.len() + 80 + rest.len() + delta.iter().map(|piece| piece.len()).sum::<usize>();
        let mut data = String::with_capacity(length);
        data.push_str(&self.head);
        data.push_str(r#","choices":[{"index":"#);
        data.push_str(&index.to_string());
        data.push_str(r#","delta":"#);
        data.extend(delta.iter().copied());
        data.push_str(rest);
        data.push_str(r#","finish_reason":null}]}"#);
        Chunk { data: data.into(), kind, usage: None }
    }

    /// Returns the chunk that ends the answer.
    pub(crate) fn finish(&self, reason: &str, native: Option<&str>) -> Chunk {
        self.choice_finish(0, reason, native)
    }

    /// Returns the chunk that ends one of several choices.
    pub(crate) fn choice_finish(&self, index: usize, reason: &str, native: Option<&str>) -> Chunk {
        let choice = serde_json::json!([
            {"index": index, "delta": {}, "finish_reason": reason, "native_finish_reason": native}
        ]);
        Chunk { data: self.with(&choice.to_string(), ""), kind: ChunkKind::Finish, usage: None }
    }

    /// Returns the chunk with the usage.
    pub(crate) fn usage(&self, usage: Usage) -> Chunk {
        let object = serde_json::to_string(&UsageObject::from(&usage)).unwrap_or_default();
        let data = self.with("[]", &format!(r#","usage":{object}"#));
        Chunk { data, kind: ChunkKind::Usage, usage: Some(usage) }
    }

    fn with(&self, choices: &str, rest: &str) -> Bytes {
        [&self.head, r#","choices":"#, choices, rest, "}"].concat().into()
    }
}
