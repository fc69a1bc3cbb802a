//! What a Cohere error means. Its bodies are a message and an id, seldom a type: the status says nearly all.

use router_core::{ProviderError, ProviderErrorKind};

use crate::error_body::ErrorBody;
use crate::openai::errors;
use crate::protocol::WireReply;

/// Reads an error reply.
pub(super) fn decode(reply: &WireReply) -> ProviderError {
    match reply.status.as_u16() {
        // Cohere's own: an invalid token. Elsewhere it is a lack of capacity.
        498 => {
            let body = ErrorBody::parse(&reply.body);
            body.into_error(ProviderErrorKind::Authentication, Some(reply.status), &reply.headers)
        }
        _ => errors::decode(reply),
    }
}

/// The error that ended an answer under way.
pub(super) fn in_answer(reason: &str) -> ProviderError {
    let kind = match reason {
        "TIMEOUT" => ProviderErrorKind::Timeout,
        "ERROR_LIMIT" => ProviderErrorKind::ContextWindow,
        _ => ProviderErrorKind::Server,
    };
    ProviderError::new(kind, "the provider ended its answer with an error").with_code(reason)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn the_status_decides_and_a_type_where_there_is_one() {
        use ProviderErrorKind::{Authentication, ContextWindow, InvalidRequest, NotFound, RateLimited};
        for (status, body, expected) in [
            (498, r#"{"id":"x","message":"invalid api token"}"#, Authentication),
            (401, r#"{"id":"x","message":"no"}"#, Authentication),
            (404, r#"{"id":"x","message":"model 'x' not found"}"#, NotFound),
            (429, r#"{"message":"slow down"}"#, RateLimited),
            (400, r#"{"message":"too many","error_type":"TOO_MANY_TOKENS"}"#, ContextWindow),
            (400, r#"{"message":"invalid request"}"#, InvalidRequest),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = decode(&WireReply { status, headers: HeaderMap::new(), body: body.into() });
            assert_eq!(error.kind(), expected, "{body}");
        }
    }
}
