//! The seam between wire formats and the driver that does the I/O.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use router_core::{ChatRequest, Chunk, EmbeddingReply, EmbeddingRequest, NativeFormat, ProviderError, Reply};

/// One wire format, without any I/O: bytes in, bytes out. Vendors that speak the same format share it and differ in data.
pub(crate) trait Protocol: fmt::Debug + Send + Sync {
    /// Returns the path to call, to be added to the base URL, with its query where there is one.
    fn path(&self, target: &Target, mode: Mode) -> String;

    /// Returns what belongs between the base URL and the path, where it depends on more than the provider. A base may end with
    /// it already, or with a part of it.
    fn prefix(&self, _target: &Target) -> Option<String> {
        None
    }

    /// Returns the format in which this model is asked, where a provider has several.
    fn for_model(&self, _model: &str) -> Option<&'static dyn Protocol> {
        None
    }

    /// Returns the headers of the format itself, besides the credential and the content type.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Returns the format, other than the canonical one, whose requests are sent as their callers wrote them.
    fn native(&self) -> Option<NativeFormat> {
        None
    }

    /// Writes the body of a request. An error here means that nothing was sent.
    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError>;

    /// Reads a reply that came with a status of success, which may still hold an error.
    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError>;

    /// Reads a reply that came with any other status.
    fn decode_error(&self, reply: &WireReply) -> ProviderError;

    /// Starts reading a stream, whose reply came with these headers.
    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder>;

    /// Returns how the format asks for embeddings; `None` when it has none.
    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        None
    }
}

/// The part of a wire format that is about embeddings. Its errors look like those of the rest.
pub(crate) trait Embeddings: fmt::Debug + Send + Sync {
    /// Returns the path to call, to be added to the base URL, with its query where there is one.
    fn path(&self, target: &Target) -> String;

    /// Writes the bodies of the calls that answer a request: one, unless it has more texts than the provider takes at a time.
    /// An error here means that nothing was sent.
    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError>;

    /// Reads the replies to these calls, in their order. They came with a status of success but may still hold an error.
    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError>;
}

/// Reads one stream from its bytes, wherever the network cut them.
pub(crate) trait StreamDecoder: Send {
    /// Takes the next bytes and adds the chunks that became complete. What was added before an error is still good.
    fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Chunk>) -> Result<Progress, ProviderError>;

    /// Is told that there are no more bytes; fails when the format's own end marker never came.
    fn finish(&mut self, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError>;
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More is to come.
    Open,
    /// The end marker came; what follows means nothing.
    Ended,
}

/// Whether an answer is wanted whole or as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Whole,
    Stream,
}

/// The model to ask for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The model as the provider names it.
    pub(crate) model: String,
    /// The same as a JSON string.
    pub(crate) model_json: String,
    /// The base URL.
    pub(crate) api_base: String,
    /// The version of the interface, for providers that want one in the address.
    pub(crate) api_version: Option<String>,
}

impl Target {
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            model_json: serde_json::Value::from(model).to_string(),
            api_base: String::new(),
            api_version: None,
        }
    }

    /// Returns the same place with another model.
    pub(crate) fn with_model(&self, model: &str) -> Self {
        Self { api_base: self.api_base.clone(), api_version: self.api_version.clone(), ..Self::new(model) }
    }
}

/// A reply read to its end.
#[derive(Debug)]
pub(crate) struct WireReply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}
