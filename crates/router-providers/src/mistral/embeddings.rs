//! Embeddings at Mistral: OpenAI's format with another name for the dimensions.

use bytes::Bytes;
use router_core::{Edit, EmbeddingReply, EmbeddingRequest, ProviderError};

use crate::openai::embeddings::{self, OpenAiEmbeddings};
use crate::protocol::{Embeddings, Target, WireReply};
use crate::unsupported::unsupported;

/// The format of `POST /embeddings` at Mistral.
#[derive(Debug)]
pub(super) struct MistralEmbeddings;

impl Embeddings for MistralEmbeddings {
    fn path(&self, target: &Target) -> String {
        OpenAiEmbeddings.path(target)
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        let mut edits = vec![("model", Edit::Set(&target.model_json)), ("user", Edit::Remove)];
        if let Some(dimensions) = request.field("dimensions") {
            // Its oldest model has always 1024, and refuses even to be told so.
            if target.model.starts_with("mistral-embed") && dimensions != "null" {
                return Err(unsupported("`dimensions`", "Mistral's model `mistral-embed`"));
            }
            edits.extend([("dimensions", Edit::Remove), ("output_dimension", Edit::Set(dimensions))]);
        }
        Ok(vec![request.body_with(&edits)])
    }

    fn decode(
        &self,
        _target: &Target,
        _request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        embeddings::decode(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unsupported::droppable;

    #[test]
    fn the_dimensions_have_mistrals_name() {
        let request =
            EmbeddingRequest::from_json(r#"{"model":"m","input":"a","dimensions":8,"user":"u"}"#).unwrap();
        let sent = MistralEmbeddings.encode(&Target::new("codestral-embed"), &request).unwrap();
        assert_eq!(sent, [r#"{"model":"codestral-embed","input":"a","output_dimension":8}"#]);
        let error = MistralEmbeddings.encode(&Target::new("mistral-embed"), &request).unwrap_err();
        assert_eq!(droppable(&error), Some("dimensions"));
    }
}
