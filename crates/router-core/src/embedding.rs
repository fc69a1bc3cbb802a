//! Embeddings: texts become vectors.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::request::index::{self, JsonObject};
use crate::{Edit, Headroom, RequestError, TraceContext, Usage};

/// A request in the canonical shape, which is OpenAI's embeddings. It keeps the body as it came, as
/// [`ChatRequest`](crate::ChatRequest) does.
///
/// ```
/// use router_core::EmbeddingRequest;
///
/// # fn main() -> Result<(), router_core::RequestError> {
/// let request = EmbeddingRequest::from_json(r#"{"model":"vectors","input":["a","b"]}"#)?;
/// assert_eq!(request.model(), "vectors");
/// assert_eq!(request.texts(), Some(vec!["a".into(), "b".into()]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EmbeddingRequest {
    indexed: JsonObject,
    model: Box<str>,
    trace: Option<TraceContext>,
}

const INPUT: &str = "a string, or a list of strings or tokens";

impl EmbeddingRequest {
    /// Adds the span that the call to a provider is a child of, to be told to the provider.
    #[must_use]
    pub const fn with_trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Returns the span to be told to the provider, if it is to hear of one.
    pub const fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Reads a request body and indexes its top-level fields. Only what routing needs is checked: the body is a JSON object,
    /// `model` is a string with something in it, and there is an `input` that is a string or a list.
    ///
    /// # Errors
    /// [`RequestError`] names the place and what was expected there.
    pub fn from_json(body: impl Into<Bytes>) -> Result<Self, RequestError> {
        let indexed = JsonObject::read(body.into())?;
        let model = indexed.model()?;
        match indexed.field("input") {
            None => Err(RequestError::Missing { field: "input", expected: INPUT }),
            Some(value) if value.starts_with(['"', '[']) => Ok(Self { indexed, model, trace: None }),
            Some(value) => {
                Err(RequestError::Wrong { field: "input", expected: INPUT, found: index::kind_of(value) })
            }
        }
    }

    /// Makes a request for the vectors of these texts.
    ///
    /// # Errors
    /// When the model is blank.
    pub fn of<T: Into<String>>(
        model: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, RequestError> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        Self::from_json(json!({"model": model.into(), "input": texts}).to_string())
    }

    /// Returns the same request with one more field, such as `dimensions`, or another value for it.
    ///
    /// # Errors
    /// When `model` or `input` become something they cannot be.
    pub fn with(&self, field: &str, value: impl Into<Value>) -> Result<Self, RequestError> {
        Self::from_json(self.body_with(&[(field, Edit::Set(&value.into().to_string()))]))
    }

    /// Returns the model the caller asks for: an alias.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the body as the caller wrote it.
    pub const fn body(&self) -> &Bytes {
        self.indexed.body()
    }

    /// Returns the JSON text of a top-level field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.indexed.field(name)
    }

    /// Reads a top-level field; `None` when it is not there.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] when it is not what was `expected`.
    pub fn read<'a, T: Deserialize<'a>>(
        &'a self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        self.field(field).map(|value| index::parse(field, expected, value)).transpose()
    }

    /// Returns the body with some top-level fields changed. Everything else is copied as it stands; one allocation.
    pub fn body_with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes {
        self.indexed.with(edits)
    }

    /// Returns the texts to embed; `None` when they are not texts but tokens, which mean something to one tokenizer only.
    pub fn texts(&self) -> Option<Vec<Cow<'_, str>>> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        let input = self.field("input").unwrap_or_default();
        if input.starts_with('"') {
            let Text(text) = serde_json::from_str(input).ok()?;
            return Some(vec![text]);
        }
        let texts: Vec<Text<'_>> = serde_json::from_str(input).ok()?;
        Some(texts.into_iter().map(|Text(text)| text).collect())
    }

    /// Returns how the caller wants the vectors written.
    ///
    /// # Errors
    /// When `encoding_format` is something else than `float` or `base64`.
    pub fn encoding(&self) -> Result<Encoding, RequestError> {
        const FIELD: &str = "encoding_format";
        match self.field(FIELD) {
            None | Some("null" | "\"float\"") => Ok(Encoding::Float),
            Some("\"base64\"") => Ok(Encoding::Base64),
            Some(other) => Err(RequestError::Wrong {
                field: FIELD,
                expected: "\"float\" or \"base64\"",
                found: if other.starts_with('"') { "another string" } else { index::kind_of(other) },
            }),
        }
    }
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A list of numbers.
    Float,
    /// The numbers as 32-bit floats, little-endian, in base64: a third of the size.
    Base64,
}

