//! A request in its caller's own words, where those are not the canonical ones.

use bytes::Bytes;
use http::HeaderMap;

use super::{Edit, JsonObject};

/// A request as its caller wrote it, for providers that speak the same format: they get the caller's bytes, so that nothing is lost on
/// the way through the canonical shape. Everybody else gets the translation, which is the [`ChatRequest`](super::ChatRequest) it belongs to.
#[derive(Debug, Clone)]
pub struct Native {
    format: NativeFormat,
    body: JsonObject,
    headers: HeaderMap,
    untranslated: Option<Box<str>>,
}

/// A format, other than the canonical one, that callers write requests in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NativeFormat {
    /// Anthropic's messages.
    AnthropicMessages,
}

impl Native {
    /// Keeps a body in this format.
    pub fn new(format: NativeFormat, body: JsonObject) -> Self {
        Self { format, body, headers: HeaderMap::new(), untranslated: None }
    }

    /// Adds headers that belong to the request, such as one that asks for a beta feature. They go to providers of the same format
    /// only, beside the deployment's own.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Says what the translation lacks, in words for an error: then only providers of the same format can answer.
    #[must_use]
    pub fn with_untranslated(mut self, what: impl Into<Box<str>>) -> Self {
        self.untranslated = Some(what.into());
        self
    }

    /// Returns the format.
    pub const fn format(&self) -> NativeFormat {
        self.format
    }

    /// Returns the headers that belong to the request.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns what the translation lacks; `None` when it says everything.
    pub fn untranslated(&self) -> Option<&str> {
        self.untranslated.as_deref()
    }

    /// Returns the body with some top-level fields changed.
    pub fn body_with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes {
        self.body.with(edits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChatRequest;

    fn request() -> ChatRequest {
        let body = JsonObject::read(r#"{"model":"fast","max_tokens":5,"top_k":3}"#).unwrap();
        let canonical = r#"{"model":"fast","messages":[],"fallbacks":["b"]}"#;
        let native = Native::new(NativeFormat::AnthropicMessages, body);
        ChatRequest::from_json(canonical).unwrap().with_native(native)
    }

    #[test]
    fn another_model_and_fields_for_the_router_leave_the_callers_words_as_they_are() {
        let edited =
            request().edited(&[("model", Edit::Set("\"capable\"")), ("fallbacks", Edit::Remove)]).unwrap();
        let native = edited.native().unwrap();
        let body = native.body_with(&[("model", Edit::Set("\"m\""))]);
        assert_eq!(&body[..], br#"{"model":"m","max_tokens":5,"top_k":3}"#);
    }

    #[test]
    fn a_request_that_says_something_else_is_in_the_callers_words_no_more() {
        let edited = request().edited(&[("messages", Edit::Set(r#"[{"role":"user"}]"#))]).unwrap();
        assert!(edited.native().is_none());
    }
}
