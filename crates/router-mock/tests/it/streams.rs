use std::time::{Duration, Instant};

use router_mock::{Behaviour, Usage};
use serde_json::{Value, json};

use crate::client::{BOTH, Format, ask, ask_stream, start};

#[tokio::test]
async fn an_openai_stream_has_the_order_of_the_real_one() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::answering("one two three"));
    let reply = ask_stream(&upstream, Format::OpenAi).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(reply.events().last(), Some(&("", "[DONE]")));
    let chunks = reply.chunks();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(reply.content(), ["one", " two", " three"]);
    let last = &chunks[chunks.len() - 1];
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["choices"][0]["delta"]),
        (&json!("stop"), &json!({}))
    );
    for chunk in &chunks {
        assert_eq!((&chunk["object"], &chunk["id"]), (&json!("chat.completion.chunk"), &chunks[0]["id"]));
        assert!(chunk.get("usage").is_none());
    }
}

#[tokio::test]
async fn an_openai_stream_reports_usage_only_when_asked() {
    let (_server, upstream) = start().await;
    let more = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let chunks = ask(&upstream, Format::OpenAi, more).await.chunks();
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(3)));
    assert!(others.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
}

#[tokio::test]
async fn an_anthropic_stream_has_the_order_of_the_real_one() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::answering("one two").with_usage(Usage { cached_tokens: 4, ..Usage::new(10, 2) }));
    let reply = ask_stream(&upstream, Format::Anthropic).await;
    let names: Vec<_> = reply.events().into_iter().map(|(name, _)| name).collect();
    let (delta, stop) = ("content_block_delta", "content_block_stop");
    assert_eq!(
        names,
        ["message_start", "content_block_start", "ping", delta, delta, stop, "message_delta", "message_stop"]
    );
    let chunks = reply.chunks();
    assert!(chunks.iter().zip(names).all(|(chunk, name)| chunk["type"] == name));
    let start = &chunks[0]["message"];
    assert_eq!((&start["content"], &start["stop_reason"]), (&json!([]), &Value::Null));
    assert_eq!((&start["usage"]["input_tokens"], &start["usage"]["output_tokens"]), (&json!(6), &json!(1)));
    assert_eq!(reply.content(), ["one", " two"]);
    assert_eq!(chunks[6]["delta"]["stop_reason"], "end_turn");
    assert_eq!(
        (&chunks[6]["usage"]["output_tokens"], &chunks[6]["usage"]["cache_read_input_tokens"]),
        (&json!(2), &json!(4))
    );
}

#[tokio::test]
async fn a_stream_says_what_the_plain_reply_says() {
    let (_server, upstream) = start().await;
    let plain = ask(&upstream, Format::OpenAi, json!({})).await.json();
    for format in BOTH {
        let stream = ask_stream(&upstream, format).await;
        assert_eq!(plain["choices"][0]["message"]["content"], stream.content().concat());
        upstream.enqueue(Behaviour::default().with_chunks(60));
        assert_eq!(ask_stream(&upstream, format).await.content().len(), 60);
    }
}

#[tokio::test]
async fn a_tool_call_is_streamed_in_pieces() {
    let (_server, upstream) = start().await;
    let arguments = r#"{"city":"Oslo","unit":"celsius"}"#;
    upstream.set(Behaviour::default().with_tool_calls().with_tool_arguments(arguments));

    let tools = json!([{ "type": "function", "function": { "name": "weather" } }]);
    let openai = ask(&upstream, Format::OpenAi, json!({ "stream": true, "tools": tools })).await.chunks();
    assert_eq!(openai[0]["choices"][0]["delta"]["content"], Value::Null);
    let call = &openai[1]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!(
        (&call["index"], &call["function"]),
        (&json!(0), &json!({ "name": "weather", "arguments": "" }))
    );
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    let piece =
        |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].clone();
    let pieces: Vec<_> = openai.iter().map(piece).filter(Value::is_string).collect();
    assert_eq!(pieces.len(), 5, "the name, and 32 characters in eights");
    assert_eq!(pieces.iter().filter_map(Value::as_str).collect::<String>(), arguments);
    assert_eq!(openai.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");

    let tools = json!([{ "name": "weather", "input_schema": {} }]);
    let anthropic =
        ask(&upstream, Format::Anthropic, json!({ "stream": true, "tools": tools })).await.chunks();
    let block = &anthropic[1]["content_block"];
    assert_eq!(
        (&block["type"], &block["name"], &block["input"]),
        (&json!("tool_use"), &json!("weather"), &json!({}))
    );
    let pieces: String =
        anthropic.iter().filter_map(|chunk| chunk["delta"]["partial_json"].as_str()).collect();
    assert_eq!(pieces, arguments);
    assert_eq!(anthropic[anthropic.len() - 2]["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn the_three_waits_add_up() {
    let (_server, upstream) = start().await;
    let slow = Behaviour::answering("one two three").with_latency_ms(10).with_first_token_ms(10);
    upstream.set(slow.with_chunk_interval_ms(5));
    let started = Instant::now();
    ask_stream(&upstream, Format::OpenAi).await;
    assert!(started.elapsed() >= Duration::from_millis(30));
}
