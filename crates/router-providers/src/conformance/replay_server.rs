//! A server that answers with recorded exchanges, for the driver to call.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use router_core::{ChatRequest, Provider, ProviderError};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::exchange::Exchange;
use super::meaning::Meaning;

/// Answers whatever it is asked with the exchange it was told last.
pub(super) struct ReplayServer {
    base: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    response: Vec<u8>,
    received: Option<Received>,
}

/// What a client sent.
pub(super) struct Received {
    pub(super) path: String,
    pub(super) body: Value,
}

impl ReplayServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let state = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&state)));
            }
        });
        Self { base, shared }
    }

    /// Answers with this exchange from now on; returns the base URL.
    pub(super) fn serve(&self, exchange: &Exchange) -> String {
        let reply = exchange.reply();
        let (content_type, body) = match exchange.stream() {
            Some(stream) if exchange.response["sse"].is_string() => ("text/event-stream", stream),
            Some(frames) => ("application/vnd.amazon.eventstream", frames),
            None => ("application/json", reply.body),
        };
        let mut response = format!("HTTP/1.1 {} Recorded\r\n", reply.status.as_u16());
        for (name, value) in &exchange.headers() {
            let is_framing =
                ["content-type", "content-length", "transfer-encoding", "content-encoding", "connection"];
            if !is_framing.contains(&name.as_str()) {
                response.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
            }
        }
        response.push_str(&format!("content-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len()));
        let mut shared = self.shared.lock().unwrap();
        shared.response = [response.as_bytes(), &body].concat();
        self.base.clone()
    }

    /// Returns what came last.
    pub(super) fn received(&self) -> Received {
        self.shared.lock().unwrap().received.take().expect("a request came")
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    // Without it the second write waits 40 ms for a delayed acknowledgement.
    stream.set_nodelay(true).unwrap();
    let mut input = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(length) => input.extend_from_slice(&piece[..length]),
        }
        let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(input[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let body = &input[end + 4..];
        if body.len() < length.parse().unwrap() {
            continue;
        }
        let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
        let received = Received { path, body: serde_json::from_slice(body).unwrap() };
        input.clear();
        let response = {
            let mut shared = shared.lock().unwrap();
            shared.received = Some(received);
            shared.response.clone()
        };
        // In two writes, as networks cut.
        let (beginning, rest) = response.split_at(response.len() / 2);
        if stream.write_all(beginning).await.is_err() || stream.write_all(rest).await.is_err() {
            return;
        }
    }
}

/// Reads a stream to its end and puts it together.
pub(super) async fn read(provider: &dyn Provider, request: &ChatRequest) -> Result<Meaning, ProviderError> {
    let mut stream = provider.stream(request).await?.chunks;
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        chunks.push(chunk?);
    }
    Ok(Meaning::of_chunks(&chunks))
}
