//! Google's `generateContent`: Gemini in AI Studio, and on Vertex AI.

mod embeddings;
mod errors;
mod model;
mod reply;
mod request;
mod stream;
mod usage;
mod wire;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, ProviderError, Reply};

pub(crate) use self::errors::decode as decode_error;
use self::request::Host;
use crate::canonical;
use crate::protocol::{Embeddings, Mode, Protocol, StreamDecoder, Target, WireReply};
use crate::url_path::segment;

/// The format of `POST /models/MODEL:generateContent` in AI Studio.
#[derive(Debug)]
pub(crate) struct Gemini;

/// The same on Vertex AI, whose paths differ, and whose labels. Claude is there, too, and speaks Anthropic's format.
#[derive(Debug)]
pub(crate) struct Vertex;

impl Protocol for Gemini {
    fn path(&self, target: &Target, mode: Mode) -> String {
        format!("/models/{}:{}", segment(&target.model), method(mode))
    }

    fn encode(&self, target: &Target, request: &ChatRequest, _mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(target, request, Host::AiStudio)
    }

    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(target, &reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(&target.model, canonical::created(headers)))
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&embeddings::GeminiEmbeddings)
    }
}

impl Protocol for Vertex {
    fn path(&self, target: &Target, mode: Mode) -> String {
        path_of(target, method(mode))
    }

    fn for_model(&self, model: &str) -> Option<&'static dyn Protocol> {
        model.starts_with("claude-").then_some(&crate::anthropic::VertexClaude)
    }

    fn encode(&self, target: &Target, request: &ChatRequest, _mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(target, request, Host::Vertex)
    }

    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(target, &reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(&target.model, canonical::created(headers)))
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&embeddings::VertexEmbeddings)
    }
}

/// Returns the path of a method of a model on Vertex AI.
fn path_of(target: &Target, method: &str) -> String {
    // A number is a model of one's own, behind an endpoint.
    let is_own = target.model.bytes().all(|byte| byte.is_ascii_digit());
    let parent = if is_own { "/endpoints" } else { "/publishers/google/models" };
    format!("{parent}/{}:{method}", segment(&target.model))
}

const fn method(mode: Mode) -> &'static str {
    match mode {
        Mode::Whole => "generateContent",
        // Without `alt=sse` the stream would be one JSON list.
        Mode::Stream => "streamGenerateContent?alt=sse",
    }
}
