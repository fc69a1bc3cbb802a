use router_mock::{Behaviour, Usage};
use serde_json::{Value, json};

use crate::client::{BOTH, Format, ask, request, send, start};

#[tokio::test]
async fn a_plain_openai_reply_has_the_fields_of_the_real_one() {
    let (_server, upstream) = start().await;
    let reply = ask(&upstream, Format::OpenAi, json!({})).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let json = reply.json();
    assert!(json["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!((&json["object"], &json["model"]), (&json!("chat.completion"), &json!("m")));
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    let text = json["choices"][0]["message"]["content"].as_str().unwrap();
    for part in ["simulated", "`primary`", "`m`", "hello there"] {
        assert!(text.contains(part), "{text}");
    }
    let words = text.split(' ').count();
    assert_eq!(json["usage"]["prompt_tokens"], 3, "11 characters, four to a token");
    assert_eq!(json["usage"]["completion_tokens"], words);
    assert_eq!(json["usage"]["total_tokens"], words + 3);
}

#[tokio::test]
async fn a_plain_anthropic_reply_has_the_fields_of_the_real_one() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::answering("Four."));
    let system = json!([{ "type": "text", "text": "be brief!" }]);
    let reply = ask(&upstream, Format::Anthropic, json!({ "system": system })).await;
    let json = reply.json();
    assert!(json["id"].as_str().unwrap().starts_with("msg_"));
    assert!(reply.headers.contains_key("request-id"));
    assert_eq!((&json["type"], &json["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(json["content"], json!([{ "type": "text", "text": "Four." }]));
    assert_eq!((&json["stop_reason"], &json["stop_sequence"]), (&json!("end_turn"), &Value::Null));
    assert_eq!((&json["usage"]["input_tokens"], &json["usage"]["output_tokens"]), (&json!(5), &json!(1)));
}

#[tokio::test]
async fn usage_can_be_given_and_each_format_counts_caches_its_way() {
    let (_server, upstream) = start().await;
    let usage = Usage {
        cached_tokens: 20,
        cache_write_5m_tokens: 7,
        cache_write_1h_tokens: 3,
        reasoning_tokens: 4,
        ..Usage::new(100, 9)
    };
    upstream.set(Behaviour::default().with_usage(usage).with_header("x-ratelimit-remaining-requests", "7"));
    let reply = ask(&upstream, Format::OpenAi, json!({})).await;
    assert_eq!(reply.headers["x-ratelimit-remaining-requests"], "7");
    let openai = reply.json()["usage"].take();
    assert_eq!((&openai["prompt_tokens"], &openai["total_tokens"]), (&json!(100), &json!(109)));
    assert_eq!(openai["prompt_tokens_details"]["cached_tokens"], 20);
    assert_eq!(openai["prompt_tokens_details"]["cache_write_tokens"], 10);
    assert_eq!(openai["completion_tokens_details"]["reasoning_tokens"], 4);
    let anthropic = ask(&upstream, Format::Anthropic, json!({})).await.json()["usage"].take();
    assert_eq!((&anthropic["input_tokens"], &anthropic["output_tokens"]), (&json!(70), &json!(9)));
    assert_eq!(anthropic["cache_read_input_tokens"], 20);
    assert_eq!(anthropic["cache_creation"]["ephemeral_1h_input_tokens"], 3);
}

#[tokio::test]
async fn a_limit_cuts_the_answer_at_words_and_says_so() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::answering("one two three"));
    let openai = ask(&upstream, Format::OpenAi, json!({ "max_completion_tokens": 2 })).await.json();
    assert_eq!(openai["choices"][0]["message"]["content"], "one two");
    assert_eq!(openai["choices"][0]["finish_reason"], "length");
    assert_eq!(openai["usage"]["completion_tokens"], 2);
    let anthropic = ask(&upstream, Format::Anthropic, json!({ "max_tokens": 2 })).await.json();
    assert_eq!(
        (&anthropic["stop_reason"], &anthropic["content"][0]["text"]),
        (&json!("max_tokens"), &json!("one two"))
    );
    let whole = ask(&upstream, Format::OpenAi, json!({ "max_tokens": 3 })).await.json();
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn tools_are_called_when_forced_or_told_to() {
    let (_server, upstream) = start().await;
    let function = |name| json!({ "type": "function", "function": { "name": name, "parameters": {} } });
    let tools = json!([function("first"), function("second")]);
    let called = async |choice: Value| {
        let json =
            ask(&upstream, Format::OpenAi, json!({ "tools": tools, "tool_choice": choice })).await.json();
        let choice = &json["choices"][0];
        assert_eq!(choice["finish_reason"] == "tool_calls", choice["message"]["content"].is_null());
        choice["message"]["tool_calls"][0]["function"].clone()
    };
    assert_eq!(called(json!("auto")).await, Value::Null);
    assert_eq!(called(json!("required")).await, json!({ "name": "first", "arguments": "{}" }));
    assert_eq!(called(function("second")).await["name"], "second");
    upstream.set(Behaviour::default().with_tool_calls().with_tool_arguments(r#"{"a":1}"#));
    assert_eq!(called(json!("auto")).await, json!({ "name": "first", "arguments": r#"{"a":1}"# }));
    assert_eq!(called(json!("none")).await, Value::Null);
    let result =
        json!({ "tools": tools, "messages": [{ "role": "tool", "tool_call_id": "c", "content": "3" }] });
    let after_result = ask(&upstream, Format::OpenAi, result).await.json();
    assert_eq!(after_result["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn anthropic_tools_are_called_the_same_way() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::default().with_tool_arguments(r#"{"a":1}"#));
    let tools = json!([{ "name": "first", "input_schema": {} }, { "name": "second", "input_schema": {} }]);
    let called = async |choice: Value| {
        let json =
            ask(&upstream, Format::Anthropic, json!({ "tools": tools, "tool_choice": choice })).await.json();
        assert_eq!(json["stop_reason"] == "tool_use", json["content"][0]["type"] == "tool_use");
        json["content"][0].clone()
    };
    assert_eq!(called(json!({ "type": "auto" })).await["type"], "text");
    assert_eq!(called(json!({ "type": "any" })).await["name"], "first");
    let second = called(json!({ "type": "tool", "name": "second" })).await;
    assert_eq!((&second["name"], &second["input"]), (&json!("second"), &json!({ "a": 1 })));
    let content = json!([{ "type": "tool_result", "tool_use_id": "t", "content": "3" }]);
    let more = json!({ "tools": tools, "tool_choice": { "type": "any" }, "messages": [{ "role": "user", "content": content }] });
    assert_eq!(ask(&upstream, Format::Anthropic, more).await.json()["stop_reason"], "end_turn");
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_providers_words() {
    let (_server, upstream) = start().await;
    let openai = format!("{}/chat/completions", upstream.openai_base());
    let anthropic = format!("{}/v1/messages", upstream.anthropic_base());
    let refused = async |url: &str, body: &str| {
        let reply = send(request("POST", url, body.to_owned())).await.unwrap();
        assert_eq!(reply.status, 400, "{body}");
        reply.json()["error"].take()
    };
    let broken = refused(&openai, "{").await;
    assert_eq!((&broken["type"], &broken["code"]), (&json!("invalid_request_error"), &Value::Null));
    let missing = refused(&openai, r#"{"model":"m"}"#).await;
    assert_eq!(
        (&missing["param"], &missing["code"]),
        (&json!("messages"), &json!("missing_required_parameter"))
    );
    assert_eq!(refused(&openai, r#"{"model":"m","messages":[]}"#).await["code"], "empty_array");
    assert_eq!(refused(&anthropic, "{").await["type"], "invalid_request_error");
    let missing = refused(&anthropic, r#"{"model":"m","messages":[]}"#).await;
    assert_eq!(missing["message"], "max_tokens: Field required");
}

#[tokio::test]
async fn a_required_key_must_match() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::default().with_required_key("sk-right"));
    for (format, header, prefix) in
        [(Format::OpenAi, "authorization", "Bearer "), (Format::Anthropic, "x-api-key", "")]
    {
        let missing = ask(&upstream, format, json!({})).await;
        assert_eq!(missing.status, 401);
        for (key, status) in [("sk-right", 200), ("sk-wrong", 401)] {
            let body = upstream.requests().pop().unwrap().body;
            let url = match format {
                Format::OpenAi => format!("{}/chat/completions", upstream.openai_base()),
                Format::Anthropic => format!("{}/v1/messages", upstream.anthropic_base()),
            };
            let mut request = request("POST", &url, body);
            request.headers_mut().insert(header, format!("{prefix}{key}").parse().unwrap());
            let reply = send(request).await.unwrap();
            assert_eq!(reply.status, status);
            assert!(!reply.text.contains(key));
        }
    }
}

#[tokio::test]
async fn a_request_too_large_is_refused_unread() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (server, upstream) = start().await;
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let head = "POST /primary/v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 40000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("request_too_large"), "{reply}");
    assert_eq!((upstream.calls(), upstream.aborted()), (1, 0));
}

#[tokio::test]
async fn models_and_unknown_paths_are_answered() {
    let (server, _) = start().await;
    for path in ["/v1/models", "/primary/v1/models"] {
        let reply = send(request("GET", &format!("{}{path}", server.base_url()), "")).await.unwrap();
        assert_eq!(reply.json()["data"][0]["object"], "model");
    }
    for (method, path) in
        [("GET", "/v1/chat/completions"), ("POST", "/a/b/v1/messages"), ("POST", "/"), ("GET", "/mock/x")]
    {
        let reply = send(request(method, &format!("{}{path}", server.base_url()), "")).await.unwrap();
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!("unknown_url")));
    }
}

#[tokio::test]
async fn requests_are_recorded_as_they_came() {
    let (server, upstream) = start().await;
    for format in BOTH {
        ask(&upstream, format, json!({ "temperature": 0.5 })).await;
    }
    let requests = upstream.requests();
    let paths: Vec<_> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/primary/v1/chat/completions", "/primary/v1/messages"]);
    assert_eq!(requests[0].json().unwrap()["temperature"], 0.5);
    assert!(requests[0].headers.contains_key("host"));
    assert_eq!((upstream.calls(), server.upstream("default").calls()), (2, 0));
}
