//! Static embeddings: a vector for each token, and a text is the mean of its tokens'.

use std::fmt;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tokenizers::Tokenizer;

/// A model in the format of model2vec: a folder with `tokenizer.json` and `model.safetensors`.
///
/// The tensor `embeddings` has a row for each token, in 32 or 16 bits or in 8-bit integers. Newer models also have `mapping`, the row of each
/// token, and `weights`, what each token counts (see the sources of model2vec, `StaticModel`).
pub struct Embeddings {
    tokenizer: Tokenizer,
    /// The token of what the tokenizer does not know: it has no meaning.
    unknown: Option<u32>,
    rows: Vec<f32>,
    dimensions: usize,
    mapping: Option<Vec<usize>>,
    weights: Option<Vec<f32>>,
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embeddings").field("dimensions", &self.dimensions).finish_non_exhaustive()
    }
}

/// A folder that is no model.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct EmbeddingsError {
    file: String,
    message: String,
}

/// Tokens of a text that count, as in model2vec.
const MOST_TOKENS: usize = 512;

impl Embeddings {
    /// Reads a model from a folder.
    ///
    /// # Errors
    /// When a file is missing or is something else.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, EmbeddingsError> {
        let folder = folder.as_ref();
        let (tokens, tensors) = (folder.join("tokenizer.json"), folder.join("model.safetensors"));
        let json = read(&tokens)?;
        let tokenizer = Tokenizer::from_bytes(&json).map_err(|error| wrong(&tokens, error))?;
        let unknown = unknown_token(&json).and_then(|token| tokenizer.token_to_id(&token));
        let bytes = read(&tensors)?;
        let tensors_of = SafeTensors::deserialize(&bytes).map_err(|error| wrong(&tensors, error))?;
        let missing = |error: &dyn fmt::Display| wrong(&tensors, format!("the tensor `embeddings`: {error}"));
        let view = tensors_of.tensor("embeddings").map_err(|error| missing(&error))?;
        let &[_, dimensions] = view.shape() else {
            return Err(missing(&"expected a row for each token"));
        };
        if dimensions == 0 {
            return Err(missing(&"its rows are empty"));
        }
        let rows = numbers(&view).ok_or_else(|| missing(&format!("numbers of type {:?}", view.dtype())))?;
        let optional = |name: &str| match tensors_of.tensor(name) {
            Ok(view) => {
                let found = numbers(&view);
                found.map(Some).ok_or_else(|| {
                    wrong(&tensors, format!("the tensor `{name}`: numbers of type {:?}", view.dtype()))
                })
            }
            Err(_) => Ok(None),
        };
        let weights = optional("weights")?;
        let mapping = optional("mapping")?.map(|rows| rows.into_iter().map(position).collect());
        Ok(Self { tokenizer, unknown, rows, dimensions, mapping, weights })
    }

    /// Returns the embedding of a text, of length 1; `None` when it has no token that the model knows.
    pub fn embed(&self, text: &str) -> Option<Vec<f32>> {
        let encoding = self.tokenizer.encode_fast(text, false).ok()?;
        let mut sum = vec![0.0_f32; self.dimensions];
        let tokens = encoding.get_ids().iter().filter(|id| Some(**id) != self.unknown).take(MOST_TOKENS);
        for id in tokens {
            let id = usize::try_from(*id).ok()?;
            let row = match &self.mapping {
                Some(mapping) => mapping.get(id).copied().unwrap_or(usize::MAX),
                None => id,
            };
            let from = row.saturating_mul(self.dimensions);
            // A tokenizer may know more than the model.
            let Some(row) = self.rows.get(from..from.saturating_add(self.dimensions)) else { continue };
            let weight = self.weights.as_ref().and_then(|weights| weights.get(id)).copied().unwrap_or(1.0);
            sum.iter_mut().zip(row).for_each(|(sum, part)| *sum += weight * part);
        }
        // The mean points where the sum does.
        let length = sum.iter().map(|part| part * part).sum::<f32>().sqrt();
        (length > 0.0).then(|| {
            sum.iter_mut().for_each(|part| *part /= length);
            sum
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EmbeddingsError> {
    std::fs::read(path).map_err(|error| wrong(path, format!("cannot be read: {error}")))
}

fn wrong(path: &Path, message: impl fmt::Display) -> EmbeddingsError {
    EmbeddingsError { file: path.display().to_string(), message: message.to_string() }
}

/// The name of the token for what is unknown: a name in most kinds of tokenizers, a position in others.
fn unknown_token(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        unk_token: Option<String>,
        unk_id: Option<usize>,
        #[serde(default)]
        vocab: serde_json::Value,
    }
    let File { model: Model { unk_token, unk_id, vocab } } = serde_json::from_slice(json).ok()?;
    unk_token.or_else(|| Some(vocab.get(unk_id?)?.get(0)?.as_str()?.to_owned()))
}

/// The numbers of a tensor; `None` for types that no model2vec model has.
fn numbers(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights in 64 bits are no more precise than that, and rows fit"
    )]
    let numbers = match view.dtype() {
        Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |bytes| half(u16::from_le_bytes(bytes))),
        Dtype::I8 => each(bytes, |bytes| f32::from(i8::from_le_bytes(bytes))),
        // Rows are fewer than 2^24, up to which these are exact.
        Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        Dtype::I32 => each(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
        _ => return None,
    };
    Some(numbers)
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a row; a negative one becomes the first"
)]
fn position(row: f32) -> usize {
    row as usize
}

/// A number in 16 bits, as IEEE 754 has it.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1F);
    let fraction = f32::from(bits & 0x3FF) / 1024.0;
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-14),
        31 if fraction > 0.0 => f32::NAN,
        31 => f32::INFINITY,
        _ => (1.0 + fraction) * 2.0_f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_sixteen_bits_are_what_they_are() {
        for (bits, expected) in [
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7BFF, 65_504.0),
        ] {
            assert!((half(bits) - expected).abs() <= expected.abs() * 1e-6, "{bits:x}");
        }
        assert!(half(0x7C00).is_infinite() && half(0x7C01).is_nan());
    }
}
