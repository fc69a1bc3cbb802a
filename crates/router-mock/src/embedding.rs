//! Simulated embeddings, in OpenAI's shape.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{dice, wire::Refusal};

/// The numbers in a vector when the request does not say: few, so that a log stays readable.
const DIMENSIONS: usize = 8;
/// As many as any model has.
const MAX_DIMENSIONS: usize = 4_096;

/// A checked request for embeddings.
pub(crate) struct EmbeddingAsk {
    model: String,
    inputs: Vec<String>,
    dimensions: usize,
    is_base64: bool,
}

#[derive(Deserialize)]
struct RawEmbeddingAsk {
    model: Option<String>,
    input: Option<Value>,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

impl EmbeddingAsk {
    /// Reads a request body and refuses what the real service refuses.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let raw: RawEmbeddingAsk =
            serde_json::from_slice(body).map_err(|error| Refusal::BadJson(error.to_string()))?;
        let inputs = match raw.input {
            Some(Value::String(text)) => vec![text],
            // A list of numbers is one input of tokens.
            Some(Value::Array(items)) if items.first().is_some_and(Value::is_number) => {
                vec![Value::Array(items).to_string()]
            }
            Some(Value::Array(items)) if !items.is_empty() => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect(),
            _ => return Err(Refusal::Missing("input")),
        };
        Ok(Self {
            model: raw.model.ok_or(Refusal::Missing("model"))?,
            inputs,
            dimensions: raw.dimensions.unwrap_or(DIMENSIONS).clamp(1, MAX_DIMENSIONS),
            is_base64: raw.encoding_format.as_deref() == Some("base64"),
        })
    }

    pub(crate) fn chars(&self) -> u64 {
        self.inputs.iter().map(|input| input.chars().count() as u64).sum()
    }

    /// Writes the reply. The same text always has the same vector, of length one.
    pub(crate) fn reply(&self) -> String {
        let data: Vec<Value> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let vector = vector(input, self.dimensions);
                let embedding = if self.is_base64 { base64(&vector).into() } else { json!(vector) };
                json!({"object": "embedding", "index": index, "embedding": embedding})
            })
            .collect();
        let tokens = self.chars().div_ceil(4);
        json!({
            "object": "list", "data": data, "model": self.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })
        .to_string()
    }
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let seed = dice::seed_of(text);
    #[expect(clippy::cast_possible_truncation, reason = "a number between -1 and 1 fits, roughly")]
    let raw: Vec<f32> =
        (0..dimensions as u64).map(|n| (2.0 * dice::fraction(seed.wrapping_add(n)) - 1.0) as f32).collect();
    let length = raw.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::EPSILON);
    raw.into_iter().map(|number| number / length).collect()
}

/// The numbers, little-endian, in base64 (RFC 4648).
fn base64(vector: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, n| bits << 8 | u32::from(three.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if n > three.len() { '=' } else { digit.into() });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_written_as_everybody_reads_it() {
        assert_eq!(base64(&[1.0]), "AACAPw==");
        assert_eq!(base64(&[1.0, -2.0]), "AACAPwAAAMA=");
        assert_eq!(base64(&[1.0, -2.0, 0.5]), "AACAPwAAAMAAAAA/");
    }

    #[test]
    fn a_text_always_has_the_same_vector() {
        assert_eq!(vector("a", 3), vector("a", 3));
        assert_ne!(vector("a", 3), vector("b", 3));
        let length: f32 = vector("a", 100).iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-3);
    }
}
