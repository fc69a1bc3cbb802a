//! Ids of tool calls, which travel from one provider's replies into another's requests.

use std::borrow::Cow;

/// Longer ids are refused by Anthropic and Bedrock.
const MAX_ID: usize = 64;

/// Returns an id that Anthropic and Bedrock take. One that they would refuse is rewritten, the same way at the call and at its
/// result; a fingerprint keeps ids apart that would otherwise become one.
pub(crate) fn clean_id(id: Cow<'_, str>) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.len() <= MAX_ID && id.chars().all(is_allowed) {
        return id;
    }
    // FNV-1a, 32 bit.
    let fingerprint =
        id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let clean: String = id.chars().take(MAX_ID - 9).map(|c| if is_allowed(c) { c } else { '_' }).collect();
    format!("{clean}_{fingerprint:08x}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cleaned_and_stay_apart() {
        let clean = |id: &str| clean_id(id.to_owned().into()).into_owned();
        assert_eq!(clean("call_1-a"), "call_1-a");
        assert!(clean("functions.f:0").starts_with("functions_f_0_"));
        assert_ne!(clean("functions.f:0"), clean("functions.f.0"));
        assert_ne!(clean(&"x".repeat(65)), clean(&"x".repeat(66)));
        assert_eq!(clean(&"x".repeat(65)).len(), MAX_ID);
    }
}
