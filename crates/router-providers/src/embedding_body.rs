//! Embeddings in formats other than OpenAI's: texts in, and vectors out, in the canonical shape.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use router_core::{EmbeddingReply, EmbeddingRequest, Encoding, ProviderError, ProviderErrorKind, Usage};
use serde_json::json;
use serde_json::value::RawValue;

use crate::canonical_request::invalid;
use crate::raw_json::Count;
use crate::unsupported::unsupported;

/// Returns the texts of a request.
///
/// # Errors
/// When there are none, when they are tokens, which only OpenAI's format takes, and when the vectors are wanted in a form that
/// nobody writes.
pub(crate) fn texts<'a>(
    request: &'a EmbeddingRequest,
    provider: &str,
) -> Result<Vec<Cow<'a, str>>, ProviderError> {
    request.encoding().map_err(|error| invalid(&error.to_string()))?;
    let texts = request.texts().ok_or_else(|| unsupported("`input` of tokens", provider))?;
    if texts.is_empty() {
        return Err(invalid("`input` is empty: expected a text, or a list of texts"));
    }
    Ok(texts)
}

/// The vectors of several replies, each a JSON list of numbers, in the order of the texts.
#[derive(Default)]
pub(crate) struct Vectors<'a> {
    vectors: Vec<&'a RawValue>,
    tokens: Count,
}

impl<'a> Vectors<'a> {
    /// Adds those of the next reply, and the tokens it counts.
    pub(crate) fn add(&mut self, vectors: impl IntoIterator<Item = &'a RawValue>, tokens: Count) {
        self.vectors.extend(vectors);
        if let Some(more) = tokens.0 {
            self.tokens = Count(Some(self.tokens.or_zero().saturating_add(more)));
        }
    }

    /// Writes the canonical reply to a request.
    ///
    /// # Errors
    /// When there is not one vector for each text, or what should be one is something else.
    pub(crate) fn write(
        self,
        model: &str,
        request: &EmbeddingRequest,
    ) -> Result<EmbeddingReply, ProviderError> {
        let malformed = |message: &str| ProviderError::new(ProviderErrorKind::MalformedReply, message);
        if request.texts().is_some_and(|texts| texts.len() != self.vectors.len()) {
            return Err(malformed("the reply has not one embedding for each text"));
        }
        let encoding = request.encoding().map_err(|error| invalid(&error.to_string()))?;
        let mut body = String::from(r#"{"object":"list","data":["#);
        for (index, vector) in self.vectors.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            body.push_str(&format!(r#"{comma}{{"object":"embedding","index":{index},"embedding":"#));
            let numbers: Vec<f32> = serde_json::from_str(vector.get())
                .map_err(|_| malformed("an embedding is not a list of numbers"))?;
            match encoding {
                Encoding::Float => body.push_str(vector.get()),
                Encoding::Base64 => {
                    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                    body.push('"');
                    STANDARD.encode_string(bytes, &mut body);
                    body.push('"');
                }
            }
            body.push('}');
        }
        let usage = self.tokens.0.map(|prompt| Usage { prompt, ..Usage::default() });
        let tokens = self.tokens.or_zero();
        let counts = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        body.push_str(&format!(r#"],"model":{},"usage":{counts}}}"#, json!(model)));
        Ok(EmbeddingReply { body: body.into(), model: Some(model.to_owned()), usage, headroom: None })
    }
}
