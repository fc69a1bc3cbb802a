//! Providers in the clouds over real HTTP: their addresses, keys, tokens and signatures.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy knows test functions, but not what helps them"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::StreamExt;
use router_core::{ChatRequest, Chunk, Provider, ProviderError, ProviderErrorKind};
use router_providers::{Endpoint, Providers};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request, as it came.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    headers: HashMap<String, String>,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What is answered: status, headers and body.
type Answer = (u16, String, Vec<u8>);

fn answer(status: u16, body: &Value) -> Answer {
    (status, "content-type: application/json\r\n".to_owned(), body.to_string().into_bytes())
}

/// A server that answers with a closure and remembers what it was asked.
struct Server {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(reply: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (seen.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), reply.clone()));
            }
        });
        Self { base, seen }
    }

    fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.path.contains(path)).cloned().collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<impl Fn(&Seen) -> Answer + Send + Sync>,
) {
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some((request, rest)) = parse(&buffer) {
                buffer = rest;
                break request;
            }
            let mut piece = [0; 16_384];
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(length) => buffer.extend_from_slice(&piece[..length]),
            }
        };
        let (status, headers, body) = reply(&request);
        log.lock().unwrap().push(request);
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

/// Reads a request from the beginning of the bytes, if it is all there, and returns the rest of them.
fn parse(bytes: &[u8]) -> Option<(Seen, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let body = bytes.get(end + 4..end + 4 + length)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Some((Seen { path, headers, body }, bytes[end + 4 + length..].to_vec()))
}

fn connect(endpoint: &Endpoint) -> Arc<dyn Provider> {
    Providers::new().unwrap().connect(endpoint).unwrap()
}

fn ask() -> ChatRequest {
    ChatRequest::user("alias", "What is two and two?").unwrap()
}

async fn read(provider: &dyn Provider) -> (Vec<Chunk>, Result<(), ProviderError>) {
    let mut stream = match provider.stream(&ask()).await {
        Ok(stream) => stream.chunks,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => return (chunks, Err(error)),
        }
    }
    (chunks, Ok(()))
}

