//! Writes vectors in the canonical shape, for formats that have another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use router_core::{EmbeddingReply, EmbeddingRequest, Encoding, ProviderError, ProviderErrorKind, Usage};
use serde_json::json;
use serde_json::value::RawValue;

/// Writes the reply to a request: these vectors, each a JSON list of numbers, in the order of the inputs.
///
/// # Errors
/// When there are no vectors, or what should be one is something else.
pub(crate) fn write(
    model: &str,
    vectors: &[&RawValue],
    request: &EmbeddingRequest,
    usage: Option<Usage>,
) -> Result<EmbeddingReply, ProviderError> {
    let malformed = |message: &str| ProviderError::new(ProviderErrorKind::MalformedReply, message);
    if vectors.is_empty() {
        return Err(malformed("the reply has no embeddings"));
    }
    let encoding = request
        .encoding()
        .map_err(|error| ProviderError::new(ProviderErrorKind::InvalidRequest, error.to_string()))?;
    let mut body = String::from(r#"{"object":"list","data":["#);
    for (index, vector) in vectors.iter().enumerate() {
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
    let tokens = usage.map_or(0, |usage| usage.prompt);
    let usage_object = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    body.push_str(&format!(r#"],"model":{},"usage":{usage_object}}}"#, json!(model)));
    Ok(EmbeddingReply { body: body.into(), model: Some(model.to_owned()), usage, headroom: None })
}
