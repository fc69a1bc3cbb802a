//! Mistral: OpenAI's format with other names and stricter rules.

mod embeddings;
mod messages;
mod reply;
mod request;

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, Chunk, ProviderError, Reply};

use crate::openai::{errors, stream};
use crate::protocol::{Embeddings, Mode, Progress, Protocol, StreamDecoder, Target, WireReply};

/// The format of `POST /chat/completions` at Mistral.
#[derive(Debug)]
pub(crate) struct Mistral;

impl Protocol for Mistral {
    fn path(&self, _target: &Target, _mode: Mode) -> String {
        "/chat/completions".to_owned()
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        request::encode(target, request, mode)
    }

    fn decode(&self, _target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        reply::decode(reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        errors::decode(reply)
    }

    fn stream_decoder(&self, _target: &Target, _headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        Box::new(Decoder(stream::Decoder::new()))
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&embeddings::MistralEmbeddings)
    }
}

/// Reads OpenAI's stream, and writes chunks anew that hold reasoning.
struct Decoder(stream::Decoder);

impl StreamDecoder for Decoder {
    fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Chunk>) -> Result<Progress, ProviderError> {
        let known = out.len();
        let progress = self.0.push(bytes, out);
        out.iter_mut().skip(known).for_each(reply::make_canonical);
        progress
    }

    fn finish(&mut self, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        self.0.finish(out)
    }
}
