//! The driver over real HTTP, against the simulated provider and, for what that cannot do, a bare socket.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "clippy knows test functions, but not what helps them"
)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use router_core::{
    ChatRequest, Chunk, ChunkKind, EmbeddingRequest, Provider, ProviderError, ProviderErrorKind,
};
use router_mock::{Behaviour, Fault, MockServer, Upstream, Usage};
use router_providers::{Endpoint, EndpointError, Providers};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "sk-very-secret-key-0123456789";

/// The two wire formats, to the same upstream.
fn both(upstream: &Upstream) -> [(&'static str, Arc<dyn Provider>); 2] {
    [("openai", openai(&upstream.openai_base())), ("anthropic", anthropic(upstream))]
}

fn openai(base: &str) -> Arc<dyn Provider> {
    connect(Endpoint::new("openai/gpt-4o").with_api_base(base))
}

fn anthropic(upstream: &Upstream) -> Arc<dyn Provider> {
    connect(Endpoint::new("anthropic/claude-sonnet-4-5").with_api_base(upstream.anthropic_base()))
}

fn connect(endpoint: Endpoint) -> Arc<dyn Provider> {
    Providers::new().unwrap().connect(&endpoint.with_api_key(KEY)).unwrap()
}

async fn mock() -> (MockServer, Upstream) {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("primary");
    (server, upstream)
}

fn ask() -> ChatRequest {
    ChatRequest::user("alias", "What is two and two?").unwrap()
}

/// Reads a stream to its end: its chunks, and how it ended.
async fn read(provider: &dyn Provider) -> (Vec<Chunk>, Result<(), ProviderError>) {
    let mut stream = match provider.stream(&ask()).await {
        Ok(stream) => stream.chunks,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing comes after an error");
                return (chunks, Err(error));
            }
        }
    }
    (chunks, Ok(()))
}

fn text(chunks: &[Chunk]) -> String {
    chunks.iter().filter_map(Chunk::text).collect()
}

async fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect(what);
}

