//! Cohere's chat, version 2.

mod embeddings;
mod errors;
mod reply;
mod request;
mod stream;
mod usage;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, ProviderError, Reply};

use crate::canonical;
use crate::protocol::{Embeddings, Mode, Protocol, StreamDecoder, Target, WireReply};

/// The format of `POST /v2/chat`.
#[derive(Debug)]
pub(crate) struct Cohere;

impl Protocol for Cohere {
    fn path(&self, _target: &Target, _mode: Mode) -> String {
        "/v2/chat".to_owned()
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(target, request, mode)
    }

    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(target, &reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::new(target, canonical::created(headers)))
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&embeddings::CohereEmbeddings)
    }
}
