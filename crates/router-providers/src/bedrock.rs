//! AWS Bedrock's Converse: one format for the models of many makers.

mod embeddings;
mod errors;
mod event_stream;
mod model;
mod reply;
mod request;
mod stream;
mod usage;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, ProviderError, Reply};

use crate::canonical;
use crate::protocol::{Embeddings, Mode, Protocol, StreamDecoder, Target, WireReply};
use crate::url_path::strict_segment;

/// The format of `POST /model/MODEL/converse` and `/converse-stream`.
#[derive(Debug)]
pub(crate) struct Bedrock;

impl Protocol for Bedrock {
    fn path(&self, target: &Target, mode: Mode) -> String {
        let method = match mode {
            Mode::Whole => "converse",
            Mode::Stream => "converse-stream",
        };
        format!("/model/{}/{method}", strict_segment(model::id(&target.model)))
    }

    fn encode(&self, target: &Target, request: &ChatRequest, _mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(model::id(&target.model), request)
    }

    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(model::id(&target.model), &reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        let (model, created) = (model::id(&target.model), canonical::created(headers));
        Box::new(stream::Decoder::new(reply::id(headers), created, model))
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&embeddings::BedrockEmbeddings)
    }
}
