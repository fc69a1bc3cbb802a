//! What an Anthropic error means.

use http::{HeaderMap, StatusCode};
use router_core::{ProviderError, ProviderErrorKind};

use crate::error_body::{ErrorBody, kind_of_status, says_context_window};
use crate::protocol::WireReply;

/// Reads an error reply.
pub(super) fn decode(reply: &WireReply) -> ProviderError {
    let body = ErrorBody::parse(&reply.body);
    let kind = kind(Some(reply.status), &body);
    body.into_error(kind, Some(reply.status), &reply.headers)
}

/// Reads an error that came under status 200, whole or as an event of a stream.
pub(super) fn in_band(json: &str) -> ProviderError {
    let body = ErrorBody::parse(json.as_bytes());
    let (kind, status) = (kind(body.status, &body), body.status);
    body.into_error(kind, status, &HeaderMap::new())
}

/// The type first, then the status, and the text only where the type is the one for everything.
fn kind(status: Option<StatusCode>, body: &ErrorBody) -> ProviderErrorKind {
    let kind = body
        .codes
        .iter()
        .find_map(|code| by_type(code))
        .or_else(|| status.map(kind_of_status))
        .unwrap_or(ProviderErrorKind::Server);
    match kind {
        ProviderErrorKind::InvalidRequest => by_text(&body.message).unwrap_or(kind),
        other => other,
    }
}

fn by_type(kind: &str) -> Option<ProviderErrorKind> {
    Some(match kind {
        "invalid_request_error" => ProviderErrorKind::InvalidRequest,
        "authentication_error" => ProviderErrorKind::Authentication,
        "billing_error" => ProviderErrorKind::QuotaExhausted,
        "permission_error" => ProviderErrorKind::Permission,
        "not_found_error" => ProviderErrorKind::NotFound,
        // Over the size in bytes; as with the context window, only less or a roomier model helps.
        "request_too_large" => ProviderErrorKind::ContextWindow,
        "rate_limit_error" => ProviderErrorKind::RateLimited,
        "timeout_error" => ProviderErrorKind::Timeout,
        "overloaded_error" => ProviderErrorKind::Overloaded,
        _ => return None, // `api_error` too: the status says more
    })
}

/// `invalid_request_error` is also what a long prompt, an empty account and a refusing filter are called.
fn by_text(message: &str) -> Option<ProviderErrorKind> {
    let message = message.to_ascii_lowercase();
    if says_context_window(&message) {
        Some(ProviderErrorKind::ContextWindow)
    } else if message.contains("credit balance") {
        Some(ProviderErrorKind::QuotaExhausted)
    } else if message.contains("content filtering policy") {
        Some(ProviderErrorKind::ContentPolicy)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, kind: &str, message: &str, expected: ProviderErrorKind) {
        let reply = WireReply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#).into(),
        };
        let error = decode(&reply);
        assert_eq!(error.kind(), expected, "{status} {kind} {message}");
        assert_eq!((error.code(), error.message()), (Some(kind), message));
    }

    #[test]
    fn the_type_decides() {
        use ProviderErrorKind::*;
        check(400, "invalid_request_error", "messages: no", InvalidRequest);
        check(401, "authentication_error", "m", Authentication);
        check(402, "billing_error", "m", QuotaExhausted);
        check(403, "permission_error", "m", Permission);
        check(404, "not_found_error", "m", NotFound);
        check(413, "request_too_large", "m", ContextWindow);
        check(429, "rate_limit_error", "m", RateLimited);
        check(500, "api_error", "m", Server);
        check(503, "api_error", "m", Overloaded);
        check(504, "timeout_error", "m", Timeout);
        check(529, "overloaded_error", "m", Overloaded);
        check(529, "brand_new_error", "m", Overloaded);
        check(418, "brand_new_error", "m", InvalidRequest);
    }

    #[test]
    fn the_text_decides_last() {
        use ProviderErrorKind::*;
        let invalid = "invalid_request_error";
        check(400, invalid, "prompt is too long: 3333404 tokens > 200000 maximum", ContextWindow);
        check(400, invalid, "input length and `max_tokens` exceed context limit: 9 + 9 > 10", ContextWindow);
        check(400, invalid, "Your credit balance is too low to access the API", QuotaExhausted);
        check(400, invalid, "Output blocked by content filtering policy", ContentPolicy);
        check(500, "api_error", "prompt is too long", Server);
    }

    #[test]
    fn errors_in_a_stream_have_no_status_of_their_own() {
        let error = in_band(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
        assert_eq!(error.kind(), ProviderErrorKind::Overloaded);
        assert_eq!(error.status(), None);
        assert_eq!(in_band("{}").kind(), ProviderErrorKind::Server);
    }
}
