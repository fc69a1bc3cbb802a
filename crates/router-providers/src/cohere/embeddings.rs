//! Embeddings at Cohere.

use bytes::Bytes;
use router_core::{Edit, EmbeddingReply, EmbeddingRequest, ProviderError, ProviderErrorKind, Usage};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::reply::malformed;
use crate::embedding_body;
use crate::protocol::{Embeddings, Target, WireReply};
use crate::raw_json::Count;
use crate::unsupported::unsupported;

/// The most texts of one call.
const MAX_TEXTS: usize = 96;

/// The format of `POST /v2/embed`.
#[derive(Debug)]
pub(super) struct CohereEmbeddings;

impl Embeddings for CohereEmbeddings {
    fn path(&self, _target: &Target) -> String {
        "/v2/embed".to_owned()
    }

    /// Cohere demands to know what the vectors are for; where the caller does not say, it is documents to be found.
    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Bytes, ProviderError> {
        let texts = request.texts().ok_or_else(|| unsupported("`input` of tokens", "Cohere"))?;
        if texts.len() > MAX_TEXTS {
            return Err(unsupported(&format!("`input` of more than {MAX_TEXTS} texts"), "Cohere"));
        }
        request
            .encoding()
            .map_err(|error| ProviderError::new(ProviderErrorKind::InvalidRequest, error.to_string()))?;
        let texts = json!(texts).to_string();
        let mut edits = vec![
            ("model", Edit::Set(&target.model_json)),
            ("input", Edit::Remove),
            ("texts", Edit::Set(&texts)),
            ("encoding_format", Edit::Remove),
            ("embedding_types", Edit::Set("[\"float\"]")),
            ("user", Edit::Remove),
        ];
        if request.field("input_type").is_none() {
            edits.push(("input_type", Edit::Set("\"search_document\"")));
        }
        if let Some(dimensions) = request.field("dimensions") {
            edits.extend([("dimensions", Edit::Remove), ("output_dimension", Edit::Set(dimensions))]);
        }
        Ok(request.body_with(&edits))
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        reply: WireReply,
    ) -> Result<EmbeddingReply, ProviderError> {
        #[derive(Deserialize)]
        struct EmbedReply<'a> {
            #[serde(borrow)]
            embeddings: ByType<'a>,
            #[serde(default)]
            meta: Meta,
        }
        #[derive(Deserialize)]
        struct ByType<'a> {
            #[serde(borrow)]
            float: Vec<&'a RawValue>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Meta {
            billed_units: BilledUnits,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct BilledUnits {
            input_tokens: Count,
        }
        let body: EmbedReply<'_> = serde_json::from_slice(&reply.body)
            .map_err(|_| malformed("the reply is no list of embeddings as Cohere sends it"))?;
        let usage = body.meta.billed_units.input_tokens.0.map(|prompt| Usage { prompt, ..Usage::default() });
        embedding_body::write(&target.model, &body.embeddings.float, request, usage)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_request_is_translated_and_its_reply_too() {
        let request = EmbeddingRequest::of("alias", ["a", "b"]).unwrap().with("dimensions", 2).unwrap();
        let target = Target::new("embed-v4.0");
        let sent: Value =
            serde_json::from_slice(&CohereEmbeddings.encode(&target, &request).unwrap()).unwrap();
        assert_eq!(
            sent,
            json!({"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_document",
                "embedding_types": ["float"], "output_dimension": 2})
        );
        let body =
            r#"{"embeddings":{"float":[[1.0,-2.0],[0.5,0]]},"meta":{"billed_units":{"input_tokens":3}}}"#;
        let reply = |request: &EmbeddingRequest| {
            let reply = WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() };
            CohereEmbeddings.decode(&target, request, reply).unwrap()
        };
        assert_eq!(reply(&request).vectors(), Some(vec![vec![1.0, -2.0], vec![0.5, 0.0]]));
        assert_eq!(reply(&request).usage.unwrap().prompt, 3);
        let in_base64 = reply(&request.with("encoding_format", "base64").unwrap());
        let body: Value = serde_json::from_slice(&in_base64.body).unwrap();
        assert_eq!(body["data"][0]["embedding"], "AACAPwAAAMA=");
    }

    #[test]
    fn what_cohere_cannot_embed_is_refused() {
        let encode = |request: &EmbeddingRequest| {
            CohereEmbeddings.encode(&Target::new("m"), request).unwrap_err().kind()
        };
        let many = EmbeddingRequest::of("m", vec!["a"; 97]).unwrap();
        assert_eq!(encode(&many), ProviderErrorKind::Unsupported);
        let tokens = EmbeddingRequest::from_json(r#"{"model":"m","input":[1,2]}"#).unwrap();
        assert_eq!(encode(&tokens), ProviderErrorKind::Unsupported);
    }
}