#[tokio::test]
async fn a_plain_answer_comes_back_with_its_usage() {
    let (_server, upstream) = mock().await;
    let usage = Usage { cached_tokens: 4, reasoning_tokens: 1, ..Usage::new(10, 5) };
    upstream.set(Behaviour::answering("Four.").with_usage(usage));
    for (format, provider) in both(&upstream) {
        let reply = provider.complete(&ask()).await.unwrap();
        assert_eq!(reply.text().as_deref(), Some("Four."), "{format}");
        let usage = reply.usage.unwrap();
        assert_eq!((usage.prompt, usage.completion, usage.cached_read), (10, 5, 4), "{format}");
    }
    let [openai, anthropic] = &upstream.requests()[..] else { panic!("two requests") };
    assert_eq!(openai.path, "/primary/v1/chat/completions");
    assert_eq!(openai.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(openai.json().unwrap()["model"], "gpt-4o");
    assert_eq!(anthropic.path, "/primary/v1/messages");
    assert_eq!(anthropic.headers["x-api-key"], KEY);
    assert_eq!(anthropic.headers["anthropic-version"], "2023-06-01");
    assert_eq!(anthropic.json().unwrap()["model"], "claude-sonnet-4-5");
}

#[tokio::test]
async fn a_stream_comes_back_in_chunks_with_its_usage_last() {
    let (_server, upstream) = mock().await;
    upstream.set(Behaviour::answering("one two three four").with_usage(Usage::new(10, 5)));
    for (format, provider) in both(&upstream) {
        let (chunks, result) = read(&*provider).await;
        assert!(result.is_ok(), "{format}: {result:?}");
        assert_eq!(text(&chunks), "one two three four", "{format}");
        assert_eq!(chunks.first().unwrap().kind, ChunkKind::Preamble, "{format}");
        assert_eq!(chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Finish).count(), 1, "{format}");
        let last = chunks.last().unwrap();
        assert_eq!(last.kind, ChunkKind::Usage, "{format}");
        assert_eq!((last.usage.unwrap().prompt, last.usage.unwrap().completion), (10, 5), "{format}");
    }
    for request in upstream.requests() {
        assert_eq!(request.json().unwrap()["stream"], true);
    }
    assert_eq!(upstream.requests()[0].json().unwrap()["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn tool_calls_come_back_plain_and_streamed() {
    let (_server, upstream) = mock().await;
    upstream.set(Behaviour::default().with_tool_calls().with_tool_arguments(r#"{"city":"Paris"}"#));
    let tools = serde_json::json!([{"type": "function", "function": {"name": "weather", "parameters": {}}}]);
    let request = ChatRequest::builder("alias").user("weather?").set("tools", tools).build().unwrap();
    for (format, provider) in both(&upstream) {
        let reply = provider.complete(&request).await.unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let function = &body["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(function["name"], "weather", "{format}");
        let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments["city"], "Paris", "{format}");

        let chunks: Vec<_> = provider.stream(&request).await.unwrap().chunks.collect().await;
        let arguments: String = chunks
            .into_iter()
            .map(|chunk| serde_json::from_slice::<Value>(&chunk.unwrap().data).unwrap())
            .filter_map(|chunk| {
                let function = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"];
                function["arguments"].as_str().map(str::to_owned)
            })
            .collect();
        let arguments: Value = serde_json::from_str(&arguments).unwrap();
        assert_eq!(arguments["city"], "Paris", "{format}");
    }
}

#[tokio::test]
async fn each_fault_has_its_kind() {
    use ProviderErrorKind::*;
    let (_server, upstream) = mock().await;
    let cases = [
        (Fault::rate_limited("3"), RateLimited),
        (Fault::status(401), Authentication),
        (Fault::status(404), NotFound),
        (Fault::status(500), Server),
        (Fault::status(503), Overloaded),
        (Fault::status(529), Overloaded),
        (Fault::ContextWindow, ContextWindow),
        (Fault::ContentFilter, ContentPolicy),
        (Fault::InsufficientQuota, QuotaExhausted),
        (Fault::Reset, Connection),
    ];
    for (fault, expected) in cases {
        upstream.set(fault.clone());
        for (format, provider) in both(&upstream) {
            let plain = provider.complete(&ask()).await.unwrap_err();
            assert_eq!(plain.kind(), expected, "{format} {fault:?}: {plain}");
            let streamed = provider.stream(&ask()).await.err().expect("an error before the stream begins");
            assert_eq!(streamed.kind(), expected, "{format} {fault:?}: {streamed}");
            if expected == RateLimited {
                assert_eq!(plain.retry_after(), Some(Duration::from_secs(3)));
                assert_eq!(streamed.status().unwrap(), 429);
            }
        }
    }
}

#[tokio::test]
async fn a_reply_that_is_cut_or_broken_is_an_error() {
    use ProviderErrorKind::{Connection, MalformedReply};
    let (_server, upstream) = mock().await;
    for (fault, expected) in [
        (Fault::cut(0), Connection),
        (Fault::EmptyBody, MalformedReply),
        (Fault::MalformedBody, MalformedReply),
        (Fault::ErrorInStream { after_chunks: 0, code: 429 }, ProviderErrorKind::RateLimited),
    ] {
        upstream.set(fault.clone());
        for (format, provider) in both(&upstream) {
            let error = provider.complete(&ask()).await.unwrap_err();
            assert_eq!(error.kind(), expected, "{format} {fault:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_or_broken_delivers_what_came_and_then_fails() {
    use ProviderErrorKind::{MalformedReply, RateLimited, StreamInterrupted};
    let (_server, upstream) = mock().await;
    for (fault, expected, words) in [
        (Fault::cut(2), StreamInterrupted, 2),
        (Fault::MalformedChunk { after_chunks: 2 }, MalformedReply, 2),
        (Fault::ErrorInStream { after_chunks: 2, code: 429 }, RateLimited, 2),
        (Fault::NoEndMarker { without_finish_reason: false }, StreamInterrupted, 4),
        (Fault::NoEndMarker { without_finish_reason: true }, StreamInterrupted, 4),
    ] {
        upstream.set(Behaviour::answering("one two three four").with_fault(fault.clone()));
        for (format, provider) in both(&upstream) {
            let (chunks, result) = read(&*provider).await;
            let error = result.unwrap_err();
            assert_eq!(error.kind(), expected, "{format} {fault:?}: {error}");
            assert_eq!(text(&chunks).split_whitespace().count(), words, "{format} {fault:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_echoes_the_key_does_not_get_it_into_an_error() {
    let (_server, upstream) = mock().await;
    let message = Some(format!("Incorrect API key provided: {KEY}. Or Bearer {KEY}?"));
    let long = "x".repeat(290) + KEY;
    for behaviour in [
        Behaviour::failing(Fault::Status { code: 401, retry_after: None, message }),
        Fault::Raw { code: 502, content_type: "text/html".into(), body: format!("<h1>{long}</h1>") }.into(),
        Fault::Raw {
            code: 200,
            content_type: "text/event-stream".into(),
            body: format!("data: {{\"error\":{{\"message\":\"no {KEY}\",\"code\":\"{KEY}\"}}}}\n\n"),
        }
        .into(),
    ] {
        upstream.set(behaviour);
        for (format, provider) in both(&upstream) {
            let plain = provider.complete(&ask()).await.unwrap_err();
            let streamed = read(&*provider).await.1.unwrap_err();
            for error in [plain, streamed] {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("sk-very"), "{format}: {shown}");
                assert!(error.message().chars().count() <= 301, "{format}: {shown}");
            }
            assert!(!format!("{provider:?}").contains("sk-very"), "{format}");
        }
    }
}

#[tokio::test]
async fn what_a_format_cannot_express_is_never_sent() {
    let (_server, upstream) = mock().await;
    let request = ChatRequest::builder("alias").user("hi").set("n", 3).build().unwrap();
    let error = anthropic(&upstream).complete(&request).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
    assert_eq!(error.message(), "`n` is not supported by Anthropic");
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn what_a_format_cannot_express_is_left_out_where_that_is_allowed() {
    let (_server, upstream) = mock().await;
    let base = Endpoint::new("anthropic/claude-sonnet-4-5").with_api_base(upstream.anthropic_base());
    let provider = connect(base.with_drop_params(true));
    let request = ChatRequest::builder("alias").user("hi").set("n", 3).set("logprobs", true).build().unwrap();
    assert!(provider.complete(&request).await.is_ok());
    assert_eq!(provider.dropped_params(&request), ["logprobs", "n"]);
    let sent = upstream.requests().pop().unwrap().json().unwrap();
    assert!(sent["n"].is_null() && sent["logprobs"].is_null(), "{sent}");
    assert_eq!(sent["messages"][0]["content"][0]["text"], "hi");

    // A part of a message is what the request is about, and stays.
    let audio = serde_json::json!({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]});
    let request = ChatRequest::builder("alias").message(audio).build().unwrap();
    let error = provider.complete(&request).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
    assert!(provider.dropped_params(&request).is_empty());
}

#[tokio::test]
async fn embeddings_come_back_as_they_were_sent() {
    let (_server, upstream) = mock().await;
    let request = EmbeddingRequest::of("alias", ["a", "b"]).unwrap().with("dimensions", 3).unwrap();
    for base in [upstream.openai_base(), format!("{}/chat/completions", upstream.openai_base())] {
        let reply = openai(&base).embed(&request).await.unwrap();
        let vectors = reply.vectors().unwrap();
        assert_eq!(vectors.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(reply.model.as_deref(), Some("gpt-4o"));
        assert_eq!(reply.usage.unwrap().prompt, 1);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, "/primary/v1/embeddings");
        let expected = serde_json::json!({"model": "gpt-4o", "input": ["a", "b"], "dimensions": 3});
        assert_eq!(sent.json().unwrap(), expected);
    }
    let in_base64 = request.with("encoding_format", "base64").unwrap();
    let reply = openai(&upstream.openai_base()).embed(&in_base64).await.unwrap();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert!(body["data"][1]["embedding"].is_string());

    upstream.set(Fault::rate_limited("3"));
    let error = openai(&upstream.openai_base()).embed(&request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ProviderErrorKind::RateLimited, Some(Duration::from_secs(3)))
    );
}

#[tokio::test]
async fn a_provider_without_embeddings_says_so_and_is_not_called() {
    let (_server, upstream) = mock().await;
    let request = EmbeddingRequest::of("alias", ["a"]).unwrap();
    let error = anthropic(&upstream).embed(&request).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
    assert_eq!(error.message(), "provider `anthropic` has no embeddings");
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn leaving_ends_the_call() {
    let (_server, upstream) = mock().await;
    upstream.set(
        Behaviour::answering("one two three four").with_fault(Fault::Stall { after_chunks: 2, ms: None }),
    );
    let provider = openai(&upstream.openai_base());
    let mut stream = provider.stream(&ask()).await.unwrap().chunks;
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(upstream.open(), 1);
    drop(stream);
    eventually("the upstream notices", || upstream.aborted() == 1 && upstream.open() == 0).await;

    upstream.set(Fault::Hang);
    let request = ask();
    let call = provider.complete(&request);
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    eventually("the upstream notices", || upstream.aborted() == 2 && upstream.open() == 0).await;
}

#[tokio::test]
async fn a_finished_stream_is_not_an_abandoned_one() {
    let (_server, upstream) = mock().await;
    for (_, provider) in both(&upstream) {
        for _ in 0..5 {
            assert!(read(&*provider).await.1.is_ok());
        }
    }
    eventually("all calls end", || upstream.open() == 0).await;
    assert_eq!((upstream.calls(), upstream.aborted()), (10, 0));
}

#[tokio::test]
async fn a_host_that_does_not_stream_is_understood_all_the_same() {
    let (_server, upstream) = mock().await;
    let whole = r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Four."},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let raw = |body: &str, content_type: &str| {
        upstream.set(Fault::Raw { code: 200, content_type: content_type.into(), body: body.into() });
    };
    let provider = openai(&upstream.openai_base());
    raw(whole, "application/json");
    let (chunks, result) = read(&*provider).await;
    assert!(result.is_ok());
    assert_eq!(text(&chunks), "Four.");
    assert_eq!(chunks.last().unwrap().usage.unwrap().completion, 2);

    raw(r#"{"error":{"message":"m","code":"content_filter"}}"#, "application/json; charset=utf-8");
    assert_eq!(read(&*provider).await.1.unwrap_err().kind(), ProviderErrorKind::ContentPolicy);
    raw("<html></html>", "text/html");
    assert_eq!(read(&*provider).await.1.unwrap_err().kind(), ProviderErrorKind::MalformedReply);
}

/// Serves one connection after another with a handler, and counts them.
async fn socket<F>(handler: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            handler(stream).await;
        }
    });
    base
}

/// Reads a request to the end of its head; its body fits into the same packet or the next.
async fn receive(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return false,
            Ok(length) => request.extend_from_slice(&piece[..length]),
        }
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return true;
            }
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again_though_the_body_ends_after_the_end_marker() {
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = connections.clone();
    let base = socket(move |mut stream| {
        count.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        async move {
            while receive(&mut stream).await {
                let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n";
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let start = format!("{head}{:x}\r\n{event}\r\n", event.len());
                stream.write_all(start.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let provider = openai(&base);
    for _ in 0..3 {
        let (chunks, result) = read(&*provider).await;
        assert!(result.is_ok() && chunks.len() == 1);
        tokio::time::sleep(Duration::from_millis(100)).await; // as long as a person needs for the next question
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::Acquire), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_that_no_key_travels_along() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let base = socket(move |mut stream| async move {
            receive(&mut stream).await;
            let head =
                format!("HTTP/1.1 {status}\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        })
        .await;
        let error = openai(&base).complete(&ask()).await.unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::NotFound, "{status}");
        assert!(error.message().contains("set `api_base` to its final address"), "{error}");
        let error = read(&*openai(&base)).await.1.unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::NotFound, "{status}");
    }
    // Nobody has come there, nor is on the way.
    assert!(futures_util::FutureExt::now_or_never(elsewhere.accept()).is_none());
}

#[tokio::test]
async fn endless_bodies_are_not_read_to_their_end() {
    let base = socket(|mut stream| async move {
        receive(&mut stream).await;
        stream.write_all(b"HTTP/1.1 500 Oops\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let error = openai(&base).complete(&ask()).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Server);

    let base = socket(|mut stream| async move {
        receive(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ";
        stream.write_all(head.as_bytes()).await.unwrap();
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let provider = openai(&base);
    assert_eq!(read(&*provider).await.1.unwrap_err().kind(), ProviderErrorKind::MalformedReply);
    let error = provider.complete(&ask()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ProviderErrorKind::MalformedReply, "the reply is larger than 64 MiB")
    );
}

#[tokio::test]
async fn endless_headers_are_not_read_to_their_end() {
    let base = socket(|mut stream| async move {
        receive(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream.write_all(&[b"x-filler: ", &[b'x'; 8192][..], b"\r\n"].concat()).await.is_ok() {}
    })
    .await;
    let error = openai(&base).complete(&ask()).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Connection, "{error}");
}

/// The environment is read when a process makes its client, so this test runs itself a second time in another.
#[tokio::test]
async fn a_proxy_from_the_environment_is_used() {
    const NAME: &str = "a_proxy_from_the_environment_is_used";
    if std::env::var_os("IS_BEHIND_PROXY").is_some() {
        let reply = openai("http://model.example/v1").complete(&ask()).await.unwrap();
        assert_eq!(reply.text().as_deref(), Some("Through the proxy."));
        return;
    }
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("default").set(Behaviour::answering("Through the proxy."));
    // A proxy gets the whole URL in its request line; the simulated provider takes the path from it.
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact"])
        .env("IS_BEHIND_PROXY", "1")
        .env("HTTP_PROXY", server.base_url())
        .env("http_proxy", server.base_url())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.upstream("default").requests().pop().unwrap().headers["host"], "model.example");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named_by_the_cause() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = openai(&format!("http://127.0.0.1:{port}/v1")).complete(&ask()).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Connection);
    let beginning = format!("could not connect to 127.0.0.1:{port}: ");
    assert!(error.message().starts_with(&beginning), "{error}");
    assert!(error.message().contains("refused"), "{error}");
    assert!(!format!("{error:?}").contains("/v1"), "the URL stays out: {error:?}");
}

#[test]
fn an_endpoint_is_checked_before_it_is_called() {
    let providers = Providers::new().unwrap();
    let error = providers.connect(&Endpoint::new("mistrall/large")).unwrap_err();
    assert!(matches!(error, EndpointError::UnknownProvider { .. }));
    let error = providers.connect(&Endpoint::new("gpt-4o").with_api_base("localhost:8000")).unwrap_err();
    assert!(matches!(error, EndpointError::ApiBase { .. }), "{error}");
}
