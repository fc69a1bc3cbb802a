//! What must hold for any bytes: they are read or refused, in the same way wherever they are cut, and never panic.
//!
//! The fuzzer runs this over inputs it invents, and the test `fuzz_corpus` over those that were worth keeping.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use router_providers::WireFormat;
use serde_json::value::RawValue;

/// One model string for each format.
const FORMATS: [(&str, &str); 6] = [
    ("openai", "openai/gpt-4o"),
    ("anthropic", "anthropic/claude-sonnet-4-5"),
    ("gemini", "gemini/gemini-2.5-flash"),
    ("mistral", "mistral/mistral-small"),
    ("cohere", "cohere/command-a"),
    ("bedrock", "bedrock/anthropic.claude-3-haiku-20240307-v1:0"),
];

/// One thing to fuzz.
pub(crate) struct FuzzTarget {
    name: String,
    format: WireFormat,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    Stream,
    Reply,
    Error,
}

impl FuzzTarget {
    /// Every target. A format that is not compiled in has none.
    pub(crate) fn all() -> Vec<Self> {
        let parts = [("stream", Part::Stream), ("reply", Part::Reply), ("error", Part::Error)];
        let formats = FORMATS.iter().filter_map(|(name, model)| Some((*name, WireFormat::of(model).ok()?)));
        formats
            .flat_map(|(format_name, format)| {
                parts.map(|(part_name, part)| Self {
                    name: format!("{format_name}-{part_name}"),
                    format: format.clone(),
                    part,
                })
            })
            .collect()
    }

    /// Its name: that of the format and of what is read.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs it on one input, whose first bytes say how to cut the rest and which status it came with.
    pub(crate) fn run(&self, data: &[u8]) {
        let Some((how, bytes)) = data.split_first_chunk::<2>() else { return };
        let how = usize::from(u16::from_le_bytes(*how));
        let bytes = Bytes::copy_from_slice(bytes);
        let headers = HeaderMap::new();
        match self.part {
            Part::Stream => {
                let (chunks, result) = self.format.decode_stream(&headers, [bytes.clone()]);
                for chunk in &chunks {
                    assert!(is_object(&chunk.data), "a chunk is a JSON object");
                }
                assert!(result.is_err() || !chunks.is_empty(), "nothing passed for an answer");
                let at = how % (bytes.len() + 1);
                let (again, second) =
                    self.format.decode_stream(&headers, [bytes.slice(..at), bytes.slice(at..)]);
                assert_eq!(chunks.len(), again.len());
                assert_eq!(result.map_err(|error| error.kind()), second.map_err(|error| error.kind()));
            }
            Part::Reply => {
                if let Ok(reply) = self.format.decode(headers, bytes) {
                    assert!(is_object(&reply.body), "a reply is a JSON object");
                }
            }
            Part::Error => {
                let code = u16::try_from(300 + how % 300).unwrap_or(500);
                let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
                let error = self.format.decode_error(status, headers, bytes);
                assert_eq!(error.status(), Some(status));
            }
        }
    }
}

/// By JSON's grammar, which knows numbers that fit nowhere: a provider's own bytes pass through with them.
fn is_object(json: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(json).is_ok_and(|value| value.get().starts_with('{'))
}
