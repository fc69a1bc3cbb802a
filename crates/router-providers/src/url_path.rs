//! Names as parts of a URL's path.

/// Returns a name as one segment of a path: whatever could end the segment or mean something else is escaped. `@` may stay, and
/// does, since Google's model names hold it.
pub(crate) fn segment(name: &str) -> String {
    escaped(name, |byte| byte == b'@')
}

/// Returns a name as AWS escapes it, where only letters, digits and `-._~` stay.
#[cfg(feature = "bedrock")]
pub(crate) fn strict_segment(name: &str) -> String {
    escaped(name, |_| false)
}

fn escaped(name: &str, may_stay: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            other if may_stay(other) => escaped.push(char::from(other)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("claude-3-7-sonnet@20250219"), "claude-3-7-sonnet@20250219");
        assert_eq!(segment("us.anthropic.claude-v1:0"), "us.anthropic.claude-v1%3A0");
        assert_eq!(segment("arn:aws:x/y?z=ü"), "arn%3Aaws%3Ax%2Fy%3Fz%3D%C3%BC");
    }
}
