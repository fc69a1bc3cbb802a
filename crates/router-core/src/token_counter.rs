//! The port to whoever counts tokens before a call.

use std::fmt;

use crate::{ChatRequest, EmbeddingRequest};

/// Estimates how many tokens a prompt has, before any provider has counted them.
///
/// Limits, cost-based routing and pre-call checks go by it; what a provider reports afterwards takes its place.
pub trait TokenCounter: fmt::Debug + Send + Sync {
    /// Returns the estimated tokens of everything the model will read: messages and tools.
    fn count(&self, request: &ChatRequest) -> u64;

    /// Returns the estimated tokens of all texts to embed. By default four bytes make a token.
    fn count_embedding(&self, request: &EmbeddingRequest) -> u64 {
        let tokens = request.field("input").map_or(0, estimate);
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

/// Four bytes of JSON make a token: the rule of thumb OpenAI gives for English text, which counts the JSON around it as a margin. A
/// base64 image or file counts as a fixed number instead of by its length.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByteEstimate;

const BYTES_PER_TOKEN: usize = 4;

/// What an attached image costs at the providers that bill by tile or patch: roughly a thousand tokens.
const TOKENS_PER_ATTACHMENT: usize = 1_000;

impl TokenCounter for ByteEstimate {
    fn count(&self, request: &ChatRequest) -> u64 {
        let tokens: usize =
            ["messages", "tools"].into_iter().filter_map(|name| request.field(name)).map(estimate).sum();
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

/// One search through the bytes; nothing is parsed or copied.
fn estimate(json: &str) -> usize {
    let mut parts = json.split(";base64,");
    let text = parts.next().map_or(0, str::len);
    let (bytes, attachments) = parts.fold((text, 0), |(bytes, attachments), part| {
        let payload = part.find('"').unwrap_or(part.len());
        (bytes + part.len() - payload, attachments + 1)
    });
    bytes / BYTES_PER_TOKEN + attachments * TOKENS_PER_ATTACHMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_counts_by_its_length_and_an_image_by_a_fixed_number() {
        let request = |content: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
            ChatRequest::from_json(body).unwrap()
        };
        let words = serde_json::to_string(&"word ".repeat(4_000)).unwrap();
        let count = ByteEstimate.count(&request(&words));
        assert!((5_000..5_020).contains(&count), "{count}");
        let image = format!(
            r#"[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]"#,
            "A".repeat(400_000)
        );
        let count = ByteEstimate.count(&request(&image));
        assert!((1_000..1_100).contains(&count), "{count}");
    }
}
