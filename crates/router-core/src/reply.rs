//! What comes back from a provider.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::{Headroom, ProviderError, Usage};

/// A whole reply in the canonical shape: an OpenAI `chat.completion` object.
#[derive(Clone)]
pub struct Reply {
    /// The JSON object. A same-shape provider's bytes stand here as they came.
    pub body: Bytes,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// The tokens used; `None` when the provider did not say.
    pub usage: Option<Usage>,
    /// What the provider's rate-limit headers said.
    pub headroom: Option<Headroom>,
}

impl Reply {
    /// Returns the text of the first choice; `None` when it has none, such as a reply that only calls tools.
    pub fn text(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Body {
            choices: Vec<Choice>,
        }
        #[derive(serde::Deserialize)]
        struct Choice {
            message: Message,
        }
        #[derive(serde::Deserialize)]
        struct Message {
            content: Option<String>,
        }
        let body: Body = serde_json::from_slice(&self.body).ok()?;
        body.choices.into_iter().next()?.message.content
    }
}

impl fmt::Debug for Reply {
    /// Shows the model, usage and size, never the answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("model", &self.model)
            .field("usage", &self.usage)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// One event of a streamed reply in the canonical shape: an OpenAI `chat.completion.chunk` object.
#[derive(Clone)]
pub struct Chunk {
    /// The JSON object, without the framing of server-sent events.
    pub data: Bytes,
    /// What the chunk brings.
    pub kind: ChunkKind,
    /// The tokens used so far, when this chunk tells.
    pub usage: Option<Usage>,
}

/// What a chunk of a stream brings. Whoever streams decides by it what can still be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkKind {
    /// Nothing a reader would see: the role, an empty delta, a provider's own preamble.
    Preamble,
    /// Text, reasoning or a piece of a tool call.
    Content,
    /// The reason why the reply ends.
    Finish,
    /// Only the usage; shown to callers who asked for it.
    Usage,
}

impl Chunk {
    /// Returns the text that the first choice of this chunk adds; `None` when it adds none.
    pub fn text(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Body {
            choices: Vec<Choice>,
        }
        #[derive(serde::Deserialize)]
        struct Choice {
            delta: Delta,
        }
        #[derive(serde::Deserialize)]
        struct Delta {
            content: Option<String>,
        }
        let body: Body = serde_json::from_slice(&self.data).ok()?;
        body.choices.into_iter().next()?.delta.content
    }
}

impl Chunk {
    /// Returns the model that answers, as the chunk names it.
    pub fn model(&self) -> Option<Box<str>> {
        #[derive(serde::Deserialize)]
        struct Body {
            model: Option<Box<str>>,
        }
        serde_json::from_slice::<Body>(&self.data).ok()?.model.filter(|model| !model.is_empty())
    }
}

impl fmt::Debug for Chunk {
    /// Shows the kind, usage and size, never the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("kind", &self.kind)
            .field("usage", &self.usage)
            .field("bytes", &self.data.len())
            .finish()
    }
}

/// A streamed reply that has begun.
#[expect(missing_debug_implementations, reason = "a stream shows nothing")]
pub struct StreamedReply {
    /// Its chunks.
    pub chunks: ChunkStream,
    /// What the provider's rate-limit headers said.
    pub headroom: Option<Headroom>,
}

impl From<ChunkStream> for StreamedReply {
    fn from(chunks: ChunkStream) -> Self {
        Self { chunks, headroom: None }
    }
}

/// The chunks of a streamed reply. It ends after its last chunk only when the provider said that the reply is complete; a reply that was
/// cut ends with an error, [`StreamInterrupted`](crate::ProviderErrorKind::StreamInterrupted) or a more exact one. Dropping
/// it cancels the call.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Chunk, ProviderError>> + Send>>;
