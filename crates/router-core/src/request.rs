//! A chat completion request: the caller's own bytes, and where the fields in them lie.

mod builder;
pub(crate) mod index;
mod native;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::builder::ChatRequestBuilder;
pub use self::index::JsonObject;
pub use self::native::{Native, NativeFormat};
use crate::TraceContext;

/// A request in the canonical shape, which is OpenAI's chat completions.
///
/// It keeps the body as it came and an index of its top-level fields, so that a provider of the same shape gets the caller's
/// bytes with only the changed fields spliced in: messages are neither parsed nor written again, unknown fields survive.
///
/// ```
/// use router_core::{ChatRequest, Edit};
///
/// # fn main() -> Result<(), router_core::RequestError> {
/// let request = ChatRequest::from_json(r#"{"model":"fast","messages":[],"top_k":3}"#)?;
/// assert_eq!(request.model(), "fast");
/// let body = request.body_with(&[("model", Edit::Set("\"gpt-4o-mini\""))]);
/// assert_eq!(&body[..], br#"{"model":"gpt-4o-mini","messages":[],"top_k":3}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ChatRequest {
    indexed: JsonObject,
    model: Box<str>,
    stream: bool,
    include_usage: bool,
    native: Option<Arc<Native>>,
    trace: Option<TraceContext>,
}

/// A change to one top-level field of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Gives the field this value, a JSON text; adds the field when it is not there.
    Set(&'a str),
    /// Leaves the field out.
    Remove,
}

/// A request body that is not a chat completion request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The body is not JSON. Line and column count from 1.
    #[error("the body is not valid JSON: {message} at line {line}, column {column}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
    },
    /// A field is not there.
    #[error("`{field}` is missing: expected {expected}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A field has the wrong type or value.
    #[error("`{field}` is wrong: expected {expected}, found {found}")]
    Wrong {
        /// The field, with its path.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A field stands there twice.
    #[error("`{field}` stands twice in the body: leave one")]
    Duplicate {
        /// The field.
        field: String,
    },
    /// The body is larger than a request can be.
    #[error("the body is too large: {what} is over {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

impl RequestError {
    /// Returns the field to blame, for errors that have one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { field, .. } | Self::Wrong { field, .. } => Some(field),
            Self::Duplicate { field } => Some(field),
            Self::Syntax { .. } | Self::TooLarge { .. } => None,
        }
    }
}

impl ChatRequest {
    /// Reads a request body and indexes its top-level fields, in one pass over the bytes.
    ///
    /// Only what routing needs is checked: the body is a JSON object, `model` is a string with something in it, `messages`
    /// is an array, `stream` is a boolean.
    ///
    /// # Errors
    /// [`RequestError`] names the place and what was expected there.
    pub fn from_json(body: impl Into<Bytes>) -> Result<Self, RequestError> {
        let indexed = JsonObject::read(body.into())?;
        let model = indexed.model()?;
        match indexed.field("messages") {
            None => return Err(RequestError::Missing { field: "messages", expected: "an array" }),
            Some(value) if !value.starts_with('[') => {
                return Err(RequestError::Wrong {
                    field: "messages",
                    expected: "an array",
                    found: index::kind_of(value),
                });
            }
            Some(_) => {}
        }
        let stream: Option<bool> = indexed
            .field("stream")
            .map(|value| index::parse("stream", "a boolean", value))
            .transpose()?
            .flatten();
        let include_usage = indexed.field("stream_options").map_or(Ok(false), asks_for_usage)?;
        Ok(Self { indexed, model, stream: stream.unwrap_or(false), include_usage, native: None, trace: None })
    }

    /// Starts a request to `model`, an alias, to be filled with messages and parameters.
    pub fn builder(model: impl Into<String>) -> ChatRequestBuilder {
        ChatRequestBuilder::new(model.into())
    }

    /// Makes a request with one user message.
    ///
    /// # Errors
    /// When the model is blank.
    pub fn user(model: impl Into<String>, text: impl Into<String>) -> Result<Self, RequestError> {
        Self::builder(model).user(text).build()
    }

    /// Returns the model the caller asks for: an alias.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns whether the caller asks for a stream.
    pub const fn is_stream(&self) -> bool {
        self.stream
    }

    /// Returns whether the caller asks for the usage at the end of a stream.
    pub const fn include_usage(&self) -> bool {
        self.include_usage
    }

    /// Returns the body as the caller wrote it.
    pub const fn body(&self) -> &Bytes {
        self.indexed.body()
    }

    /// Reads a top-level field; `None` when it is not there.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] when it is not what was `expected`.
    pub fn read<'a, T: serde::Deserialize<'a>>(
        &'a self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        self.field(field).map(|value| index::parse(field, expected, value)).transpose()
    }

