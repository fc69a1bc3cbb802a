//! Embeddings at Cohere.

use bytes::Bytes;
use router_core::{Edit, EmbeddingReply, EmbeddingRequest, ProviderError};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::reply::malformed;
use crate::embedding_body::{self, Vectors};
use crate::protocol::{Embeddings, Target, WireReply};
use crate::raw_json::Count;
use crate::unsupported::unsupported;

/// The most texts of one call.
const MAX_TEXTS: usize = 96;
const DOCUMENTS: &str = "\"search_document\"";

/// The format of `POST /v2/embed`.
#[derive(Debug)]
pub(super) struct CohereEmbeddings;

impl Embeddings for CohereEmbeddings {
    fn path(&self, _target: &Target) -> String {
        "/v2/embed".to_owned()
    }

    /// Cohere demands to know what the vectors are for; where the caller does not say, it is documents to be found.
    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        let texts = embedding_body::texts(request, "Cohere")?;
        let mut edits = vec![
            ("model", Edit::Set(&target.model_json)),
            ("input", Edit::Remove),
            ("encoding_format", Edit::Remove),
            ("embedding_types", Edit::Set("[\"float\"]")),
            ("user", Edit::Remove),
        ];
        if request.field("input_type").is_none() {
            edits.push(("input_type", Edit::Set(DOCUMENTS)));
        }
        if let Some(dimensions) = request.field("dimensions") {
            has_dimensions(&target.model, dimensions)?;
            edits.extend([("dimensions", Edit::Remove), ("output_dimension", Edit::Set(dimensions))]);
        }
        let batches: Vec<String> = texts.chunks(MAX_TEXTS).map(|texts| json!(texts).to_string()).collect();
        let calls = batches.iter().map(|texts| {
            let texts = [("texts", Edit::Set(texts))];
            request.body_with(&[&edits[..], &texts].concat())
        });
        Ok(calls.collect())
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
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
        let mut vectors = Vectors::default();
        for reply in replies {
            let body: EmbedReply<'_> = serde_json::from_slice(&reply.body)
                .map_err(|_| malformed("the reply is no list of embeddings as Cohere sends it"))?;
            vectors.add(body.embeddings.float, body.meta.billed_units.input_tokens);
        }
        vectors.write(&target.model, request)
    }
}

/// Refuses dimensions where a model has its own: only those since version 4 can shorten their vectors.
fn has_dimensions(model: &str, dimensions: &str) -> Result<(), ProviderError> {
    let is_fixed = ["-v2", "-v3"].iter().any(|version| model.contains(version));
    match is_fixed && dimensions != "null" {
        true => Err(unsupported("`dimensions`", &format!("Cohere's model `{model}`"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use router_core::ProviderErrorKind;
    use serde_json::Value;

    use super::*;
    use crate::unsupported::droppable;

    fn sent(model: &str, request: &EmbeddingRequest) -> Result<Vec<Value>, ProviderError> {
        let calls = CohereEmbeddings.encode(&Target::new(model), request)?;
        Ok(calls.iter().map(|body| serde_json::from_slice(body).unwrap()).collect())
    }

    fn reply(body: &'static str) -> WireReply {
        WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn a_request_is_translated_and_its_reply_too() {
        let request = EmbeddingRequest::of("alias", ["a", "b"]).unwrap().with("dimensions", 2).unwrap();
        assert_eq!(
            sent("embed-v4.0", &request).unwrap(),
            [json!({"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_document",
                "embedding_types": ["float"], "output_dimension": 2})]
        );
        let body =
            r#"{"embeddings":{"float":[[1.0,-2.0],[0.5,0]]},"meta":{"billed_units":{"input_tokens":3}}}"#;
        let decoded = |request: &EmbeddingRequest| {
            CohereEmbeddings.decode(&Target::new("embed-v4.0"), request, &[reply(body)]).unwrap()
        };
        assert_eq!(decoded(&request).vectors(), Some(vec![vec![1.0, -2.0], vec![0.5, 0.0]]));
        assert_eq!(decoded(&request).usage.unwrap().prompt, 3);
        let in_base64 = decoded(&request.with("encoding_format", "base64").unwrap());
        let body: Value = serde_json::from_slice(&in_base64.body).unwrap();
        assert_eq!(body["data"][0]["embedding"], "AACAPwAAAMA=");
    }

    #[test]
    fn many_texts_are_several_calls_and_one_answer() {
        let texts: Vec<String> = (0..98).map(|number| number.to_string()).collect();
        let request = EmbeddingRequest::of("m", &texts[..]).unwrap();
        let calls = sent("embed-v4.0", &request).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0]["texts"].as_array().unwrap().len(), 96);
        assert_eq!(calls[1]["texts"], json!(["96", "97"]));

        let two = EmbeddingRequest::of("m", ["a", "b"]).unwrap();
        let half = r#"{"embeddings":{"float":[[1]]},"meta":{"billed_units":{"input_tokens":3}}}"#;
        let rest = r#"{"embeddings":{"float":[[2]]},"meta":{"billed_units":{"input_tokens":4}}}"#;
        let decode = |replies: &[WireReply]| CohereEmbeddings.decode(&Target::new("m"), &two, replies);
        let whole = decode(&[reply(half), reply(rest)]).unwrap();
        assert_eq!(whole.vectors(), Some(vec![vec![1.0], vec![2.0]]));
        assert_eq!(whole.usage.unwrap().prompt, 7);
        // A vector that is missing would make the others those of other texts.
        assert_eq!(decode(&[reply(half)]).unwrap_err().kind(), ProviderErrorKind::MalformedReply);
    }

    #[test]
    fn what_cohere_cannot_embed_is_refused() {
        let tokens = EmbeddingRequest::from_json(r#"{"model":"m","input":[1,2]}"#).unwrap();
        let error = sent("m", &tokens).unwrap_err();
        assert_eq!((error.kind(), droppable(&error)), (ProviderErrorKind::Unsupported, None));
        let nothing = EmbeddingRequest::from_json(r#"{"model":"m","input":[]}"#).unwrap();
        assert_eq!(sent("m", &nothing).unwrap_err().kind(), ProviderErrorKind::InvalidRequest);
        let short = EmbeddingRequest::of("m", ["a"]).unwrap().with("dimensions", 2).unwrap();
        let error = sent("embed-english-v3.0", &short).unwrap_err();
        assert_eq!(droppable(&error), Some("dimensions"));
    }
}
