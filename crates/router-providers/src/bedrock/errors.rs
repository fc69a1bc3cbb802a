//! What an error of AWS means.

use http::{HeaderMap, StatusCode};
use router_core::{ProviderError, ProviderErrorKind};

use crate::error_body::{ErrorBody, kind_of_status, says_context_window};
use crate::protocol::WireReply;

/// Reads an error reply. Its name stands in a header, with an address after it.
pub(super) fn decode(reply: &WireReply) -> ProviderError {
    let header = reply.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let mut body = ErrorBody::parse(&reply.body);
    let name =
        header.and_then(|value| value.split(':').next()).map(str::to_owned).or_else(|| name_in(&reply.body));
    if let Some(name) = name {
        body.codes.insert(0, name);
    }
    read(body, Some(reply.status), &reply.headers)
}

/// Reads an error that came as a frame of a stream.
pub(super) fn in_band(name: &str, payload: &[u8], said: Option<&str>) -> ProviderError {
    let mut body = ErrorBody::parse(payload);
    body.codes.insert(0, name.to_owned());
    if let Some(said) = said.filter(|_| body.message.is_empty()) {
        body.message = said.to_owned();
    }
    read(body, None, &HeaderMap::new())
}

fn read(body: ErrorBody, status: Option<StatusCode>, headers: &HeaderMap) -> ProviderError {
    let kind = body
        .codes
        .first()
        .and_then(|name| by_name(name))
        .or_else(|| status.map(kind_of_status))
        .unwrap_or(ProviderErrorKind::Server);
    let kind = match kind {
        ProviderErrorKind::InvalidRequest => by_text(&body.message).unwrap_or(kind),
        other => other,
    };
    body.into_error(kind, status, headers)
}

/// Older services have the name in the body: `{"__type": "com.amazon.coral.service#ThrottlingException"}`.
fn name_in(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let name = value.get("__type")?.as_str()?;
    name.rsplit('#').next().map(str::to_owned)
}

/// The names, as headers write them (`ThrottlingException`) and streams (`throttlingException`).
fn by_name(name: &str) -> Option<ProviderErrorKind> {
    let name = name.to_ascii_lowercase();
    Some(match name.strip_suffix("exception").unwrap_or(&name) {
        "validation" => ProviderErrorKind::InvalidRequest,
        "accessdenied" => ProviderErrorKind::Permission,
        "unrecognizedclient"
        | "expiredtoken"
        | "invalidsignature"
        | "incompletesignature"
        | "missingauthenticationtoken"
        | "signaturedoesnotmatch"
        | "invalidclienttokenid" => ProviderErrorKind::Authentication,
        "resourcenotfound" => ProviderErrorKind::NotFound,
        "servicequotaexceeded" => ProviderErrorKind::QuotaExhausted,
        "throttling" | "toomanyrequests" => ProviderErrorKind::RateLimited,
        "modelnotready" | "serviceunavailable" => ProviderErrorKind::Overloaded,
        "modeltimeout" => ProviderErrorKind::Timeout,
        "internalserver" | "modelerror" | "modelstreamerror" | "internalfailure" => ProviderErrorKind::Server,
        _ => return None,
    })
}

/// `ValidationException` is also what a long prompt and a wrong model are called.
fn by_text(message: &str) -> Option<ProviderErrorKind> {
    let message = message.to_ascii_lowercase();
    if says_context_window(&message) || message.contains("input is too long") {
        Some(ProviderErrorKind::ContextWindow)
    } else if message.contains("model identifier is invalid") || message.contains("with on-demand throughput")
    {
        // The latter wants an inference profile in place of the model's own id.
        Some(ProviderErrorKind::NotFound)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn error(status: u16, name: &str, body: &str) -> ProviderError {
        let mut headers = HeaderMap::new();
        if !name.is_empty() {
            headers.insert(
                "x-amzn-errortype",
                HeaderValue::from_str(&format!("{name}:http://internal/")).unwrap(),
            );
        }
        decode(&WireReply {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_owned().into(),
        })
    }

    #[test]
    fn the_name_in_the_header_decides() {
        use ProviderErrorKind::*;
        let check = |status: u16, name: &str, expected: ProviderErrorKind| {
            let error = error(status, name, r#"{"message":"m"}"#);
            assert_eq!((error.kind(), error.code(), error.message()), (expected, Some(name), "m"), "{name}");
        };
        check(400, "ValidationException", InvalidRequest);
        check(403, "AccessDeniedException", Permission);
        check(403, "UnrecognizedClientException", Authentication);
        check(403, "ExpiredTokenException", Authentication);
        check(403, "InvalidSignatureException", Authentication);
        check(403, "MissingAuthenticationTokenException", Authentication);
        check(404, "ResourceNotFoundException", NotFound);
        check(400, "ServiceQuotaExceededException", QuotaExhausted);
        check(429, "ThrottlingException", RateLimited);
        check(429, "ModelNotReadyException", Overloaded);
        check(408, "ModelTimeoutException", Timeout);
        check(424, "ModelErrorException", Server);
        check(500, "InternalServerException", Server);
        check(503, "ServiceUnavailableException", Overloaded);
        check(500, "BrandNewException", Server);
        check(429, "BrandNewException", RateLimited);
    }

    #[test]
    fn without_a_header_the_body_and_the_status_decide_and_the_text_last() {
        use ProviderErrorKind::*;
        let coral = r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"m"}"#;
        assert_eq!(error(400, "", coral).kind(), Authentication);
        assert_eq!(error(400, "", r#"{"Message":"no"}"#).kind(), InvalidRequest);
        assert_eq!(error(400, "", r#"{"Message":"no"}"#).message(), "no");
        let validation =
            |text: &str| error(400, "ValidationException", &format!(r#"{{"message":"{text}"}}"#)).kind();
        assert_eq!(validation("Input is too long for requested model."), ContextWindow);
        assert_eq!(validation("The model returned: Input Tokens Exceeded: Number of"), ContextWindow);
        assert_eq!(validation("The provided model identifier is invalid."), NotFound);
        assert_eq!(
            validation("Invocation of model ID x with on-demand throughput isn't supported."),
            NotFound
        );
    }

    #[test]
    fn the_names_in_streams_begin_small() {
        let error = in_band("throttlingException", br#"{"message":"slow down"}"#, None);
        assert_eq!((error.kind(), error.message()), (ProviderErrorKind::RateLimited, "slow down"));
        let error = in_band("internalFailure", b"", Some("oops"));
        assert_eq!((error.kind(), error.message()), (ProviderErrorKind::Server, "oops"));
    }
}
