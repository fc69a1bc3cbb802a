//! Errors.

use http::HeaderMap;
use router_core::{ProviderError, ProviderErrorKind};
use serde_json::Value;

use super::exchange::{Exchange, directory, protocol, replay, target};
use crate::protocol::WireReply;

/// What a recorded error means, by the kind its recording was filed under.
pub(super) fn meaning(kind: &str) -> ProviderErrorKind {
    match kind.trim_start_matches("stream_").trim_start_matches("error_") {
        "auth" => ProviderErrorKind::Authentication,
        "context_length" => ProviderErrorKind::ContextWindow,
        "not_found" => ProviderErrorKind::NotFound,
        "rate_limit" => ProviderErrorKind::RateLimited,
        "quota" => ProviderErrorKind::QuotaExhausted,
        "invalid_request" => ProviderErrorKind::InvalidRequest,
        "overloaded" => ProviderErrorKind::Overloaded,
        "server" => ProviderErrorKind::Server,
        // The one recorded is the content filter's.
        "in_200" | "content_filter" => ProviderErrorKind::ContentPolicy,
        // Those recorded say that the model's own tool call, or its length, was invalid.
        "error" => ProviderErrorKind::InvalidRequest,
        other => panic!("{other} is new in the recordings"),
    }
}

#[test]
fn recorded_errors_are_what_they_mean() {
    let mut count = 0;
    let all = Exchange::all("openai_chat");
    for exchange in all.iter().chain(&Exchange::all("anthropic_messages")) {
        if !exchange.kind.contains("error") {
            continue;
        }
        count += 1;
        let name = &exchange.name;
        let (error, message) = if exchange.is_stream() {
            let (chunks, result) = replay(exchange.protocol, &exchange.headers(), [exchange.sse()]);
            assert!(!chunks.is_empty(), "{name}: what came before the error is delivered");
            let events = exchange.events();
            let event = events.iter().find(|event| event.contains("\"error\":{")).unwrap();
            (result.unwrap_err(), message(&serde_json::from_str(event).unwrap()))
        } else {
            let reply = exchange.reply();
            let error = if reply.status.is_success() {
                exchange.protocol.decode(&target(), reply).unwrap_err()
            } else {
                let error = exchange.protocol.decode_error(&reply);
                assert_eq!(error.status(), Some(reply.status), "{name}");
                error
            };
            (error, message(&exchange.response["body"]))
        };
        assert_eq!(error.kind(), meaning(&exchange.kind), "{name}: {error}");
        assert!(error.message().starts_with(&message), "{name}: {error}");
        check_code(&error, &exchange.response["body"], name);
        if let Some(wait) = exchange.response["headers"]["retry-after"].as_str() {
            assert_eq!(error.retry_after().unwrap().as_secs().to_string(), wait, "{name}");
        }
    }
    assert!(count > 20, "{count}");
}

fn message(body: &Value) -> String {
    let message = &body["error"]["message"];
    message.as_str().or_else(|| body["detail"].as_str()).unwrap().to_owned()
}

fn check_code(error: &ProviderError, body: &Value, name: &str) {
    let words = [&body["error"]["code"], &body["error"]["type"]];
    let word = words.iter().find_map(|word| word.as_str().filter(|word| word.parse::<u16>().is_err()));
    if let Some(word) = word {
        assert_eq!(error.code(), Some(word), "{name}");
    }
}

#[test]
fn reported_errors_are_what_they_mean() {
    let path = directory().join("errors-reported.json");
    let reported: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut count = 0;
    for entry in reported["errors"].as_array().unwrap() {
        let provider = entry["provider"].as_str().unwrap();
        let family = match provider {
            "anthropic" => "anthropic_messages",
            "openai" | "azure" => "openai_chat",
            "gemini" => "gemini_generate",
            #[cfg(feature = "bedrock")]
            "bedrock" => "bedrock_converse",
            _ => continue,
        };
        count += 1;
        let protocol = protocol(family, provider);
        let error = match entry["sse"].as_str() {
            Some(sse) => replay(protocol, &HeaderMap::new(), [sse.to_owned().into()]).1.unwrap_err(),
            None => protocol.decode_error(&WireReply {
                status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap().try_into().unwrap(),
                headers: HeaderMap::new(),
                body: entry["body"].to_string().into(),
            }),
        };
        let text = entry["body"]["error"]["message"].as_str().unwrap_or_default();
        let expected = match entry["kind"].as_str().unwrap() {
            // Filed as rate limits; but the notes say that no wait can help these.
            "error_rate_limit" if text.contains("Request too large") || text.contains("86400") => {
                assert_eq!(error.retry_after(), None);
                ProviderErrorKind::ContextWindow
            }
            "stream_error" => ProviderErrorKind::Overloaded,
            kind => meaning(kind),
        };
        assert_eq!(error.kind(), expected, "{entry}");
        if text.contains("try again in 1.574s") {
            assert_eq!(error.retry_after().unwrap().as_millis(), 1574);
        }
    }
    assert!(count > 10, "{count}");
}
