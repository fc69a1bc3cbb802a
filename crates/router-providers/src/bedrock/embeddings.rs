//! Embeddings at Bedrock: not Converse but `InvokeModel`, with a body of each maker's own.
//!
//! | model | texts in a call | `dimensions` is |
//! |---|---|---|
//! | `amazon.titan-embed-text-v1` | 1 | refused: it always has 1,536 |
//! | `amazon.titan-embed-text-v2` | 1 | `dimensions` |
//! | `amazon.titan-embed-image` | 1 | `embeddingConfig.outputEmbeddingLength` |
//! | `amazon.nova-…-embeddings` | 1 | `embeddingDimension` |
//! | `cohere.embed-…-v3` | 96 | refused: it always has 1,024 or 384 |
//! | `cohere.embed-v4` | 96 | `output_dimension` |
//!
//! `user` is dropped; other fields pass through to the model. How many tokens it read stands in a header. Sources:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html> and
//! <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>.

use bytes::Bytes;
use router_core::{EmbeddingReply, EmbeddingRequest, ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::model;
use crate::canonical_request::invalid;
use crate::embedding_body::{self, Vectors};
use crate::protocol::{Embeddings, Target, WireReply};
use crate::raw_json::{self, Count};
use crate::unsupported::unsupported;
use crate::url_path::strict_segment;

/// The format of `POST /model/MODEL/invoke`, for models that make vectors.
#[derive(Debug)]
pub(super) struct BedrockEmbeddings;

/// Who made a model, as far as its requests differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// Amazon's Titan for texts, since 2 with dimensions.
    Titan {
        has_dimensions: bool,
    },
    TitanImage,
    Nova,
    /// Cohere's, since 4 with dimensions.
    Cohere {
        has_dimensions: bool,
    },
}

impl Maker {
    fn of(id: &str) -> Option<Self> {
        Some(if id.contains("amazon.titan-embed-image") {
            Self::TitanImage
        } else if id.contains("amazon.titan-embed") {
            Self::Titan { has_dimensions: id.contains("text-v2") }
        } else if id.contains("amazon.nova") && id.contains("embeddings") {
            Self::Nova
        } else if id.contains("cohere.embed") {
            Self::Cohere { has_dimensions: !id.contains("-v3") }
        } else {
            return None;
        })
    }

    /// The most texts of one call.
    const fn texts(self) -> usize {
        match self {
            Self::Titan { .. } | Self::TitanImage | Self::Nova => 1,
            Self::Cohere { .. } => 96,
        }
    }
}

impl Embeddings for BedrockEmbeddings {
    fn path(&self, target: &Target) -> String {
        format!("/model/{}/invoke", strict_segment(model::id(&target.model)))
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        let id = model::id(&target.model);
        let maker = Maker::of(id)
            .ok_or_else(|| unsupported(&format!("an embedding of `{id}`"), "this router at Bedrock"))?;
        let texts = embedding_body::texts(request, "Bedrock")?;
        let mut fields: Map<String, Value> =
            serde_json::from_slice(request.body()).map_err(|_| invalid("the request is no JSON object"))?;
        for field in ["model", "input", "encoding_format", "user"] {
            fields.remove(field);
        }
        fields.retain(|_, value| !value.is_null());
        let dimensions = fields.remove("dimensions");
        if dimensions.is_some()
            && let Maker::Titan { has_dimensions: false } | Maker::Cohere { has_dimensions: false } = maker
        {
            return Err(unsupported("`dimensions`", &format!("Bedrock's model `{id}`")));
        }
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        match maker {
            Maker::Titan { .. } => set("dimensions", dimensions),
            Maker::TitanImage => {
                set("embeddingConfig", dimensions.map(|length| json!({"outputEmbeddingLength": length})));
            }
            Maker::Nova => set("embeddingDimension", dimensions),
            Maker::Cohere { .. } => set("output_dimension", dimensions),
        }
        let calls = texts.chunks(maker.texts()).map(|texts| {
            let mut body = fields.clone();
            match (maker, texts) {
                (Maker::Cohere { .. }, texts) => {
                    body.insert("texts".to_owned(), json!(texts));
                    body.entry("input_type").or_insert(json!("search_document"));
                }
                (Maker::Nova, [text, ..]) => body = nova(body, text),
                (Maker::Titan { .. } | Maker::TitanImage, [text, ..]) => {
                    body.insert("inputText".to_owned(), json!(text));
                }
                (_, []) => {} // a chunk is never empty
            }
            Bytes::from(Value::Object(body).to_string())
        });
        Ok(calls.collect())
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        let malformed = || {
            let message = "the reply is no list of embeddings as Bedrock sends it";
            ProviderError::new(ProviderErrorKind::MalformedReply, message)
        };
        let mut vectors = Vectors::default();
        for reply in replies {
            let text = std::str::from_utf8(&reply.body).map_err(|_| malformed())?;
            let body: InvokeReply<'_> = raw_json::parse(text).map_err(|_| malformed())?;
            let counted = reply.headers.get("x-amzn-bedrock-input-token-count");
            let counted = counted.and_then(|count| count.to_str().ok()?.parse().ok());
            vectors
                .add(body.vectors().ok_or_else(malformed)?, Count(counted).or(body.input_text_token_count));
        }
        vectors.write(&target.model, request)
    }
}

