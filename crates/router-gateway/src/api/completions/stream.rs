//! From canonical chunks to pieces of a completion.

use bytes::Bytes;
use llm_router::{Chunk, ChunkKind, ProviderError, Usage};
use serde_json::value::RawValue;

use super::{choice, object};
use crate::api::canonical::Completion;
use crate::api::errors::stream_error;
use crate::api::translated::{Events, Translate};

/// Writes a `text_completion` for each chunk.
pub(super) struct TextChunks;

impl Translate for TextChunks {
    fn take(&mut self, chunk: &Chunk, events: &mut Events) -> Result<(), ProviderError> {
        // It says who speaks, which is nothing that a completion tells.
        if chunk.kind != ChunkKind::Preamble {
            let completion = Completion::read(&chunk.data)?;
            let choices = completion.choices.iter().map(choice).collect();
            events.data(&object(&completion, choices));
        }
        Ok(())
    }

    fn finish(&mut self, _usage: &Usage, events: &mut Events) {
        events.done();
    }

    fn fail(&mut self, error: &ProviderError, events: &mut Events) {
        let error = Bytes::from(stream_error(error));
        if let Ok(error) = serde_json::from_slice::<&RawValue>(&error) {
            events.data(&error);
        }
    }
}
