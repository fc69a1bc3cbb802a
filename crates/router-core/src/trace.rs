//! W3C trace context: which trace a request belongs to.

use std::fmt;

/// A position in a trace: the trace, and the span that the next one is a child of.
///
/// The text form is the `traceparent` header of <https://www.w3.org/TR/trace-context/>.
///
/// ```
/// use router_core::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::parse(header).ok_or("a valid header")?;
/// assert!(trace.is_sampled);
/// assert_eq!(trace.to_string(), header);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; never zero.
    pub trace_id: u128,
    /// The parent span; never zero.
    pub span_id: u64,
    /// Whether the caller records this trace.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` header; `None` when it is not one. Later versions than 00 are read as far as they are known.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = hex(parts.next()?, 2)?;
        let is_valid = match version {
            0 => parts.next().is_none(),
            0xff => false,
            _ => true,
        };
        (is_valid && trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            is_sampled: flags & 1 == 1,
        })
    }

    /// Begins a trace for the route of this seed, for requests that bring none.
    #[must_use]
    pub const fn of_route(seed: u64) -> Self {
        let (high, low) = (scramble(seed ^ 0x7472_6163), scramble(seed));
        let trace_id = (high as u128) << 64 | low as u128 | 1;
        Self { trace_id, span_id: span_id(seed, 0), is_sampled: true }
    }

    /// Returns the same trace with the span of a route's attempt as parent, counted from 1; 0 is the route itself.
    #[must_use]
    pub const fn at_attempt(self, seed: u64, attempt: u64) -> Self {
        Self { span_id: span_id(seed, attempt), ..self }
    }
}

/// The span of a route's attempt. It follows from the seed, so that nobody has to carry it along.
const fn span_id(seed: u64, attempt: u64) -> u64 {
    scramble(seed ^ scramble(attempt.wrapping_add(1))) | 1
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
const fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Reads so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u128::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_traceparent_is_none() {
        for header in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes";
        assert!(TraceContext::parse(later).is_some_and(|trace| !trace.is_sampled));
    }

    #[test]
    fn each_attempt_is_a_span_of_its_own_in_the_same_trace() {
        let route = TraceContext::of_route(7);
        let spans: std::collections::HashSet<u64> =
            (0..100).map(|attempt| route.at_attempt(7, attempt).span_id).collect();
        assert_eq!(spans.len(), 100);
        assert_eq!(route.at_attempt(7, 0), route);
        assert_ne!(TraceContext::of_route(8).trace_id, route.trace_id);
    }
}
