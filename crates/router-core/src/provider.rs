//! The port to whoever answers requests.

use std::fmt;

use async_trait::async_trait;

use crate::{
    ChatRequest, EmbeddingReply, EmbeddingRequest, ProviderError, ProviderErrorKind, Reply, StreamedReply,
};

/// One deployment's upstream, ready to be called: over HTTP, through an SDK, or from a script in a test.
///
/// It is bound to its endpoint, model and credential when it is made, so that the routing core never sees a secret and
/// nothing is prepared twice.
///
/// # Cancel safety
/// Whoever routes drops these futures and streams when the attempt's time is over or the caller leaves. Dropping must end
/// the upstream call and leave nothing behind.
///
/// ```
/// use async_trait::async_trait;
/// use router_core::{ChatRequest, StreamedReply, Provider, ProviderError, ProviderErrorKind, Reply};
///
/// #[derive(Debug)]
/// struct Parrot;
///
/// #[async_trait]
/// impl Provider for Parrot {
///     async fn complete(&self, _request: &ChatRequest) -> Result<Reply, ProviderError> {
///         let body = r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Hello!"}}]}"#;
///         Ok(Reply { body: body.into(), model: None, usage: None, headroom: None })
///     }
///
///     async fn stream(&self, _request: &ChatRequest) -> Result<StreamedReply, ProviderError> {
///         Err(ProviderError::new(ProviderErrorKind::InvalidRequest, "parrots do not stream"))
///     }
/// }
/// ```
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Asks for a whole reply.
    async fn complete(&self, request: &ChatRequest) -> Result<Reply, ProviderError>;

    /// Asks for a stream. An error before the stream begins is returned here, not as its first item.
    async fn stream(&self, request: &ChatRequest) -> Result<StreamedReply, ProviderError>;

    /// Names the fields of a request that are left out of it, because this provider cannot do them and is set to go on
    /// without. Whoever routes reports them once the request was answered.
    fn dropped_params(&self, _request: &ChatRequest) -> Vec<String> {
        Vec::new()
    }

    /// Names the fields of a request for vectors that are left out of it, in the same way.
    fn dropped_embedding_params(&self, _request: &EmbeddingRequest) -> Vec<String> {
        Vec::new()
    }

    /// Asks for the vectors of texts. A provider that has no embeddings leaves this as it is.
    async fn embed(&self, _request: &EmbeddingRequest) -> Result<EmbeddingReply, ProviderError> {
        Err(ProviderError::new(ProviderErrorKind::Unsupported, "this provider has no embeddings"))
    }
}
