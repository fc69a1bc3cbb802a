//! What careless and hostile clients do. Each of it ends, in an answer, an error or a close, within its time, and the gateway
//! serves on.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// The longest that anything here may take: ten times the limits that end it, for a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

struct Besieged {
    server: MockServer,
    gateway: Gateway,
}

impl Besieged {
    async fn with(set: impl FnOnce(&mut Limits)) -> Self {
        let server = MockServer::start("127.0.0.1:0").await.unwrap();
        let deployment = Deployment::new("fast", "gpt-4o").api_base(server.upstream("a").openai_base());
        let router = Router::builder().deployment(deployment).build().unwrap();
        let mut limits = Limits::default();
        set(&mut limits);
        let app = App::with_limits(Serving::new(router), limits);
        Self { gateway: Gateway::of(app).await, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.gateway.address()).await.unwrap()
    }

    /// Sends bytes as they are, and returns what is answered until the connection is closed.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may be closed before all was sent.
        let _ = stream.write_all(bytes).await;
        hear(&mut stream).await
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = reqwest::Client::new().post(self.gateway.url(path)).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    /// The gateway is as it was: it answers, and nothing is left under way.
    async fn is_well(&self) {
        let upstream = self.server.upstream("a");
        let idle = async {
            while upstream.open() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(SOON, idle).await.is_ok(), "a call is left under way");
        let (status, _) = self.post("/v1/chat/completions", ask("fast").to_string()).await;
        assert_eq!(status, 200);
    }
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset is a close, too.
    let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "it is never closed");
    String::from_utf8_lossy(&heard).into_owned()
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn who_drips_a_head_or_a_body_is_let_go() {
    let limit = Duration::from_millis(300);
    let besieged = Besieged::with(|limits| {
        limits.head_timeout = limit;
        limits.body_timeout = limit;
    })
    .await;
    for start in ["GET /v1/models HTTP/1.1\r\nx-slow: ".to_owned(), head(1_000_000)] {
        let began = Instant::now();
        let (mut reading, mut writing) = besieged.connect().await.into_split();
        writing.write_all(start.as_bytes()).await.unwrap();
        let dripping = async {
            while writing.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut heard = Vec::new();
        let closed = async {
            let _ = reading.read_to_end(&mut heard).await;
        };
        let drip_on = async {
            tokio::join!(dripping, closed);
        };
        tokio::time::timeout(SOON, drip_on).await.expect("it is never closed");
        assert!(began.elapsed() >= limit);
        assert!(!String::from_utf8_lossy(&heard).contains("200 OK"));
    }
    besieged.is_well().await;
}

#[tokio::test]
async fn ten_megabytes_are_taken_and_more_than_the_limit_is_not() {
    let besieged = Besieged::with(|limits| limits.max_body = 11 << 20).await;
    let mut large = ask("fast");
    large["messages"][0]["content"] = "x".repeat(10 << 20).into();
    let (status, _) = besieged.post("/v1/chat/completions", large.to_string()).await;
    assert_eq!(status, 200);
    let sent = &besieged.server.upstream("a").requests()[0];
    assert!(sent.body.len() > 10 << 20, "it arrived whole");

    let larger = vec![b' '; 12 << 20];
    let (status, error) = besieged.post("/v1/messages", larger.clone()).await;
    assert_eq!((status, &error["error"]["type"]), (413, &json!("request_too_large")));
    // Without a length announced, it is noticed on the way.
    let pieces = futures_util::stream::iter(
        larger.chunks(1 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>(),
    );
    let response = reqwest::Client::new()
        .post(besieged.gateway.url("/v1/responses"))
        .body(reqwest::Body::wrap_stream(pieces))
        .send()
        .await;
    // Either the refusal arrives, or the connection is closed on the rest.
    assert!(response.is_err() || response.is_ok_and(|response| response.status() == 413));
    besieged.is_well().await;
}

#[tokio::test]
async fn what_is_no_text_is_refused_with_its_place() {
    let besieged = Besieged::with(|_| {}).await;
    let mut body = ask("fast").to_string().into_bytes();
    let at = body.windows(5).position(|window| window == b"Hello").unwrap();
    body[at] = 0xFF;
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions", "/v1/embeddings"]
    {
        let (status, error) = besieged.post(path, body.clone()).await;
        assert_eq!(status, 400, "{path}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("line 1, column"), "{path}: {message}");
    }
    let odd = b"GET /v1/models/\xFF%ff HTTP/1.1\r\nhost: a\r\nx-request-id: \xFF\r\nauthorization: Bearer \xFE\r\nconnection: close\r\n\r\n";
    assert!(besieged.say(odd).await.starts_with("HTTP/1.1 4"));
    assert_eq!(besieged.server.upstream("a").calls(), 0);
    besieged.is_well().await;
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let besieged = Besieged::with(|_| {}).await;
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let endless = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    for flood in [many, endless] {
        let heard =
            besieged.say(format!("GET /v1/models HTTP/1.1\r\nhost: a\r\n{flood}\r\n").as_bytes()).await;
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{heard}");
    }
    besieged.is_well().await;
}

#[tokio::test]
async fn what_is_no_http_is_closed() {
    let besieged = Besieged::with(|_| {}).await;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for nonsense in
        [&hello[..], b"\0\0\0\0\r\n\r\n", b"BREW /pot HTCPCP/1.0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
    {
        assert!(!besieged.say(nonsense).await.contains("200 OK"));
    }
    besieged.is_well().await;
}

#[tokio::test]
async fn two_lengths_and_bad_chunks_are_no_way_to_smuggle_a_request() {
    let besieged = Besieged::with(|limits| limits.body_timeout = Duration::from_millis(300)).await;
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n";
    let smuggled = "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n";
    for framing in [
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nZZ\r\n",
        "content-length: -1\r\n\r\n",
    ] {
        let heard = besieged.say(format!("{start}{framing}{smuggled}").as_bytes()).await;
        assert!(!heard.contains("200 OK"), "{framing}: {heard}");
    }
    assert_eq!(besieged.server.upstream("a").calls(), 0);
    besieged.is_well().await;
}

#[tokio::test]
async fn a_half_closed_connection_ends() {
    let besieged = Besieged::with(|limits| limits.head_timeout = Duration::from_millis(300)).await;
    besieged.server.upstream("a").set(Behaviour::default().with_chunks(20).with_chunk_interval_ms(5));
    let body = streamed("fast").to_string();
    let whole = head(body.len()) + &body;
    let cuts = [0, 10, head(body.len()).len(), whole.len() - 1, whole.len()];
    for cut in cuts {
        let mut stream = besieged.connect().await;
        stream.write_all(&whole.as_bytes()[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        let heard = hear(&mut stream).await;
        let is_complete = heard.contains("data: [DONE]");
        assert!(is_complete || !heard.contains("200 OK") || cut == whole.len(), "{cut}: {heard}");
    }
    besieged.is_well().await;
}

#[tokio::test]
async fn who_leaves_in_the_middle_cancels_the_call_whichever_api_they_speak() {
    let besieged = Besieged::with(|_| {}).await;
    let upstream = besieged.server.upstream("a");
    upstream.set(Behaviour::default().with_chunks(1_000).with_chunk_interval_ms(5));
    let asked = [
        ("/v1/chat/completions", streamed("fast")),
        ("/v1/completions", json!({"model": "fast", "prompt": "Hello", "stream": true})),
        (
            "/v1/messages",
            json!({"model": "fast", "max_tokens": 5_000, "messages": [{"role": "user", "content": "Hello"}], "stream": true}),
        ),
        ("/v1/responses", json!({"model": "fast", "input": "Hello", "stream": true})),
    ];
    for (left, (path, body)) in (1..).zip(asked) {
        let request = reqwest::Client::new().post(besieged.gateway.url(path)).body(body.to_string());
        let mut events = request.send().await.unwrap().bytes_stream();
        events.next().await.unwrap().unwrap();
        drop(events);
        let gone = async {
            while upstream.aborted() < left {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_millis(100), gone).await.expect("the upstream call goes on");
    }
    upstream.set(Behaviour::default());
    besieged.is_well().await;
}
