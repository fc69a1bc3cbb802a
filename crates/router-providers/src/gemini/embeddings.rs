//! Embeddings at Google.
//!
//! | where | method | texts in a call |
//! |---|---|---|
//! | AI Studio | `batchEmbedContents` | 100 |
//! | Vertex AI, since Gemini Embedding 2 | `embedContent` | 1 |
//! | Vertex AI, `gemini-embedding-001` | `predict` | 1 |
//! | Vertex AI, others | `predict` | 250 in us-central1, 5 elsewhere |
//!
//! `dimensions` is `outputDimensionality`, `user` is dropped, and other fields (`taskType`, `title`, `autoTruncate`) pass through.
//! Sources: <https://ai.google.dev/api/embeddings> and
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.

use std::borrow::Cow;

use bytes::Bytes;
use router_core::{EmbeddingReply, EmbeddingRequest, ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{errors, path_of};
use crate::canonical_request::invalid;
use crate::embedding_body::{self, Vectors};
use crate::protocol::{Embeddings, Target, WireReply};
use crate::raw_json::{self, Count};
use crate::url_path::segment;

/// AI Studio's way.
#[derive(Debug)]
pub(super) struct GeminiEmbeddings;

/// Vertex AI's ways.
#[derive(Debug)]
pub(super) struct VertexEmbeddings;

impl Embeddings for GeminiEmbeddings {
    fn path(&self, target: &Target) -> String {
        format!("/models/{}:batchEmbedContents", segment(&target.model))
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        let texts = embedding_body::texts(request, "Gemini")?;
        let mut fields = fields(request)?;
        fields.insert("model".to_owned(), json!(format!("models/{}", target.model)));
        let call = |texts: &[Cow<'_, str>]| {
            let requests: Vec<Value> = texts.iter().map(|text| content(&fields, text)).collect();
            Bytes::from(json!({"requests": requests}).to_string())
        };
        Ok(texts.chunks(100).map(call).collect())
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        decode(target, request, replies)
    }
}

/// How Vertex AI serves a model.
#[derive(Clone, Copy)]
enum Method {
    EmbedContent,
    Predict { texts: usize },
}

impl Method {
    fn of(target: &Target) -> Self {
        let model = target.model.as_str();
        match model.starts_with("gemini-embedding-") {
            true if !model.starts_with("gemini-embedding-001") => Self::EmbedContent,
            true => Self::Predict { texts: 1 },
            false if target.api_base.contains("/locations/us-central1") => Self::Predict { texts: 250 },
            false => Self::Predict { texts: 5 },
        }
    }
}

impl Embeddings for VertexEmbeddings {
    fn path(&self, target: &Target) -> String {
        match Method::of(target) {
            Method::EmbedContent => path_of(target, "embedContent"),
            Method::Predict { .. } => path_of(target, "predict"),
        }
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        let texts = embedding_body::texts(request, "Vertex AI")?;
        let fields = fields(request)?;
        Ok(match Method::of(target) {
            Method::EmbedContent => {
                texts.iter().map(|text| Bytes::from(content(&fields, text).to_string())).collect()
            }
            Method::Predict { texts: at_once } => {
                texts.chunks(at_once).map(|texts| predict(&fields, texts)).collect()
            }
        })
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        decode(target, request, replies)
    }
}

/// Returns what a request says besides its texts, in Google's words.
fn fields(request: &EmbeddingRequest) -> Result<Map<String, Value>, ProviderError> {
    let mut fields: Map<String, Value> =
        serde_json::from_slice(request.body()).map_err(|_| invalid("the request is no JSON object"))?;
    for field in ["model", "input", "encoding_format", "user"] {
        fields.remove(field);
    }
    for (theirs, ours) in [("outputDimensionality", "dimensions"), ("taskType", "task_type")] {
        if let Some(value) = fields.remove(ours) {
            fields.insert(theirs.to_owned(), value);
        }
    }
    fields.retain(|_, value| !value.is_null());
    Ok(fields)
}

fn content(fields: &Map<String, Value>, text: &str) -> Value {
    let mut request = fields.clone();
    request.insert("content".to_owned(), json!({"parts": [{"text": text}]}));
    Value::Object(request)
}

/// What a text is for stands beside it, and everything else among the parameters.
fn predict(fields: &Map<String, Value>, texts: &[Cow<'_, str>]) -> Bytes {
    let mut parameters = fields.clone();
    let (task, title) = (parameters.remove("taskType"), parameters.remove("title"));
    let instances: Vec<Value> = texts
        .iter()
        .map(|text| {
            let mut instance = Map::from_iter([("content".to_owned(), json!(text))]);
            for (name, value) in [("task_type", &task), ("title", &title)] {
                instance.extend(value.clone().map(|value| (name.to_owned(), value)));
            }
            Value::Object(instance)
        })
        .collect();
    let mut body = Map::from_iter([("instances".to_owned(), Value::Array(instances))]);
    if !parameters.is_empty() {
        body.insert("parameters".to_owned(), Value::Object(parameters));
    }
    Bytes::from(Value::Object(body).to_string())
}

/// Any of Google's replies with vectors.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EmbedReply<'a> {
    #[serde(borrow, default)]
    embeddings: Option<Vec<Embedding<'a>>>,
    #[serde(borrow, default)]
    embedding: Option<Embedding<'a>>,
    #[serde(borrow, default)]
    predictions: Option<Vec<Prediction<'a>>>,
    #[serde(default)]
    usage_metadata: Tokens,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
    #[serde(default)]
    statistics: Statistics,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Embedding<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Tokens {
    prompt_token_count: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Statistics {
    token_count: Count,
}

fn decode(
    target: &Target,
    request: &EmbeddingRequest,
    replies: &[WireReply],
) -> Result<EmbeddingReply, ProviderError> {
    let mut vectors = Vectors::default();
    for reply in replies {
        let parsed: Option<EmbedReply<'_>> =
            std::str::from_utf8(&reply.body).ok().and_then(|text| raw_json::parse(text).ok());
        let Some(body) = parsed else {
            let message = "the reply is no list of embeddings as Google sends it";
            return Err(ProviderError::new(ProviderErrorKind::MalformedReply, message));
        };
        if body.error.is_some() {
            return Err(errors::in_band(&String::from_utf8_lossy(&reply.body)));
        }
        let alone = body.embeddings.into_iter().flatten().chain(body.embedding);
        let predicted = body.predictions.into_iter().flatten().map(|prediction| prediction.embeddings);
        for embedding in alone.chain(predicted) {
            vectors.add([embedding.values], embedding.statistics.token_count);
        }
        vectors.add([], body.usage_metadata.prompt_token_count);
    }
    vectors.write(&target.model, request)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn at(model: &str, location: &str) -> Target {
        Target { api_base: format!("https://x/v1/projects/p/locations/{location}"), ..Target::new(model) }
    }

    #[test]
    fn vertex_takes_as_many_texts_as_the_model_does() {
        let request = EmbeddingRequest::of("m", ["a", "b", "c", "d", "e", "f"]).unwrap();
        let check = |target: Target, path: &str, calls: usize| {
            assert_eq!(VertexEmbeddings.path(&target), path);
            assert_eq!(VertexEmbeddings.encode(&target, &request).unwrap().len(), calls, "{path}");
        };
        let models = "/publishers/google/models";
        check(at("gemini-embedding-2", "global"), &format!("{models}/gemini-embedding-2:embedContent"), 6);
        check(
            at("gemini-embedding-001", "us-central1"),
            &format!("{models}/gemini-embedding-001:predict"),
            6,
        );
        check(at("text-embedding-005", "us-central1"), &format!("{models}/text-embedding-005:predict"), 1);
        check(at("text-embedding-005", "europe-west4"), &format!("{models}/text-embedding-005:predict"), 2);
        check(at("123", "us-central1"), "/endpoints/123:predict", 1);
    }

    #[test]
    fn what_is_said_of_the_texts_stands_where_google_wants_it() {
        let request = EmbeddingRequest::from_json(
            r#"{"model":"m","input":"a","dimensions":8,"user":"u","task_type":"RETRIEVAL_QUERY","autoTruncate":false}"#,
        )
        .unwrap();
        let body = |calls: Vec<Bytes>| -> Value { serde_json::from_slice(&calls[0]).unwrap() };
        assert_eq!(
            body(VertexEmbeddings.encode(&at("text-embedding-005", "x"), &request).unwrap()),
            json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}],
                "parameters": {"outputDimensionality": 8, "autoTruncate": false}})
        );
        assert_eq!(
            body(GeminiEmbeddings.encode(&Target::new("m"), &request).unwrap()),
            json!({"requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 8, "autoTruncate": false}]})
        );
        let tokens = EmbeddingRequest::from_json(r#"{"model":"m","input":[1]}"#).unwrap();
        let kind = GeminiEmbeddings.encode(&Target::new("m"), &tokens).unwrap_err().kind();
        assert_eq!(kind, ProviderErrorKind::Unsupported);
    }

    #[test]
    fn what_is_no_list_of_embeddings_is_no_reply() {
        let request = EmbeddingRequest::of("m", ["a"]).unwrap();
        let kind = |body: &'static str| {
            let reply = WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() };
            GeminiEmbeddings.decode(&Target::new("m"), &request, &[reply]).unwrap_err().kind()
        };
        for body in ["", "{}", "[]", r#"{"embeddings":[]}"#, r#"{"embeddings":[{"values":7}]}"#] {
            assert_eq!(kind(body), ProviderErrorKind::MalformedReply, "{body}");
        }
        let error = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_ne!(kind(error), ProviderErrorKind::MalformedReply);
    }
}
