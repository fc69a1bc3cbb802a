//! What an OpenAI-shaped error means.

use http::{HeaderMap, StatusCode};
use router_core::{ProviderError, ProviderErrorKind};
use serde_json::value::RawValue;

use crate::error_body::{ErrorBody, kind_of_status, says_context_window};
use crate::protocol::WireReply;

/// Reads an error reply.
pub(crate) fn decode(reply: &WireReply) -> ProviderError {
    to_error(Some(reply.status), ErrorBody::parse(&reply.body), &reply.headers)
}

/// Reads an error that came under status 200, whole or in a stream.
pub(crate) fn in_band(json: &str) -> ProviderError {
    to_error(None, ErrorBody::parse(json.as_bytes()), &HeaderMap::new())
}

/// Reads the error of one choice.
pub(super) fn in_choice(error: Option<&RawValue>) -> ProviderError {
    match error {
        Some(error) => in_band(error.get()),
        None => ProviderError::new(ProviderErrorKind::Server, "the provider ended its answer with an error"),
    }
}

fn to_error(status: Option<StatusCode>, body: ErrorBody, headers: &HeaderMap) -> ProviderError {
    let status = status.or(body.status);
    let kind = kind(status, &body);
    body.into_error(kind, status, headers)
}

/// The exact code first, then the status, then the type, and the text only where these leave it open.
fn kind(status: Option<StatusCode>, body: &ErrorBody) -> ProviderErrorKind {
    let codes = || body.codes.iter().map(String::as_str);
    let kind = codes()
        .find_map(by_code)
        .or_else(|| status.map(kind_of_status))
        .or_else(|| codes().find_map(by_type))
        .unwrap_or(ProviderErrorKind::Server);
    match kind {
        ProviderErrorKind::InvalidRequest => by_text(&body.message).unwrap_or(kind),
        // The request alone is over the whole minute's budget: no wait helps, at this deployment or its siblings with the same
        // limit, and no cooldown is due, for smaller requests are welcome. What helps is what helps a prompt that is too long.
        ProviderErrorKind::RateLimited if is_over_the_whole_budget(&body.message) => {
            ProviderErrorKind::ContextWindow
        }
        // In a stream there is no 503 to say it, and OpenAI has no code for it.
        ProviderErrorKind::Server if body.message.to_ascii_lowercase().contains("overloaded") => {
            ProviderErrorKind::Overloaded
        }
        other => other,
    }
}

/// Codes that mean one thing, whatever the status.
fn by_code(code: &str) -> Option<ProviderErrorKind> {
    Some(match code {
        "insufficient_quota"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "insufficient_balance" => ProviderErrorKind::QuotaExhausted,
        "context_length_exceeded" | "too_many_prompt_tokens" | "TOO_MANY_TOKENS" => {
            ProviderErrorKind::ContextWindow
        }
        "content_filter"
        | "content_policy_violation"
        | "ResponsibleAIPolicyViolation"
        | "flagged_input"
        | "moderation_blocked" => ProviderErrorKind::ContentPolicy,
        "invalid_api_key" => ProviderErrorKind::Authentication,
        "model_not_found" | "DeploymentNotFound" => ProviderErrorKind::NotFound,
        "rate_limit_exceeded" | "RateLimitReached" | "RESOURCE_EXHAUSTED" => ProviderErrorKind::RateLimited,
        "slow_down" | "overloaded" | "overloaded_error" | "engine_overloaded_error" => {
            ProviderErrorKind::Overloaded
        }
        _ => return None,
    })
}

/// Types, which only say anything where there is no status.
fn by_type(kind: &str) -> Option<ProviderErrorKind> {
    Some(match kind {
        "invalid_request_error" | "BadRequestError" | "INVALID_ARGUMENT" => ProviderErrorKind::InvalidRequest,
        "authentication_error" => ProviderErrorKind::Authentication,
        "permission_error" => ProviderErrorKind::Permission,
        "not_found_error" | "NOT_FOUND" => ProviderErrorKind::NotFound,
        "rate_limit_error" | "tokens" | "requests" => ProviderErrorKind::RateLimited,
        "UNAVAILABLE" => ProviderErrorKind::Overloaded,
        "timeout_error" | "timeout" => ProviderErrorKind::Timeout,
        _ => return None,
    })
}

