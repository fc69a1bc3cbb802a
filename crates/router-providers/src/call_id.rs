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

/// Returns an id that Mistral takes: nine letters and digits. Another is rewritten, the same way at the call and at its result.
pub(crate) fn nine_characters(id: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    // FNV-1a, 64 bit, of which nine letters keep more than fifty bits.
    let mut rest = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (0..9)
        .map(|_| {
            let letter = usize::try_from(rest % 62).ok().and_then(|at| LETTERS.get(at)).copied();
            rest /= 62;
            char::from(letter.unwrap_or(b'0'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistrals_ids_have_nine_characters_and_stay_apart() {
        assert_eq!(nine_characters("D681PevKs"), "D681PevKs");
        for id in ["", "call_1", "D681Pev-s", "call_abcdefghijklmnopqrstuvwx", "ääää1"] {
            let short = nine_characters(id);
            assert!(
                short.len() == 9 && short.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{id} {short}"
            );
            assert_eq!(short, nine_characters(id));
        }
        assert_ne!(nine_characters("call_1"), nine_characters("call_2"));
    }

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
