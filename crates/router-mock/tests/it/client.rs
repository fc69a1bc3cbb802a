//! A small HTTP client that keeps what came before an error, and reads server-sent events.

use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use router_mock::{MockServer, Upstream};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// A reply as far as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The error that ended the body too early.
    pub(crate) error: Option<hyper::Error>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert!(self.error.is_none(), "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    /// The stream's events: the name, empty if there is none, and the data.
    pub(crate) fn events(&self) -> Vec<(&str, &str)> {
        self.text
            .split_terminator("\n\n")
            .map(|event| match event.split_once('\n') {
                Some((name, data)) => (name.strip_prefix("event: ").unwrap(), data),
                None => ("", event),
            })
            .map(|(name, data)| (name, data.strip_prefix("data: ").unwrap()))
            .collect()
    }

    /// The data of a stream's events that are JSON.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        self.events().iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    }

    /// The text of a stream's content chunks, one string each, in either format.
    pub(crate) fn content(&self) -> Vec<String> {
        let text = |chunk: &Value| {
            let openai = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str);
            let text = openai.or_else(|| chunk.pointer("/delta/text")?.as_str())?;
            Some(text.to_owned()).filter(|text| !text.is_empty())
        };
        self.chunks().iter().filter_map(text).collect()
    }
}

pub(crate) async fn start() -> (MockServer, Upstream) {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("primary");
    (server, upstream)
}

pub(crate) async fn send(request: Request<Full<bytes::Bytes>>) -> Result<Reply, hyper::Error> {
    let stream = TcpStream::connect(request.uri().authority().unwrap().as_str()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, mut body) = sender.send_request(request).await?.into_parts();
    let mut reply =
        Reply { status: head.status.as_u16(), headers: head.headers, text: String::new(), error: None };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => reply.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
            Err(error) => reply.error = Some(error),
        }
    }
    Ok(reply)
}

pub(crate) fn request(method: &str, url: &str, body: impl Into<bytes::Bytes>) -> Request<Full<bytes::Bytes>> {
    let host = url.split('/').nth(2).unwrap();
    Request::builder().method(method).uri(url).header("host", host).body(Full::new(body.into())).unwrap()
}

/// The formats under test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
}

pub(crate) const BOTH: [Format; 2] = [Format::OpenAi, Format::Anthropic];

/// Sends one user message with further fields.
pub(crate) async fn try_ask(upstream: &Upstream, format: Format, more: Value) -> Result<Reply, hyper::Error> {
    let url = match format {
        Format::OpenAi => format!("{}/chat/completions", upstream.openai_base()),
        Format::Anthropic => format!("{}/v1/messages", upstream.anthropic_base()),
    };
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello there" }] });
    if format == Format::Anthropic {
        body["max_tokens"] = json!(1000);
    }
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    send(request("POST", &url, body.to_string())).await
}

pub(crate) async fn ask(upstream: &Upstream, format: Format, more: Value) -> Reply {
    try_ask(upstream, format, more).await.unwrap()
}

pub(crate) async fn ask_stream(upstream: &Upstream, format: Format) -> Reply {
    ask(upstream, format, json!({ "stream": true })).await
}

/// Waits for something another task is about to do.
pub(crate) async fn eventually(is_true: impl Fn() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it never came true");
}
