use std::time::{Duration, Instant};

use router_mock::{Behaviour, Fault, Upstream};
use serde_json::{Value, json};

use crate::client::{BOTH, Format, Reply, ask, ask_stream, eventually, start, try_ask};

fn streaming() -> Value {
    json!({ "stream": true })
}

/// A stream of the words 1 to 6 with a fault.
async fn faulty_stream(upstream: &Upstream, format: Format, fault: Fault) -> Reply {
    upstream.enqueue(Behaviour::answering("1 2 3 4 5 6").with_fault(fault));
    ask_stream(upstream, format).await
}

fn ends_properly(reply: &Reply) -> bool {
    reply.error.is_none() && reply.text.ends_with("data: [DONE]\n\n")
        || reply.text.ends_with("data: {\"type\":\"message_stop\"}\n\n")
}

#[tokio::test]
async fn statuses_have_the_providers_bodies() {
    let (_server, upstream) = start().await;
    let check = async |format, code: u16, kind: &str, error_code: Value| {
        for more in [json!({}), streaming()] {
            upstream.enqueue(Fault::status(code));
            let reply = ask(&upstream, format, more).await;
            let json = reply.json();
            let error = &json["error"];
            assert_eq!((reply.status, &error["type"], &error["code"]), (code, &json!(kind), &error_code));
            assert!(error["message"].is_string());
            assert_eq!(json.get("request_id").is_some(), format == Format::Anthropic);
        }
    };
    for (code, kind, error_code) in [
        (400, "invalid_request_error", Value::Null),
        (401, "invalid_request_error", json!("invalid_api_key")),
        (403, "permission_error", json!("permission_denied")),
        (404, "invalid_request_error", json!("model_not_found")),
        (408, "timeout", json!("request_timeout")),
        (429, "requests", json!("rate_limit_exceeded")),
        (500, "server_error", Value::Null),
        (502, "server_error", json!("bad_gateway")),
        (503, "server_error", json!("overloaded")),
    ] {
        check(Format::OpenAi, code, kind, error_code).await;
    }
    for (code, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        check(Format::Anthropic, code, kind, Value::Null).await;
    }
    assert_eq!((upstream.open(), upstream.aborted()), (0, 0));
}

#[tokio::test]
async fn a_status_can_carry_retry_after_and_a_message() {
    let (_server, upstream) = start().await;
    let (retry_after, message) = (Some("2.5".to_owned()), Some("slow down".to_owned()));
    upstream.set(
        Behaviour::failing(Fault::Status { code: 429, retry_after, message }).with_header("x-more", "1"),
    );
    for format in BOTH {
        let reply = ask(&upstream, format, json!({})).await;
        assert_eq!(
            (&reply.headers["retry-after"], &reply.headers["x-more"]),
            (&"2.5".parse().unwrap(), &"1".parse().unwrap())
        );
        assert_eq!(reply.json()["error"]["message"], "slow down");
    }
}

#[tokio::test]
async fn a_raw_reply_is_sent_as_it_is() {
    let (_server, upstream) = start().await;
    let (content_type, body) = ("text/html".to_owned(), "<html>Bad Gateway</html>".to_owned());
    upstream.set(Fault::Raw { code: 502, content_type, body });
    let reply = ask_stream(&upstream, Format::OpenAi).await;
    assert_eq!((reply.status, reply.text.as_str()), (502, "<html>Bad Gateway</html>"));
    assert_eq!(reply.headers["content-type"], "text/html");
}

#[tokio::test]
async fn what_is_not_http_is_reported_and_not_left_out() {
    let (_server, upstream) = start().await;
    for wrong in [
        Behaviour::default().with_header("a b", "c"),
        Fault::rate_limited("a\nb").into(),
        Fault::status(7).into(),
    ] {
        upstream.enqueue(wrong);
        let reply = ask(&upstream, Format::OpenAi, json!({})).await;
        assert_eq!(reply.status, 500);
        assert!(reply.text.contains("not valid HTTP"), "{}", reply.text);
    }
    assert_eq!((upstream.open(), upstream.aborted()), (0, 0));
}

#[tokio::test]
async fn refusals_of_the_prompt_are_told_apart() {
    let (_server, upstream) = start().await;
    let refused = async |format, fault: Fault| {
        upstream.enqueue(fault);
        let reply = ask(&upstream, format, json!({})).await;
        (reply.status, reply.json()["error"].take())
    };
    let (status, error) = refused(Format::OpenAi, Fault::ContextWindow).await;
    assert_eq!((status, &error["code"]), (400, &json!("context_length_exceeded")));
    let (status, error) = refused(Format::OpenAi, Fault::ContentFilter).await;
    assert_eq!((status, &error["code"]), (400, &json!("content_filter")));
    let (status, error) = refused(Format::OpenAi, Fault::InsufficientQuota).await;
    assert_eq!((status, &error["code"]), (429, &json!("insufficient_quota")));
    let (status, error) = refused(Format::Anthropic, Fault::ContextWindow).await;
    assert_eq!((status, &error["message"]), (400, &json!("prompt is too long: 8193 tokens > 8192 maximum")));
    let (status, error) = refused(Format::Anthropic, Fault::ContentFilter).await;
    assert_eq!((status, &error["type"]), (400, &json!("invalid_request_error")));
    let (status, error) = refused(Format::Anthropic, Fault::InsufficientQuota).await;
    assert!(status == 400 && error["message"].as_str().unwrap().contains("credit balance is too low"));
}

