//! Anthropic's messages.

mod errors;
mod reply;
mod request;
mod stream;
mod usage;
mod vertex;
mod wire;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, NativeFormat, ProviderError, Reply};

use self::request::Envelope;
#[cfg(feature = "bedrock")]
pub(crate) use self::request::Reasoning;
pub(crate) use self::vertex::VertexClaude;
use crate::canonical;
use crate::protocol::{Mode, Protocol, StreamDecoder, Target, WireReply};

/// The format of `POST /v1/messages`.
#[derive(Debug)]
pub(crate) struct Anthropic;

impl Protocol for Anthropic {
    fn path(&self, _target: &Target, _mode: Mode) -> String {
        "/messages".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn native(&self) -> Option<NativeFormat> {
        Some(NativeFormat::AnthropicMessages)
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(target, request, mode, Envelope::Api)
    }

    fn decode(&self, _target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(&reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, _target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(canonical::created(headers)))
    }
}
