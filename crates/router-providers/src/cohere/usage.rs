//! Cohere tells what it bills and what it read; here counts what it read, as everywhere else.

use router_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Count};

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct WireUsage {
    tokens: Tokens,
    billed_units: Tokens,
    cached_tokens: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct Tokens {
    input_tokens: Count,
    output_tokens: Count,
    /// Beside the input.
    image_tokens: Count,
    reasoning_tokens: Count,
}

/// Reads a `usage` object; `None` when it tells nothing.
pub(super) fn read(usage: &RawValue) -> Option<Usage> {
    let wire: WireUsage = raw_json::parse(usage.get()).ok()?;
    let tokens = if wire.tokens.input_tokens.0.is_some() { wire.tokens } else { wire.billed_units };
    if tokens.input_tokens.0.is_none() && tokens.output_tokens.0.is_none() {
        return None;
    }
    let completion = tokens.output_tokens.or_zero();
    let prompt = tokens.input_tokens.or_zero().saturating_add(tokens.image_tokens.or_zero());
    Some(Usage {
        prompt,
        completion,
        cached_read: wire.cached_tokens.or_zero().min(prompt),
        reasoning: tokens.reasoning_tokens.or_zero().min(completion),
        ..Usage::default()
    })
}
