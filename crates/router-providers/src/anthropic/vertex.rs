//! Claude on Google's Vertex AI: Anthropic's format, with the model in the path.

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, NativeFormat, ProviderError, Reply};

use super::request::{self, Envelope};
use super::{errors, reply, stream};
use crate::canonical;
use crate::protocol::{Mode, Protocol, StreamDecoder, Target, WireReply};
use crate::url_path::segment;

/// The format of `POST …/publishers/anthropic/models/MODEL:rawPredict`.
#[derive(Debug)]
pub(crate) struct VertexClaude;

impl Protocol for VertexClaude {
    fn path(&self, target: &Target, mode: Mode) -> String {
        let method = match mode {
            Mode::Whole => "rawPredict",
            Mode::Stream => "streamRawPredict",
        };
        format!("/publishers/anthropic/models/{}:{method}", segment(&target.model))
    }

    fn native(&self) -> Option<NativeFormat> {
        Some(NativeFormat::AnthropicMessages)
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(target, request, mode, Envelope::Vertex)
    }

    fn decode(&self, _target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(&reply)
    }

    /// The model's own errors are Anthropic's, those on the way there Google's, whose status is a word in capitals.
    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        let error = crate::gemini::decode_error(reply);
        let is_googles =
            error.code().is_some_and(|code| code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        if is_googles { error } else { errors::decode(reply) }
    }

    fn stream_decoder(&self, _target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(canonical::created(headers)))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use router_core::ProviderErrorKind;

    use super::*;

    #[test]
    fn errors_are_read_whoever_made_them() {
        let kind = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            VertexClaude
                .decode_error(&WireReply { status, headers: HeaderMap::new(), body: body.into() })
                .kind()
        };
        let google = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_eq!(kind(429, google), ProviderErrorKind::RateLimited);
        let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#;
        assert_eq!(kind(400, anthropic), ProviderErrorKind::ContextWindow);
    }
}
