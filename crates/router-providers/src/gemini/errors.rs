//! What an error of Google's means (`google.rpc.Status`).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use router_core::{Fault, ProviderError, ProviderErrorKind};
use serde_json::Value;

use crate::error_body::{ErrorBody, kind_of_status, says_context_window};
use crate::protocol::WireReply;
use crate::retry_after::span;

/// Reads an error reply.
pub(crate) fn decode(reply: &WireReply) -> ProviderError {
    read(&reply.body, Some(reply.status), &reply.headers)
}

/// Reads an error that came under status 200, whole or as an event of a stream.
pub(super) fn in_band(json: &str) -> ProviderError {
    read(json.as_bytes(), None, &HeaderMap::new())
}

fn read(json: &[u8], status: Option<StatusCode>, headers: &HeaderMap) -> ProviderError {
    let mut body = ErrorBody::parse(json);
    let status = status.or(body.status);
    let details = Details::parse(json);
    let word = body.codes.first().cloned();
    let kind = details
        .kind()
        .or_else(|| by_word(word.as_deref()?))
        .or_else(|| status.map(kind_of_status))
        .unwrap_or(ProviderErrorKind::Server);
    let kind = match kind {
        ProviderErrorKind::InvalidRequest => by_text(&body.message).unwrap_or(kind),
        other => other,
    };
    // The reason is the more exact word: `API_KEY_INVALID` under `INVALID_ARGUMENT`.
    if let Some(reason) = details.reason {
        body.codes.insert(0, reason);
    }
    let error = body.into_error(kind, status, headers);
    match details.retry_delay {
        Some(delay) if kind.fault() != Fault::Request => error.with_retry_after(delay),
        _ => error,
    }
}

/// The status words, <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>.
fn by_word(word: &str) -> Option<ProviderErrorKind> {
    Some(match word {
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => ProviderErrorKind::InvalidRequest,
        // The caller's country, or an account without billing.
        "FAILED_PRECONDITION" | "PERMISSION_DENIED" => ProviderErrorKind::Permission,
        "UNAUTHENTICATED" => ProviderErrorKind::Authentication,
        "NOT_FOUND" | "UNIMPLEMENTED" => ProviderErrorKind::NotFound,
        "RESOURCE_EXHAUSTED" => ProviderErrorKind::RateLimited,
        "UNAVAILABLE" | "ABORTED" => ProviderErrorKind::Overloaded,
        "DEADLINE_EXCEEDED" => ProviderErrorKind::Timeout,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "CANCELLED" => ProviderErrorKind::Server,
        _ => return None,
    })
}

fn by_text(message: &str) -> Option<ProviderErrorKind> {
    says_context_window(&message.to_ascii_lowercase()).then_some(ProviderErrorKind::ContextWindow)
}

/// What `details` adds: the reason, the quotas, and how long to wait.
#[derive(Debug, Default)]
struct Details {
    reason: Option<String>,
    is_lasting: bool,
    retry_delay: Option<Duration>,
}

impl Details {
    fn parse(json: &[u8]) -> Self {
        let mut found = Self::default();
        let Ok(body) = serde_json::from_slice::<Value>(json) else { return found };
        let body = match &body {
            Value::Array(items) => items.first().unwrap_or(&Value::Null),
            other => other,
        };
        let details = body.get("error").and_then(|error| error.get("details")).and_then(Value::as_array);
        for detail in details.into_iter().flatten() {
            match detail.get("@type").and_then(Value::as_str).and_then(|name| name.rsplit('.').next()) {
                Some("ErrorInfo") => {
                    found.reason = detail.get("reason").and_then(Value::as_str).map(str::to_owned);
                }
                Some("QuotaFailure") => {
                    let violations = detail.get("violations").and_then(Value::as_array);
                    found.is_lasting |= violations.into_iter().flatten().any(is_lasting);
                }
                Some("RetryInfo") => {
                    found.retry_delay = detail.get("retryDelay").and_then(Value::as_str).and_then(span);
                }
                _ => {}
            }
        }
        found
    }

