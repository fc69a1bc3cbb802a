//! OpenAI's chat completions, and the many services that speak the same format.
//!
//! It is the canonical format, so almost nothing is translated: requests get their model and stream settings spliced in,
//! replies and chunks pass through as they came, and are only looked at.

mod embeddings;
mod errors;
mod reply;
mod request;
mod stream;
mod usage;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, ProviderError, Reply};

use crate::protocol::{Embeddings, Mode, Protocol, StreamDecoder, Target, WireReply};

/// The format of `POST /chat/completions`.
#[derive(Debug)]
pub(crate) struct OpenAi;

impl Protocol for OpenAi {
    fn path(&self, _target: &Target, _mode: Mode) -> String {
        "/chat/completions".to_owned()
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        Ok(request::encode(target, request, mode))
    }

    fn decode(&self, _target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, _target: &Target, _headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new())
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&embeddings::OpenAiEmbeddings)
    }
}