fn gemini_reply(text: &str) -> Value {
    json!({"responseId": "r", "modelVersion": "gemini-2.5-flash", "candidates": [
        {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2}})
}

#[tokio::test]
async fn gemini_is_asked_with_its_key_in_a_header_and_never_in_the_address() {
    let server = Server::start(|request| {
        if request.path.contains("stream") {
            let events = format!("data: {}\r\n\r\n", gemini_reply("Four."));
            (200, "content-type: text/event-stream\r\n".to_owned(), events.into_bytes())
        } else {
            answer(200, &gemini_reply("Four."))
        }
    })
    .await;
    let provider = connect(
        &Endpoint::new("gemini/gemini-2.5-flash")
            .with_api_base(&server.base)
            .with_api_key("AIza-very-secret"),
    );
    let reply = provider.complete(&ask()).await.unwrap();
    assert_eq!(reply.text().as_deref(), Some("Four."));
    assert_eq!(reply.usage.unwrap().total(), 9);
    let (chunks, result) = read(&*provider).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(chunks.iter().filter_map(Chunk::text).collect::<String>(), "Four.");
    assert_eq!(chunks.last().unwrap().usage.unwrap().prompt, 7);

    let paths: Vec<_> = server.seen("").into_iter().map(|request| request.path).collect();
    assert_eq!(
        paths,
        [
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ]
    );
    for request in server.seen("") {
        assert_eq!(request.headers["x-goog-api-key"], "AIza-very-secret");
        assert!(!request.headers.contains_key("authorization"));
    }
    assert!(!format!("{provider:?}").contains("very-secret"));
}

#[tokio::test]
async fn a_pattern_asks_for_the_model_that_the_request_names() {
    let server = Server::start(|_| answer(200, &gemini_reply("x"))).await;
    let provider = connect(&Endpoint::new("gemini/*").with_api_base(&server.base).with_api_key("k"));
    let request = ChatRequest::user("gemini-2.5-pro", "hi").unwrap();
    provider.complete(&request).await.unwrap();
    assert_eq!(server.seen("").pop().unwrap().path, "/v1beta/models/gemini-2.5-pro:generateContent");
}

/// Google Cloud: gives tokens that live as long as told, and answers with them.
async fn google(lifetime: u64) -> Server {
    let given = Mutex::new(0);
    Server::start(move |request| {
        if request.path == "/token" {
            let mut given = given.lock().unwrap();
            *given += 1;
            return answer(200, &json!({"access_token": format!("token-{given}"), "expires_in": lifetime}));
        }
        if request.body.contains("revoked") {
            return answer(401, &json!({"error": {"code": 401, "message": "bad token-1", "status": "UNAUTHENTICATED"}}));
        }
        if request.path.contains("anthropic") {
            return answer(200, &json!({"id": "m", "type": "message", "model": "claude", "content": [{"type": "text", "text": "Four."}],
                "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}));
        }
        answer(200, &gemini_reply("Four."))
    })
    .await
}

/// The key file of a service account whose tokens come from this server.
fn service_account(server: &Server) -> String {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(pkcs8.as_ref())
    );
    json!({"type": "service_account", "project_id": "p-1", "private_key_id": "k1", "private_key": pem,
        "client_email": "router@p-1.iam.gserviceaccount.com", "token_uri": format!("{}/token", server.base)})
    .to_string()
}

fn vertex(server: &Server, model: &str) -> Arc<dyn Provider> {
    connect(
        &Endpoint::new(format!("vertex_ai/{model}"))
            .with_api_base(&server.base)
            .with_vertex_location("europe-west4")
            .with_vertex_credentials(service_account(server)),
    )
}

#[tokio::test]
async fn many_calls_at_once_share_one_token() {
    let server = google(3600).await;
    let provider = vertex(&server, "gemini-2.5-flash");
    let request = ask();
    let calls = (0..20).map(|_| provider.complete(&request));
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.unwrap().text().as_deref(), Some("Four."));
    }
    let [token] = &server.seen("/token")[..] else { panic!("one token for all") };
    let assertion = token
        .body
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    let claims = URL_SAFE_NO_PAD.decode(assertion.unwrap().split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "router@p-1.iam.gserviceaccount.com");
    let calls = server.seen("generateContent");
    assert_eq!(calls.len(), 20);
    for call in calls {
        assert_eq!(call.headers["authorization"], "Bearer token-1");
        let expected = "/v1beta1/projects/p-1/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent";
        assert_eq!(call.path, expected);
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    // Three minutes are less than the five before the end in which it is renewed.
    let server = google(180).await;
    let provider = vertex(&server, "gemini-2.5-flash");
    for _ in 0..3 {
        provider.complete(&ask()).await.unwrap();
    }
    let used: Vec<_> =
        server.seen("generateContent").iter().map(|call| call.headers["authorization"].clone()).collect();
    assert_eq!(used, ["Bearer token-1", "Bearer token-2", "Bearer token-3"]);
}

#[tokio::test]
async fn a_refused_token_is_not_used_again_and_not_shown() {
    let server = google(3600).await;
    let provider = vertex(&server, "gemini-2.5-flash");
    provider.complete(&ask()).await.unwrap();
    let error = provider.complete(&ChatRequest::user("alias", "revoked").unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ProviderErrorKind::Authentication, "bad [redacted]"));
    provider.complete(&ask()).await.unwrap();
    let used: Vec<_> =
        server.seen("generateContent").iter().map(|call| call.headers["authorization"].clone()).collect();
    assert_eq!(used, ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn a_refused_account_is_a_refused_credential() {
    let server = Server::start(|_| {
        answer(400, &json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))
    })
    .await;
    let error = vertex(&server, "gemini-2.5-flash").complete(&ask()).await.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Authentication);
    assert_eq!(error.message(), "no access token was given: invalid_grant: Invalid JWT Signature.");
    assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
    assert_eq!(server.seen("generateContent").len(), 0);
}

#[tokio::test]
async fn whoever_gives_up_on_a_token_leaves_it_to_the_others() {
    let server = google(3600).await;
    let provider = vertex(&server, "gemini-2.5-flash");
    let request = ask();
    // Polled once, so that the token is being fetched, and dropped.
    let given_up = tokio::time::timeout(Duration::ZERO, provider.complete(&request)).await;
    assert!(given_up.is_err());
    assert_eq!(provider.complete(&request).await.unwrap().text().as_deref(), Some("Four."));
    assert_eq!(server.seen("/token").len(), 1);
}

#[tokio::test]
async fn claude_on_vertex_is_asked_in_anthropics_words() {
    let server = google(3600).await;
    let provider = connect(
        &Endpoint::new("vertex_ai/claude-sonnet-4-5@20250929")
            .with_api_base(&server.base)
            .with_vertex_project("p-2")
            .with_api_key("ya29.given"),
    );
    assert_eq!(provider.complete(&ask()).await.unwrap().text().as_deref(), Some("Four."));
    let call = server.seen("").pop().unwrap();
    let expected = "/v1beta1/projects/p-2/locations/us-central1/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict";
    assert_eq!(call.path, expected);
    assert_eq!(call.headers["authorization"], "Bearer ya29.given");
    let body = call.json();
    assert_eq!(body["anthropic_version"], "vertex-2023-10-16");
    assert_eq!(body.get("model"), None);
    assert!(server.seen("/token").is_empty());
}

#[cfg(feature = "bedrock")]
mod bedrock {
    use router_core::EmbeddingRequest;

    use super::*;

    fn fixture(part: &str) -> Value {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bedrock");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut found = entries.filter(|path| path.to_string_lossy().contains(part));
        serde_json::from_slice(&std::fs::read(found.next().unwrap()).unwrap()).unwrap()
    }

    fn signed(server: &Server) -> Endpoint {
        Endpoint::new("bedrock/us.amazon.nova-lite-v1:0")
            .with_aws_bedrock_runtime_endpoint(&server.base)
            .with_aws_region_name("us-east-1")
            .with_aws_access_key_id("AKIAIOSFODNN7EXAMPLE")
            .with_aws_secret_access_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .with_aws_session_token("session-token-123")
    }

    #[tokio::test]
    async fn each_text_of_an_embedding_is_a_call_and_the_vectors_keep_their_order() {
        let server = Server::start(|request| {
            let text = request.json()["inputText"].as_str().unwrap().to_owned();
            if text == "too much" {
                let headers = "x-amzn-errortype: ThrottlingException:http://x\r\n".to_owned();
                return (429, headers, br#"{"message":"Too many requests"}"#.to_vec());
            }
            let number: u64 = text.parse().unwrap();
            answer(200, &json!({"embedding": [number], "inputTextTokenCount": 2}))
        })
        .await;
        let mut endpoint = signed(&server).with_drop_params(true);
        endpoint.model = "bedrock/amazon.titan-embed-text-v1".to_owned();
        let provider = connect(&endpoint);
        let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let request = EmbeddingRequest::of("alias", &texts[..]).unwrap().with("dimensions", 3).unwrap();
        let reply = provider.embed(&request).await.unwrap();
        let expected: Vec<Vec<f32>> = (0..20_u8).map(|number| vec![f32::from(number)]).collect();
        assert_eq!(reply.vectors().unwrap(), expected);
        assert_eq!(reply.usage.unwrap().prompt, 40);
        // What the model cannot do was left out, and that is told.
        assert_eq!(provider.dropped_embedding_params(&request), ["dimensions"]);
        let calls = server.seen("/model/amazon.titan-embed-text-v1/invoke");
        assert_eq!(calls.len(), 20);
        assert!(calls.iter().all(|call| call.json().get("dimensions").is_none()));
        assert!(calls.iter().all(|call| call.headers["authorization"].starts_with("AWS4-HMAC-SHA256 ")));

        let half = EmbeddingRequest::of("alias", ["1", "too much", "2"]).unwrap();
        let error = provider.embed(&half).await.unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::RateLimited);

        endpoint.drop_params = false;
        let error = connect(&endpoint).embed(&request).await.unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
        assert!(error.message().starts_with("`dimensions` is not supported"), "{error}");
    }

    #[tokio::test]
    async fn requests_are_signed_and_recorded_frames_are_read() {
        let whole = fixture("bedrock_converse.parallel_tool_calls.us-anthropic")["response"]["body"].clone();
        let stream =
            fixture("bedrock_converse.stream_text.us-amazon-nova-lite")["response"]["eventstream_base64"]
                .clone();
        let stream = STANDARD.decode(stream.as_str().unwrap()).unwrap();
        let server = Server::start(move |request| {
            if request.path.ends_with("-stream") {
                (200, "content-type: application/vnd.amazon.eventstream\r\n".to_owned(), stream.clone())
            } else {
                answer(200, &whole)
            }
        })
        .await;
        let provider = connect(&signed(&server));
        let reply = provider.complete(&ask()).await.unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
        let (chunks, result) = read(&*provider).await;
        assert!(result.is_ok(), "{result:?}");
        assert!(!chunks.iter().filter_map(Chunk::text).collect::<String>().is_empty());
        assert!(chunks.last().unwrap().usage.unwrap().completion > 0);

        let paths: Vec<_> = server.seen("").into_iter().map(|request| request.path).collect();
        assert_eq!(
            paths,
            [
                "/model/us.amazon.nova-lite-v1%3A0/converse",
                "/model/us.amazon.nova-lite-v1%3A0/converse-stream"
            ]
        );
        for request in server.seen("") {
            check_signature(&request, &server);
        }
    }

    /// Computes the signature a second time, from the request as it arrived, step by step as AWS describes it.
    fn check_signature(request: &Seen, server: &Server) {
        use aws_lc_rs::{digest, hmac};
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sha256 = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let sign = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
        };
        let date = &request.headers["x-amz-date"];
        let canonical = format!(
            "POST\n{}\n\ncontent-type:application/json\nhost:{}\nx-amz-date:{date}\nx-amz-security-token:session-token-123\n\n\
             content-type;host;x-amz-date;x-amz-security-token\n{}",
            request.path.replace('%', "%25"),
            server.base.trim_start_matches("http://"),
            sha256(&request.body)
        );
        let scope = format!("{}/us-east-1/bedrock/aws4_request", &date[..8]);
        let key = sign(b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &date[..8]);
        let key = sign(&sign(&sign(&key, "us-east-1"), "bedrock"), "aws4_request");
        let signature =
            hex(&sign(&key, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical))));
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{scope}, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature={signature}"
        );
        assert_eq!(request.headers["authorization"], expected);
    }

    #[tokio::test]
    async fn an_error_is_named_by_its_header_and_shows_no_secret() {
        let server = Server::start(|_| {
            let headers = "content-type: application/json\r\nx-amzn-errortype: ThrottlingException:http://internal/\r\nretry-after: 3\r\n";
            (429, headers.to_owned(), br#"{"message":"Too many requests of session-token-123"}"#.to_vec())
        })
        .await;
        let provider = connect(&signed(&server));
        let error = provider.complete(&ask()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ProviderErrorKind::RateLimited, Some("ThrottlingException"))
        );
        assert_eq!(error.message(), "Too many requests of [redacted]");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        assert!(!format!("{provider:?}").contains("wJalr"));
    }

    #[tokio::test]
    async fn an_api_key_is_a_bearer_token() {
        let whole = fixture("bedrock_converse.text")["response"]["body"].clone();
        let server = Server::start(move |_| answer(200, &whole)).await;
        let endpoint = Endpoint::new("bedrock/m").with_api_base(&server.base).with_api_key("bedrock-key-123");
        connect(&endpoint).complete(&ask()).await.unwrap();
        let request = server.seen("").pop().unwrap();
        assert_eq!(request.headers["authorization"], "Bearer bedrock-key-123");
        assert!(!request.headers.contains_key("x-amz-date"));
    }

    #[test]
    fn without_a_credential_or_a_region_it_is_refused_with_the_remedy() {
        let connect =
            |endpoint: Endpoint| Providers::new().unwrap().connect(&endpoint).unwrap_err().to_string();
        let error = connect(Endpoint::new("bedrock/m").with_aws_region_name("us-east-1"));
        assert!(
            error.contains("no credential: set `aws_access_key_id` and `aws_secret_access_key`"),
            "{error}"
        );
        let keyed = Endpoint::new("bedrock/m").with_aws_access_key_id("AKIA").with_aws_secret_access_key("s");
        assert_eq!(connect(keyed), "`aws_region_name` is missing: expected something like `us-east-1`");
    }
}

#[test]
fn a_cloud_without_a_credential_is_refused_with_the_remedy() {
    let connect = |endpoint: Endpoint| Providers::new().unwrap().connect(&endpoint).unwrap_err().to_string();
    let error = connect(Endpoint::new("vertex_ai/gemini-2.5-flash").with_vertex_project("p"));
    assert!(error.contains("no credential: set `vertex_credentials`"), "{error}");
    let key = r#"{"type":"service_account","client_email":"e","private_key":"hunter2","project_id":"p"}"#;
    let error = connect(Endpoint::new("vertex_ai/gemini-2.5-flash").with_vertex_credentials(key));
    assert_eq!(error, "`vertex_credentials` is wrong: `private_key` is not a private key in PEM");
}
