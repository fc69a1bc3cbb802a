//! OpenAI's chat completions, and the many services that speak the same format.
//!
//! It is the canonical format, so almost nothing is translated: requests get their model and stream settings spliced in,
//! replies and chunks pass through as they came, and are only looked at.

pub(crate) mod dialect;
pub(crate) mod embeddings;
pub(crate) mod errors;
pub(crate) mod reply;
mod request;
pub(crate) mod stream;
mod tool_calls;
pub(crate) mod usage;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, ProviderError, Reply};

use self::dialect::Dialect;
use crate::protocol::{Embeddings, Mode, Protocol, StreamDecoder, Target, WireReply};

/// The format of `POST /chat/completions`, as one service speaks it.
#[derive(Debug)]
pub(crate) struct OpenAi(pub(crate) Dialect);

impl Protocol for OpenAi {
    fn path(&self, _target: &Target, _mode: Mode) -> String {
        "/chat/completions".to_owned()
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(&self.0, target, request, mode)
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
        self.0.embeddings.then_some(&embeddings::OpenAiEmbeddings)
    }
}