/// What only the text tells, of an invalid request: nobody has a code for it.
fn by_text(message: &str) -> Option<ProviderErrorKind> {
    let message = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if says_context_window(&message) {
        Some(ProviderErrorKind::ContextWindow)
    } else if says(&["incorrect api key", "invalid api key", "api key not valid"]) {
        Some(ProviderErrorKind::Authentication) // xAI answers a bad key with 400
    } else if says(&["content management policy", "content policy", "usage policy"]) {
        Some(ProviderErrorKind::ContentPolicy)
    } else {
        None
    }
}

fn is_over_the_whole_budget(message: &str) -> bool {
    message.starts_with("Request too large") || message.contains("retry after 86400 seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: ProviderErrorKind) {
        let reply = WireReply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let error = decode(&reply);
        assert_eq!(error.kind(), expected, "{status} {body}");
        assert_eq!(error.status(), Some(reply.status));
    }

    #[test]
    fn the_status_decides_where_no_code_does() {
        use ProviderErrorKind::*;
        for (status, kind) in [
            (301, NotFound),
            (400, InvalidRequest),
            (401, Authentication),
            (402, QuotaExhausted),
            (403, Permission),
            (404, NotFound),
            (408, Timeout),
            (409, InvalidRequest),
            (413, ContextWindow),
            (422, InvalidRequest),
            (429, RateLimited),
            (500, Server),
            (502, Server),
            (503, Overloaded),
            (504, Timeout),
            (529, Overloaded),
            (599, Server),
        ] {
            for body in ["", "<html><title>x</title></html>", "{}", "[]", r#"{"error":{"message":"m"}}"#] {
                check(status, body, kind);
            }
        }
    }

    #[test]
    fn an_exact_code_beats_the_status() {
        use ProviderErrorKind::*;
        let error = |code: &str| format!(r#"{{"error":{{"message":"m","type":"x","code":"{code}"}}}}"#);
        check(429, &error("insufficient_quota"), QuotaExhausted);
        check(400, &error("model_not_found"), NotFound);
        check(400, &error("context_length_exceeded"), ContextWindow);
        check(403, &error("content_policy_violation"), ContentPolicy);
        check(500, &error("rate_limit_exceeded"), RateLimited);
        check(401, &error("anything"), Authentication);
        check(401, r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, Authentication);
        check(400, r#"{"error":{"message":"m","type":"too_many_prompt_tokens","code":400}}"#, ContextWindow);
        check(403, r#"{"error":{"code":403,"message":"m","metadata":{"flagged_input":"x"}}}"#, ContentPolicy);
    }

    #[test]
    fn the_text_decides_last() {
        use ProviderErrorKind::*;
        let error = |message: &str| {
            format!(r#"{{"error":{{"message":"{message}","type":"invalid_request_error"}}}}"#)
        };
        check(400, &error("This model's maximum context length is 8192 tokens."), ContextWindow);
        check(400, &error("prompt too long; exceeded max context length by 9 tokens"), ContextWindow);
        check(401, &error("maximum context length"), Authentication);
        check(500, &error("maximum context length"), Server);
        check(500, &error("The engine is currently overloaded, please try again later"), Overloaded);
        check(400, r#"{"code":"invalid-argument","error":"Incorrect API key provided: x"}"#, Authentication);
    }

    #[test]
    fn a_request_over_the_whole_budget_is_no_passing_limit() {
        let body = r#"{"error":{"message":"Request too large for gpt-4o on tokens per min: Limit 1, Requested 2. Please try again in 3s",
            "type":"tokens","code":"rate_limit_exceeded"}}"#;
        check(429, body, ProviderErrorKind::ContextWindow);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("3"));
        let error = decode(&WireReply { status: StatusCode::TOO_MANY_REQUESTS, headers, body: body.into() });
        assert_eq!(error.retry_after(), None);
    }
}
