//! What requests of every kind have in common, as far as routing goes.

use bytes::Bytes;
use router_core::{ChatRequest, Edit, EmbeddingRequest, Native, RequestError, TokenCounter, TraceContext};
use serde::Deserialize;

/// A request that can be routed: [`ChatRequest`] or [`EmbeddingRequest`].
pub trait Payload: Clone + Send + Sync + sealed::Sealed {
    /// Returns the model the caller asks for.
    fn model(&self) -> &str;

    /// Returns the JSON text of a top-level field.
    fn field(&self, name: &str) -> Option<&str>;

    /// Reads a top-level field; `None` when it is not there.
    ///
    /// # Errors
    /// When it is not what was `expected`.
    fn read<'a, T: Deserialize<'a>>(
        &'a self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError>;

    /// Returns the request with some top-level fields changed.
    ///
    /// # Errors
    /// When the changed request is none.
    fn edited(&self, edits: &[(&str, Edit<'_>)]) -> Result<Self, RequestError>;

    /// Returns the body with some top-level fields changed.
    fn body_with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes;

    /// Returns the request with the span that the call to a provider is a child of.
    #[must_use]
    fn traced(&self, trace: TraceContext) -> Self;

    /// Returns the estimated tokens of what the model will read.
    fn prompt_tokens(&self, counter: &dyn TokenCounter) -> u64;

    /// Returns the request as classifiers read it; `None` for what they do not read.
    fn as_chat(&self) -> Option<&ChatRequest>;

    /// Returns the body as the caller wrote it.
    fn body(&self) -> &Bytes;

    /// Returns the request in its caller's own words, where those are in another format and reach some providers.
    fn native(&self) -> Option<&Native> {
        None
    }
}

mod sealed {
    /// Engines know every kind of request there is.
    pub trait Sealed {}

    impl Sealed for router_core::ChatRequest {}
    impl Sealed for router_core::EmbeddingRequest {}
}

impl Payload for ChatRequest {
    fn model(&self) -> &str {
        self.model()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.field(name)
    }

    fn read<'a, T: Deserialize<'a>>(
        &'a self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        self.read(field, expected)
    }

    fn edited(&self, edits: &[(&str, Edit<'_>)]) -> Result<Self, RequestError> {
        self.edited(edits)
    }

    fn body_with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes {
        self.body_with(edits)
    }

    fn traced(&self, trace: TraceContext) -> Self {
        self.clone().with_trace(trace)
    }

    fn prompt_tokens(&self, counter: &dyn TokenCounter) -> u64 {
        counter.count(self)
    }

    fn as_chat(&self) -> Option<&ChatRequest> {
        Some(self)
    }

    fn body(&self) -> &Bytes {
        self.body()
    }

    fn native(&self) -> Option<&Native> {
        self.native()
    }
}

impl Payload for EmbeddingRequest {
    fn model(&self) -> &str {
        self.model()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.field(name)
    }

    fn read<'a, T: Deserialize<'a>>(
        &'a self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        self.read(field, expected)
    }

    fn edited(&self, edits: &[(&str, Edit<'_>)]) -> Result<Self, RequestError> {
        Self::from_json(self.body_with(edits))
    }

    fn body_with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes {
        self.body_with(edits)
    }

    fn traced(&self, trace: TraceContext) -> Self {
        self.clone().with_trace(trace)
    }

    fn prompt_tokens(&self, counter: &dyn TokenCounter) -> u64 {
        counter.count_embedding(self)
    }

    fn as_chat(&self) -> Option<&ChatRequest> {
        None
    }

    fn body(&self) -> &Bytes {
        self.body()
    }
}
