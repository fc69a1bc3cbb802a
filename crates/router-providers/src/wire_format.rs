//! The formats without the HTTP: bytes in, bytes out. For fuzzing, measuring, and whoever has a client of their own.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use router_core::{ChatRequest, Chunk, ProviderError, Reply};

use crate::endpoint::EndpointError;
use crate::protocol::{Mode, Progress, Protocol, Target, WireReply};
use crate::registry;

/// One provider's format for one model.
///
/// ```
/// use router_core::ChatRequest;
/// use router_providers::WireFormat;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let claude = WireFormat::of("anthropic/claude-sonnet-4-5")?;
/// let body = claude.encode(&ChatRequest::user("alias", "Hello!")?, false)?;
/// assert!(body.starts_with(br#"{"model":"claude-sonnet-4-5""#));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WireFormat {
    protocol: &'static dyn Protocol,
    target: Target,
}

impl WireFormat {
    /// Returns the format of a model string such as `anthropic/claude-sonnet-4-5`.
    ///
    /// # Errors
    /// When the provider is unknown or no model is named.
    pub fn of(model: &str) -> Result<Self, EndpointError> {
        let (row, model) = registry::find(model, None)?;
        let protocol = row.protocol.for_model(model).unwrap_or(row.protocol);
        Ok(Self { protocol, target: Target::new(model) })
    }

    /// Writes the body of a request.
    ///
    /// # Errors
    /// When the format cannot express it.
    pub fn encode(&self, request: &ChatRequest, stream: bool) -> Result<Bytes, ProviderError> {
        self.protocol.encode(&self.target, request, if stream { Mode::Stream } else { Mode::Whole })
    }

    /// Reads a reply with a status of success.
    ///
    /// # Errors
    /// The error that it holds, or that it is no reply.
    pub fn decode(&self, headers: HeaderMap, body: Bytes) -> Result<Reply, ProviderError> {
        self.protocol.decode(&self.target, WireReply { status: StatusCode::OK, headers, body })
    }

    /// Reads a reply with any other status.
    pub fn decode_error(&self, status: StatusCode, headers: HeaderMap, body: Bytes) -> ProviderError {
        self.protocol.decode_error(&WireReply { status, headers, body })
    }

    /// Reads a stream that came in these pieces: its chunks, and how it ended.
    pub fn decode_stream(
        &self,
        headers: &HeaderMap,
        pieces: impl IntoIterator<Item = Bytes>,
    ) -> (Vec<Chunk>, Result<(), ProviderError>) {
        let mut decoder = self.protocol.stream_decoder(&self.target, headers);
        let mut chunks = VecDeque::new();
        for piece in pieces {
            match decoder.push(piece, &mut chunks) {
                Ok(Progress::Open) => {}
                Ok(Progress::Ended) => return (chunks.into(), Ok(())),
                Err(error) => return (chunks.into(), Err(error)),
            }
        }
        let result = decoder.finish(&mut chunks);
        (chunks.into(), result)
    }
}

impl fmt::Debug for WireFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireFormat")
            .field("protocol", &self.protocol)
            .field("model", &self.target.model)
            .finish_non_exhaustive()
    }
}