impl fmt::Debug for EmbeddingRequest {
    /// Shows the model and the size, never the texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingRequest")
            .field("model", &self.model)
            .field("bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// Vectors in the canonical shape: an OpenAI `list` of `embedding` objects.
#[derive(Clone)]
pub struct EmbeddingReply {
    /// The JSON object. A same-shape provider's bytes stand here as they came.
    pub body: Bytes,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// The tokens used; `None` when the provider did not say.
    pub usage: Option<Usage>,
    /// What the provider's rate-limit headers said.
    pub headroom: Option<Headroom>,
}

impl EmbeddingReply {
    /// Returns the vectors in the order of the inputs; `None` when they are written in base64.
    pub fn vectors(&self) -> Option<Vec<Vec<f32>>> {
        #[derive(Deserialize)]
        struct Body {
            data: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            #[serde(default)]
            index: usize,
            embedding: Vec<f32>,
        }
        let mut body: Body = serde_json::from_slice(&self.body).ok()?;
        body.data.sort_by_key(|item| item.index);
        Some(body.data.into_iter().map(|item| item.embedding).collect())
    }
}

impl fmt::Debug for EmbeddingReply {
    /// Shows the model, usage and size, never the vectors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingReply")
            .field("model", &self.model)
            .field("usage", &self.usage)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let check = |body: &'static str, expected: &str| {
            assert_eq!(EmbeddingRequest::from_json(body).unwrap_err().to_string(), expected, "{body}");
        };
        check(r#"{"input":"a"}"#, "`model` is missing: expected a string");
        check(r#"{"model":"m"}"#, "`input` is missing: expected a string, or a list of strings or tokens");
        check(
            r#"{"model":"m","input":{"text":"a"}}"#,
            "`input` is wrong: expected a string, or a list of strings or tokens, found an object",
        );
    }

    #[test]
    fn the_caller_s_bytes_are_kept() {
        let request = EmbeddingRequest::from_json(r#"{"input": [ "a" ], "model":"m", "x":1e9}"#).unwrap();
        let body = request.body_with(&[("model", Edit::Set("\"n\""))]);
        assert_eq!(body, r#"{"input":[ "a" ],"model":"n","x":1e9}"#);
        assert!(!format!("{request:?}").contains("\"a\""));
    }

    #[test]
    fn texts_are_told_from_tokens() {
        let texts = |input: &str| {
            let request = EmbeddingRequest::from_json(format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
            request.texts().map(|texts| texts.into_iter().map(Cow::into_owned).collect::<Vec<_>>())
        };
        assert_eq!(texts(r#""a\n""#), Some(vec!["a\n".to_owned()]));
        assert_eq!(texts(r#"["a", "b"]"#), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(texts("[]"), Some(Vec::new()));
        assert_eq!(texts("[1, 2]"), None);
        assert_eq!(texts("[[1], [2]]"), None);
    }

    #[test]
    fn the_encoding_is_one_of_two() {
        let encoding = |value: &str| {
            let request = EmbeddingRequest::of("m", ["a"]).unwrap();
            request.with("encoding_format", value).unwrap().encoding()
        };
        assert_eq!(encoding("float"), Ok(Encoding::Float));
        assert_eq!(encoding("base64"), Ok(Encoding::Base64));
        assert_eq!(
            encoding("int8").unwrap_err().to_string(),
            "`encoding_format` is wrong: expected \"float\" or \"base64\", found another string"
        );
    }

    #[test]
    fn vectors_come_in_the_order_of_their_inputs() {
        let body = r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[0.5,1]}]}"#;
        let reply = EmbeddingReply { body: body.into(), model: None, usage: None, headroom: None };
        assert_eq!(reply.vectors(), Some(vec![vec![0.5, 1.0], vec![2.0]]));
    }
}