    /// Returns the JSON text of a top-level field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.indexed.field(name)
    }

    /// Returns the body with some top-level fields changed. Everything else is copied as it stands; one allocation.
    pub fn body_with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes {
        self.indexed.with(edits)
    }

    /// Returns the request with some top-level fields changed. Another model, and fields that are taken out for the router, leave what
    /// is asked as it is; any other change makes it a request that its caller never wrote, so that [`native`](Self::native) is gone.
    ///
    /// # Errors
    /// When the changed request is none.
    pub fn edited(&self, edits: &[(&str, Edit<'_>)]) -> Result<Self, RequestError> {
        let asks_the_same = edits.iter().all(|(name, edit)| *name == "model" || *edit == Edit::Remove);
        let native = self.native.clone().filter(|_| asks_the_same);
        Ok(Self { native, trace: self.trace, ..Self::from_json(self.body_with(edits))? })
    }

    /// Adds the caller's own words, of which this request is the translation.
    #[must_use]
    pub fn with_native(mut self, native: Native) -> Self {
        self.native = Some(Arc::new(native));
        self
    }

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

    /// Returns the request as its caller wrote it, where that is in another format.
    pub fn native(&self) -> Option<&Native> {
        self.native.as_deref()
    }
}

fn asks_for_usage(options: &str) -> Result<bool, RequestError> {
    #[derive(serde::Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    if !options.starts_with(['{', 'n']) {
        let found = index::kind_of(options);
        return Err(RequestError::Wrong { field: "stream_options", expected: "an object", found });
    }
    let expected = "an object whose `include_usage` is a boolean";
    let options: Option<StreamOptions> = index::parse("stream_options", expected, options)?;
    Ok(options.is_some_and(|options| options.include_usage == Some(true)))
}

impl fmt::Debug for ChatRequest {
    /// Shows the model and the size, never the messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<ChatRequest, RequestError> {
        ChatRequest::from_json(body.to_owned())
    }

    #[test]
    fn edits_change_their_field_and_nothing_else() {
        let request = read(
            r#" { "model" : "fast", "messages": [ {"role":"user","content":"a, \"b\" }"} ] ,"x":{"y":1e9}} "#,
        )
        .unwrap();
        let body = request.body_with(&[
            ("model", Edit::Set("\"m\"")),
            ("x", Edit::Remove),
            ("stream_options", Edit::Set(r#"{"include_usage":true}"#)),
        ]);
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"model":"m","messages":[ {"role":"user","content":"a, \"b\" }"} ],"stream_options":{"include_usage":true}}"#
        );
    }

    #[test]
    fn escaped_names_and_models_are_read_as_what_they_mean() {
        let request = read(r#"{"mod\u0065l":"fa\u0073t","messages":[],"st\u0072eam":true}"#).unwrap();
        assert_eq!(request.model(), "fast");
        assert!(request.is_stream());
        let body = request.body_with(&[("model", Edit::Set("\"m\""))]);
        assert!(!body.windows(4).any(|window| window == b"mod\\"), "{body:?}");
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let check = |body: &str, expected: &str| {
            assert_eq!(read(body).unwrap_err().to_string(), expected, "{body}");
        };
        check(
            "{\"model\":\"fast\",\n \"messages\": [}",
            "the body is not valid JSON: expected value at line 2, column 15",
        );
        check("[]", "`body` is wrong: expected a JSON object, found an array");
        check("", "the body is not valid JSON: EOF while parsing a value at line 1, column 0");
        check(r#"{"messages":[]}"#, "`model` is missing: expected a string");
        check(
            r#"{"model":" ","messages":[]}"#,
            "`model` is wrong: expected the name of a model, found a blank string",
        );
        check(r#"{"model":7,"messages":[]}"#, "`model` is wrong: expected a string, found a number");
        check(r#"{"model":"m"}"#, "`messages` is missing: expected an array");
        check(r#"{"model":"m","messages":"hi"}"#, "`messages` is wrong: expected an array, found a string");
        check(
            r#"{"model":"m","messages":[],"stream":"yes"}"#,
            "`stream` is wrong: expected a boolean, found a string",
        );
        check(r#"{"model":"m","messages":[],"model":"n"}"#, "`model` stands twice in the body: leave one");
        check(
            r#"{"model":"m","messages":[],"stream_options":[]}"#,
            "`stream_options` is wrong: expected an object, found an array",
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        let mut body = br#"{"model":"m","messages":["x"]}"#.to_vec();
        body[26] = 0xFF;
        assert!(matches!(ChatRequest::from_json(body), Err(RequestError::Syntax { .. })));
    }

    #[test]
    fn a_request_with_too_many_fields_is_refused() {
        let many: String = (0..300).map(|n| format!(",\"f{n}\":1")).collect();
        assert!(matches!(
            read(&format!(r#"{{"model":"m","messages":[]{many}}}"#)),
            Err(RequestError::TooLarge { .. })
        ));
    }

    #[test]
    fn debug_output_never_shows_the_messages() {
        let request = ChatRequest::user("fast", "my secret").unwrap();
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[test]
    fn usage_is_wanted_only_when_asked_for() {
        let asks = |options: &str| {
            read(&format!(r#"{{"model":"m","messages":[],"stream":true,"stream_options":{options}}}"#))
                .unwrap()
                .include_usage()
        };
        assert!(asks(r#"{"include_usage":true}"#));
        assert!(!asks(r#"{"include_usage":false}"#));
        assert!(!asks("{}"));
        assert!(!asks("null"));
    }
}
