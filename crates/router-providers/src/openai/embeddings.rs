//! Embeddings in OpenAI's format: passed on as they came, and only looked at.

use bytes::Bytes;
use router_core::{Edit, EmbeddingReply, EmbeddingRequest, ProviderError};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::{malformed, not_json};
use super::{errors, usage};
use crate::protocol::{Embeddings, Target, WireReply};
use crate::raw_json;
use crate::unsupported::unsupported;

/// The format of `POST /embeddings`.
#[derive(Debug)]
pub(crate) struct OpenAiEmbeddings;

impl Embeddings for OpenAiEmbeddings {
    fn path(&self, _target: &Target) -> String {
        "/embeddings".to_owned()
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        let is_set = |field: &str| request.field(field).is_some_and(|value| value != "null");
        // "This model does not support specifying dimensions."
        if target.model.contains("text-embedding-ada-002") && is_set("dimensions") {
            return Err(unsupported("`dimensions`", "the model `text-embedding-ada-002`"));
        }
        Ok(vec![request.body_with(&[("model", Edit::Set(&target.model_json))])])
    }

    fn decode(
        &self,
        _target: &Target,
        _request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        decode(replies)
    }
}

#[derive(Deserialize)]
struct Scan<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "embedding")]
    _embedding: &'a RawValue,
}

/// Reads the reply to the one call that this format needs.
pub(crate) fn decode(replies: &[WireReply]) -> Result<EmbeddingReply, ProviderError> {
    let [reply] = replies else { return Err(malformed("one call has one reply")) };
    let text = std::str::from_utf8(&reply.body).map_err(|_| malformed("the reply is not UTF-8"))?;
    let scan: Scan<'_> = raw_json::parse(text)
        .map_err(|error| malformed(&not_json("the reply", "a list of embeddings", &error)))?;
    if scan.error.is_some_and(raw_json::is_filled) {
        return Err(errors::in_band(text));
    }
    if scan.data.is_none_or(|data| data.is_empty()) {
        return Err(malformed("the reply has no embeddings"));
    }
    Ok(EmbeddingReply {
        model: scan.model.and_then(raw_json::text).map(std::borrow::Cow::into_owned),
        usage: scan.usage.and_then(|counts| usage::read(counts, None)),
        body: reply.body.clone(),
        headroom: None,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use router_core::{ProviderErrorKind, Usage};

    use super::*;
    use crate::unsupported::droppable;

    fn decoded(body: &'static str) -> Result<EmbeddingReply, ProviderError> {
        decode(&[WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() }])
    }

    #[test]
    fn only_the_model_of_a_request_is_changed() {
        let request = EmbeddingRequest::from_json(
            r#"{"input":[[1,2],[3]],"encoding_format":"base64","model":"alias","input_type":"query"}"#,
        )
        .unwrap();
        let sent = OpenAiEmbeddings.encode(&Target::new("text-embedding-3-small"), &request).unwrap();
        assert_eq!(
            sent,
            [
                r#"{"input":[[1,2],[3]],"encoding_format":"base64","model":"text-embedding-3-small","input_type":"query"}"#
            ]
        );
        let short = request.with("dimensions", 8).unwrap();
        let error = OpenAiEmbeddings.encode(&Target::new("text-embedding-ada-002"), &short).unwrap_err();
        assert_eq!(droppable(&error), Some("dimensions"));
    }

    #[test]
    fn a_reply_passes_through_and_tells_its_model_and_usage() {
        let body = r#"{"object":"list","data":[{"index":0,"embedding":"AACAPw=="}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let reply = decoded(body).unwrap();
        assert_eq!(reply.body, body);
        assert_eq!(reply.model.as_deref(), Some("m"));
        assert_eq!(reply.usage, Some(Usage { prompt: 3, ..Usage::default() }));
    }

    #[test]
    fn what_is_no_list_of_embeddings_is_no_reply() {
        let kind = |body| decoded(body).unwrap_err().kind();
        for body in ["{}", "[]", "", r#"{"data":[]}"#, r#"{"data":[{"index":0}]}"#, r#"{"data":{}}"#] {
            assert_eq!(kind(body), ProviderErrorKind::MalformedReply, "{body}");
        }
        let error = r#"{"error":{"message":"m","code":"insufficient_quota"}}"#;
        assert_eq!(kind(error), ProviderErrorKind::QuotaExhausted);
    }
}