/// Nova wants to know what the vectors are for; where the caller does not say, it is to be found. Too long a text is an error,
/// as it is elsewhere.
fn nova(mut fields: Map<String, Value>, text: &str) -> Map<String, Value> {
    let truncation = fields.remove("truncationMode").unwrap_or(json!("NONE"));
    fields.entry("embeddingPurpose").or_insert(json!("GENERIC_INDEX"));
    fields.insert("text".to_owned(), json!({"truncationMode": truncation, "value": text}));
    let mut body = Map::new();
    body.insert("taskType".to_owned(), json!("SINGLE_EMBEDDING"));
    body.insert("singleEmbeddingParams".to_owned(), Value::Object(fields));
    body
}

/// Any maker's reply.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InvokeReply<'a> {
    /// Titan's vector.
    #[serde(borrow, default)]
    embedding: Option<&'a RawValue>,
    /// Nova's objects, Cohere's vectors, or Cohere's vectors by their type.
    #[serde(borrow, default)]
    embeddings: Option<&'a RawValue>,
    #[serde(default)]
    input_text_token_count: Count,
}

impl<'a> InvokeReply<'a> {
    fn vectors(&self) -> Option<Vec<&'a RawValue>> {
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(borrow)]
            embedding: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct ByType<'a> {
            #[serde(borrow)]
            float: Vec<&'a RawValue>,
        }
        let Some(all) = self.embeddings else { return self.embedding.map(|vector| vec![vector]) };
        if let Ok(ByType { float }) = raw_json::parse(all.get()) {
            return Some(float);
        }
        let all: Vec<&'a RawValue> = serde_json::from_str(all.get()).ok()?;
        let vector = |item: &'a RawValue| match raw_json::parse(item.get()) {
            Ok(Typed { embedding }) => embedding,
            Err(_) => item,
        };
        Some(all.into_iter().map(vector).collect())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::unsupported::droppable;

    fn sent(model: &str, request: &EmbeddingRequest) -> Result<Vec<Value>, ProviderError> {
        let calls = BedrockEmbeddings.encode(&Target::new(model), request)?;
        Ok(calls.iter().map(|body| serde_json::from_slice(body).unwrap()).collect())
    }

    #[test]
    fn each_maker_is_asked_in_its_own_words() {
        let two = EmbeddingRequest::of("m", ["a", "b"]).unwrap();
        let short = two.with("dimensions", 256).unwrap().with("user", "u").unwrap();
        assert_eq!(
            sent("amazon.titan-embed-text-v2:0", &short.with("normalize", false).unwrap()).unwrap(),
            ["a", "b"].map(|text| json!({"inputText": text, "dimensions": 256, "normalize": false}))
        );
        assert_eq!(
            sent("amazon.titan-embed-image-v1", &short).unwrap(),
            ["a", "b"]
                .map(|text| json!({"inputText": text, "embeddingConfig": {"outputEmbeddingLength": 256}}))
        );
        assert_eq!(
            sent("us.cohere.embed-v4:0", &short).unwrap(),
            [json!({"texts": ["a", "b"], "input_type": "search_document", "output_dimension": 256})]
        );
        let query = two.with("input_type", "search_query").unwrap();
        assert_eq!(
            sent("cohere.embed-multilingual-v3", &query).unwrap(),
            [json!({"texts": ["a", "b"], "input_type": "search_query"})]
        );
        for model in ["amazon.titan-embed-text-v1", "cohere.embed-english-v3"] {
            assert_eq!(droppable(&sent(model, &short).unwrap_err()), Some("dimensions"), "{model}");
        }
        let error = sent("anthropic.claude-3-haiku-20240307-v1:0", &two).unwrap_err();
        assert_eq!((error.kind(), droppable(&error)), (ProviderErrorKind::Unsupported, None));
    }

    #[test]
    fn each_maker_s_vectors_are_found() {
        let two = EmbeddingRequest::of("m", ["a", "b"]).unwrap();
        let decode = |bodies: &[&'static str]| {
            let replies: Vec<WireReply> = bodies
                .iter()
                .map(|body| WireReply {
                    status: StatusCode::OK,
                    headers: HeaderMap::from_iter([(
                        http::HeaderName::from_static("x-amzn-bedrock-input-token-count"),
                        HeaderValue::from_static("4"),
                    )]),
                    body: (*body).into(),
                })
                .collect();
            BedrockEmbeddings.decode(&Target::new("m"), &two, &replies)
        };
        let check = |bodies: &[&'static str], tokens: u64| {
            let reply = decode(bodies).unwrap();
            assert_eq!(reply.vectors(), Some(vec![vec![1.0], vec![2.0]]), "{bodies:?}");
            assert_eq!(reply.usage.unwrap().prompt, tokens, "{bodies:?}");
        };
        check(
            &[r#"{"embedding":[1],"inputTextTokenCount":4}"#, r#"{"embedding":[2],"inputTextTokenCount":4}"#],
            8,
        );
        check(
            &[
                r#"{"embeddings":[{"embeddingType":"TEXT","embedding":[1]}]}"#,
                r#"{"embeddings":[{"embedding":[2]}]}"#,
            ],
            8,
        );
        check(&[r#"{"embeddings":[[1],[2]],"id":"i","response_type":"embeddings_floats"}"#], 4);
        check(&[r#"{"embeddings":{"float":[[1],[2]]},"response_type":"embeddings_by_type"}"#], 4);
        for body in ["", "{}", "[]", r#"{"embeddings":7}"#, r#"{"embedding":{}}"#, r#"{"embeddings":[[1]]}"#]
        {
            assert_eq!(decode(&[body]).unwrap_err().kind(), ProviderErrorKind::MalformedReply, "{body}");
        }
    }
}