#[tokio::test]
async fn a_reset_comes_before_any_byte() {
    let (_server, upstream) = start().await;
    upstream.set(Fault::Reset);
    for more in [json!({}), streaming()] {
        let error = try_ask(&upstream, Format::OpenAi, more).await.unwrap_err();
        assert!(error.is_incomplete_message() || error.is_canceled(), "{error:?}");
    }
    assert_eq!((upstream.calls(), upstream.open(), upstream.aborted()), (2, 0, 0));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_while_the_upstream_waits() {
    let (_server, upstream) = start().await;
    let endless_stall = Fault::Stall { after_chunks: 1, ms: None };
    let waits = [
        Fault::Hang.into(),
        Behaviour::default().with_latency_ms(60_000),
        Behaviour::default().with_first_token_ms(60_000),
        Behaviour::default().with_chunk_interval_ms(60_000),
        endless_stall.into(),
    ];
    for (number, behaviour) in (1..).zip(waits) {
        upstream.enqueue(behaviour);
        let client = tokio::spawn({
            let upstream = upstream.clone();
            async move { ask_stream(&upstream, Format::Anthropic).await }
        });
        eventually(|| upstream.open() == 1).await;
        tokio::time::sleep(Duration::from_millis(10)).await; // lets a stream come to its pause
        client.abort();
        eventually(|| upstream.aborted() == number && upstream.open() == 0).await;
    }
}

#[tokio::test]
async fn a_cut_stream_breaks_off_after_its_chunks() {
    let (_server, upstream) = start().await;
    for format in BOTH {
        for (after_chunks, seen) in [(0, 0), (4, 4), (99, 6)] {
            let reply = faulty_stream(&upstream, format, Fault::cut(after_chunks)).await;
            assert_eq!((reply.status, reply.content().len()), (200, seen));
            assert!(reply.error.is_some());
        }
    }
    eventually(|| upstream.open() == 0).await;
    assert_eq!(upstream.aborted(), 0, "it was the server who left");
}

#[tokio::test]
async fn a_cut_plain_reply_is_shorter_than_it_said() {
    let (_server, upstream) = start().await;
    upstream.set(Fault::cut(0));
    let reply = ask(&upstream, Format::OpenAi, json!({})).await;
    let announced: usize = reply.headers["content-length"].to_str().unwrap().parse().unwrap();
    assert!(reply.error.is_some());
    assert_eq!(reply.text.len(), announced / 2);
}

#[tokio::test]
async fn a_stall_pauses_and_goes_on() {
    let (_server, upstream) = start().await;
    for more in [json!({}), streaming()] {
        upstream.enqueue(Fault::Stall { after_chunks: 2, ms: Some(25) });
        let started = Instant::now();
        let reply = ask(&upstream, Format::OpenAi, more).await;
        assert!(started.elapsed() >= Duration::from_millis(25));
        assert!(ends_properly(&reply) || reply.json()["usage"].is_object());
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_one_among_good_ones() {
    let (_server, upstream) = start().await;
    for format in BOTH {
        let reply = faulty_stream(&upstream, format, Fault::MalformedChunk { after_chunks: 3 }).await;
        let is_good = |data: &str| data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok();
        assert_eq!(reply.events().iter().filter(|(_, data)| !is_good(data)).count(), 1);
        assert_eq!(reply.content().len(), 6);
        assert!(ends_properly(&reply));
    }
}

#[tokio::test]
async fn a_stream_can_end_without_its_end_marker() {
    let (_server, upstream) = start().await;
    for format in BOTH {
        for without_finish_reason in [false, true] {
            let reply = faulty_stream(&upstream, format, Fault::NoEndMarker { without_finish_reason }).await;
            assert!(reply.error.is_none() && !ends_properly(&reply));
            assert_eq!(reply.content().len(), 6);
            let has_reason = reply.text.contains(r#""stop""#) || reply.text.contains("end_turn");
            assert_eq!(has_reason, !without_finish_reason);
        }
    }
}

#[tokio::test]
async fn an_error_in_a_stream_ends_it() {
    let (_server, upstream) = start().await;
    for (format, name, kind) in
        [(Format::OpenAi, "", "server_error"), (Format::Anthropic, "error", "overloaded_error")]
    {
        let reply =
            faulty_stream(&upstream, format, Fault::ErrorInStream { after_chunks: 2, code: 529 }).await;
        assert_eq!((reply.status, reply.content().len()), (200, 2));
        let &(last_name, data) = reply.events().last().unwrap();
        let error: Value = serde_json::from_str(data).unwrap();
        assert_eq!((last_name, &error["error"]["type"]), (name, &json!(kind)));
        assert!(reply.error.is_none());
    }
    upstream.enqueue(Fault::ErrorInStream { after_chunks: 0, code: 500 });
    let plain = ask(&upstream, Format::OpenAi, json!({})).await;
    assert_eq!((plain.status, &plain.json()["error"]["type"]), (200, &json!("server_error")));
}

#[tokio::test]
async fn bodies_can_be_empty_or_broken() {
    let (_server, upstream) = start().await;
    for more in [json!({}), streaming()] {
        upstream.enqueue(Fault::EmptyBody);
        let empty = ask(&upstream, Format::OpenAi, more.clone()).await;
        assert_eq!((empty.status, empty.text.as_str()), (200, ""));
        assert!(empty.error.is_none());
        upstream.enqueue(Fault::MalformedBody);
        let broken = ask(&upstream, Format::OpenAi, more).await;
        assert!(broken.status == 200 && serde_json::from_str::<Value>(&broken.text).is_err());
    }
    assert_eq!((upstream.open(), upstream.aborted()), (0, 0));
}
