//! Error bodies, in every shape they come in.

use http::{HeaderMap, StatusCode};
use router_core::{Fault, ProviderError, ProviderErrorKind};
use serde_json::Value;

use crate::retry_after::retry_after;

/// What an error body says, whatever its shape.
///
/// Known are OpenAI's `{"error":{message,type,code}}`, Anthropic's the same with `type` only, xAI's and Ollama's
/// `{"code","error":"text"}`, the bare object of older vLLM and Mistral, FastAPI's `{"detail"}`, Google's list around an
/// error, and bodies that are no JSON at all.
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    /// The provider's words, whole; the driver cuts them to a length fit for a log.
    pub(crate) message: String,
    /// The machine-readable words, the most exact first: code, type, inner code.
    pub(crate) codes: Vec<String>,
    /// The status that the body itself tells: the only one there is inside a stream that began with 200.
    pub(crate) status: Option<StatusCode>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(value) => Self::from_value(&value),
            Err(_) => Self { message: prose(&String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    /// Makes the error, once an adapter knows its kind.
    pub(crate) fn into_error(
        self,
        kind: ProviderErrorKind,
        status: Option<StatusCode>,
        headers: &HeaderMap,
    ) -> ProviderError {
        let mut error = ProviderError::new(kind, self.message.as_str());
        if let Some(status) = status {
            error = error.with_status(status);
        }
        if let Some(code) = self.codes.first() {
            error = error.with_code(code.as_str());
        }
        // Of a request that can never succeed it is not worth knowing when to repeat it: Azure then says "86400 seconds".
        if kind.fault() != Fault::Request
            && let Some(span) = retry_after(headers, &self.message)
        {
            error = error.with_retry_after(span);
        }
        error
    }

    fn from_value(value: &Value) -> Self {
        if let Value::Array(items) = value {
            return items.first().map(Self::from_value).unwrap_or_default();
        }
        let Value::Object(outer) = value else {
            return Self { message: as_text(value), ..Self::default() };
        };
        let mut found = Self::default();
        let inner = match outer.get("error") {
            Some(Value::Object(inner)) => inner,
            Some(Value::String(message)) => {
                found.message = message.clone();
                outer
            }
            _ => outer,
        };
        for object in
            [Some(inner), inner.get("innererror").or(inner.get("inner_error")).and_then(Value::as_object)]
                .into_iter()
                .flatten()
        {
            for name in ["code", "type", "error_type", "status", "status_code"] {
                match object.get(name) {
                    Some(Value::String(code)) if code.parse::<u16>().is_ok() => {
                        found.status = found.status.or_else(|| code.parse().ok().and_then(error_status));
                    }
                    Some(Value::String(code)) if !code.is_empty() && code != "error" => {
                        found.codes.push(code.clone());
                    }
                    Some(Value::Number(code)) => {
                        let code = code.as_u64().and_then(|code| u16::try_from(code).ok());
                        found.status = found.status.or_else(|| code.and_then(error_status));
                    }
                    _ => {}
                }
            }
        }
        if found.message.is_empty() {
            found.message = ["message", "Message", "detail", "error"]
                .iter()
                .find_map(|name| {
                    inner.get(*name).or_else(|| outer.get(*name)).filter(|value| !value.is_null())
                })
                .map(as_text)
                .unwrap_or_default();
        }
        if let Some(metadata) = inner.get("metadata").and_then(Value::as_object) {
            // OpenRouter passes on what the provider behind it said, and says so when its moderation refused.
            if let Some(raw) = metadata.get("raw").filter(|raw| !raw.is_null()) {
                found.message = format!("{}: {}", found.message, as_text(raw));
            }
            if metadata.contains_key("flagged_input") {
                found.codes.push("flagged_input".to_owned());
            }
        }
        found
    }
}

/// Returns what a status means where nothing more exact is known.
pub(crate) fn kind_of_status(status: StatusCode) -> ProviderErrorKind {
    match status.as_u16() {
        401 => ProviderErrorKind::Authentication,
        402 => ProviderErrorKind::QuotaExhausted,
        403 => ProviderErrorKind::Permission,
        404 | 410 => ProviderErrorKind::NotFound,
        // 524 is Cloudflare's: the origin did not answer in time.
        408 | 504 | 524 => ProviderErrorKind::Timeout,
        // Too large for this host, or at Groq for a minute's budget: a roomier model may take it, waiting does not help.
        413 => ProviderErrorKind::ContextWindow,
        429 => ProviderErrorKind::RateLimited,
        // 498 is Groq's: no capacity in the flex tier.
        498 | 503 | 529 => ProviderErrorKind::Overloaded,
        500.. => ProviderErrorKind::Server,
        // Redirects are not followed, so what is looked for is not here.
        300..=399 => ProviderErrorKind::NotFound,
        _ => ProviderErrorKind::InvalidRequest,
    }
}

/// Returns whether a message, in lower case, says that the prompt is longer than the model takes. There is no code for it that
/// everybody uses; these are the texts on record.
pub(crate) fn says_context_window(message: &str) -> bool {
    [
        "prompt is too long",
        "maximum context length",
        "context window",
        "input token count",
        "input tokens exceeded",
        "too many tokens",
        "max context length",
        "exceed context limit",
        "total length of all messages is too long",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
}

fn error_status(code: u16) -> Option<StatusCode> {
    (400..600).contains(&code).then(|| StatusCode::from_u16(code).ok()).flatten()
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join("; "),
        // FastAPI's validation errors, and Mistral's messages that are objects.
        Value::Object(object) if object.contains_key("msg") || object.contains_key("message") => {
            let message =
                object.get("msg").or_else(|| object.get("message")).map(as_text).unwrap_or_default();
            match object.get("loc") {
                Some(Value::Array(loc)) => {
                    let path = loc.iter().map(as_text).collect::<Vec<_>>().join(".");
                    format!("{path}: {message}")
                }
                _ => message,
            }
        }
        other => other.to_string(),
    }
}

/// Returns what a body that is no JSON says: of an HTML page its title, of text the text.
fn prose(body: &str) -> String {
    let lower = body.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|start| {
        let start = start + lower.get(start..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find("</title")?;
        body.get(start..end)
    });
    title.unwrap_or(body).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, message: &str, codes: &[&str], status: Option<u16>) {
        let parsed = ErrorBody::parse(body.as_bytes());
        assert_eq!(parsed.message, message, "{body}");
        assert_eq!(parsed.codes, codes, "{body}");
        assert_eq!(parsed.status.map(|status| status.as_u16()), status, "{body}");
    }

    #[test]
    fn every_shape_is_understood() {
        check(
            r#"{"error":{"message":"no","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            "no",
            &["rate_limit_exceeded", "tokens"],
            None,
        );
        check(
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "Overloaded",
            &["overloaded_error"],
            None,
        );
        check(
            r#"{"code":"invalid-argument","error":"Incorrect key"}"#,
            "Incorrect key",
            &["invalid-argument"],
            None,
        );
        check(r#"{"error":"model 'x' not found"}"#, "model 'x' not found", &[], None);
        check(
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            "too long",
            &["BadRequestError"],
            Some(400),
        );
        check(r#"{"detail":"Invalid API Key"}"#, "Invalid API Key", &[], None);
        check(
            r#"{"detail":[{"loc":["body","n",0],"msg":"too big","type":"value_error"}]}"#,
            "body.n.0: too big",
            &[],
            None,
        );
        check(
            r#"{"object":"error","message":{"detail":[{"msg":"x"}]},"type":"invalid_request_error"}"#,
            r#"{"detail":[{"msg":"x"}]}"#,
            &["invalid_request_error"],
            None,
        );
        check(
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#,
            "m",
            &["RESOURCE_EXHAUSTED"],
            Some(429),
        );
        check(
            r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"busy"}},"user_id":"u"}"#,
            "Provider returned error: busy",
            &[],
            Some(429),
        );
        check(
            r#"{"error":{"code":"content_filter","message":"m","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            "m",
            &["content_filter", "ResponsibleAIPolicyViolation"],
            Some(400),
        );
        check(r#"{"error":{"code":"401","message":"m"}}"#, "m", &[], Some(401));
        check("", "", &[], None);
        check("upstream connect\n error", "upstream connect error", &[], None);
        check(
            "<html>\n<head><TITLE>502 Bad\nGateway</TITLE></head><body>x</body></html>",
            "502 Bad Gateway",
            &[],
            None,
        );
        check("[]", "", &[], None);
        check("null", "null", &[], None);
        check(r#""plain""#, "plain", &[], None);
    }
}