    fn kind(&self) -> Option<ProviderErrorKind> {
        match self.reason.as_deref() {
            Some("API_KEY_INVALID" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING") => {
                Some(ProviderErrorKind::Authentication)
            }
            Some("BILLING_DISABLED") => Some(ProviderErrorKind::QuotaExhausted),
            _ if self.is_lasting => Some(ProviderErrorKind::QuotaExhausted),
            _ => None,
        }
    }
}

/// Returns whether no pause of this minute's length helps: the quota is the day's, or there is none at all.
fn is_lasting(violation: &Value) -> bool {
    let text = |name: &str| violation.get(name).and_then(Value::as_str).unwrap_or_default();
    text("quotaId").contains("PerDay") || text("quotaValue") == "0"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(status: u16, word: &str, message: &str, details: Value) -> ProviderError {
        let body = json!({"error": {"code": status, "message": message, "status": word, "details": details}});
        let status = StatusCode::from_u16(status).unwrap();
        decode(&WireReply { status, headers: HeaderMap::new(), body: body.to_string().into() })
    }

    #[test]
    fn the_word_decides_and_a_reason_is_more_exact() {
        use ProviderErrorKind::*;
        let check = |status: u16, word: &str, expected: ProviderErrorKind| {
            let error = error(status, word, "m", json!([]));
            assert_eq!((error.kind(), error.code()), (expected, Some(word)), "{status} {word}");
        };
        check(400, "INVALID_ARGUMENT", InvalidRequest);
        check(400, "FAILED_PRECONDITION", Permission);
        check(401, "UNAUTHENTICATED", Authentication);
        check(403, "PERMISSION_DENIED", Permission);
        check(404, "NOT_FOUND", NotFound);
        check(429, "RESOURCE_EXHAUSTED", RateLimited);
        check(499, "CANCELLED", Server);
        check(500, "INTERNAL", Server);
        check(503, "UNAVAILABLE", Overloaded);
        check(504, "DEADLINE_EXCEEDED", Timeout);
        check(502, "BRAND_NEW", Server);

        let info =
            |reason: &str| json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]);
        let bad_key = error(400, "INVALID_ARGUMENT", "m", info("API_KEY_INVALID"));
        assert_eq!((bad_key.kind(), bad_key.code()), (Authentication, Some("API_KEY_INVALID")));
        assert_eq!(error(403, "PERMISSION_DENIED", "m", info("BILLING_DISABLED")).kind(), QuotaExhausted);
        assert_eq!(error(403, "PERMISSION_DENIED", "m", info("SERVICE_DISABLED")).kind(), Permission);
        let long = "The input token count (9) exceeds the maximum number of tokens allowed (8).";
        assert_eq!(error(400, "INVALID_ARGUMENT", long, json!([])).kind(), ContextWindow);
    }

    #[test]
    fn a_quota_of_a_minute_passes_and_one_of_a_day_does_not() {
        let quota = |id: &str, value: &str| {
            error(
                429,
                "RESOURCE_EXHAUSTED",
                "m",
                json!([
                    {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id, "quotaValue": value}]},
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.5s"},
                ]),
            )
        };
        let minute = quota("GenerateRequestsPerMinutePerProjectPerModel", "15");
        assert_eq!(minute.kind(), ProviderErrorKind::RateLimited);
        assert_eq!(minute.retry_after(), Some(Duration::from_millis(48_500)));
        let day = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "50");
        assert_eq!(day.kind(), ProviderErrorKind::QuotaExhausted);
        let none = quota("GenerateRequestsPerMinutePerProjectPerModel", "0");
        assert_eq!(none.kind(), ProviderErrorKind::QuotaExhausted);
    }

    #[test]
    fn errors_come_in_lists_and_as_pages_too() {
        let list = in_band(r#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#);
        assert_eq!((list.kind(), list.message()), (ProviderErrorKind::Overloaded, "busy"));
        let page = decode(&WireReply {
            status: StatusCode::NOT_FOUND,
            headers: HeaderMap::new(),
            body: "<html><title>Error 404 (Not Found)!!1</title></html>".into(),
        });
        assert_eq!((page.kind(), page.message()), (ProviderErrorKind::NotFound, "Error 404 (Not Found)!!1"));
    }
}
