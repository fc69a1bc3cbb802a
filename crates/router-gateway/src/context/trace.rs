//! W3C trace context (<https://www.w3.org/TR/trace-context/>).

use http::HeaderMap;

/// The trace that a request is a part of, as its caller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceContext {
    /// `00-<32 digits>-<16 digits>-<2 digits>`, checked.
    parent: Box<str>,
}

impl TraceContext {
    /// Reads `traceparent`. One that is malformed is as good as none, as the standard wants it.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let parent = headers.get("traceparent")?.to_str().ok()?;
        let mut fields = parent.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        // Later versions may append fields; the first has none.
        let ends = fields.next().is_none() || version != "00";
        let is_valid = is_whole && ends && version != "ff" && !is_zero(trace) && !is_zero(span);
        is_valid.then(|| Self { parent: parent.into() })
    }

    /// Returns the 32 digits that name the trace.
    pub(crate) fn trace_id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_parent_is_read_and_a_malformed_one_is_none() {
        let check = |value: &str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("traceparent"),
                value.parse().unwrap(),
            )]);
            assert_eq!(
                TraceContext::read(&headers).as_ref().map(TraceContext::trace_id),
                expected,
                "{value}"
            );
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check(&format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace));
        check(&format!("01-{trace}-00f067aa0ba902b7-01-later"), Some(trace));
        check(&format!("00-{trace}-00f067aa0ba902b7-01-later"), None);
        check(&format!("ff-{trace}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{trace}-0000000000000000-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), None);
        check("00-4bf9", None);
        check("", None);
    }
}
