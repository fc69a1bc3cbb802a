//! The server: binds, accepts, and leads each request to its upstream.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    task::{AbortHandle, JoinSet},
};

use crate::{
    body::{Hangup, ReplyBody},
    control::control,
    exchange::{JSON, embed, exchange, refuse_too_large},
    upstream::{Upstream, Upstreams},
    wire::{Anthropic, OpenAi, Wire},
};

/// The largest request body taken, as at Anthropic; a larger one gets status 413.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// The pause after a failed accept: most likely there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A running simulated provider. It serves until this value is dropped, which also drops its connections.
pub struct MockServer {
    addr: SocketAddr,
    upstreams: Arc<Upstreams>,
    accepting: AbortHandle,
}

impl MockServer {
    /// Binds an address, where port 0 means any free one, and serves it in tasks of the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn start(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let reachable = if addr.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { addr.ip() };
        let url = format!("http://{}", SocketAddr::new(reachable, addr.port()));
        let upstreams = Arc::new(Upstreams::new(url));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&upstreams))).abort_handle();
        Ok(Self { addr, upstreams, accepting })
    }

    /// Returns the address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the URL of the server, such as `http://127.0.0.1:8080`.
    pub fn base_url(&self) -> &str {
        self.upstreams.server_url()
    }

    /// Returns the upstream of this name, creating it when first mentioned. A name is one path segment; `v1` and `mock`
    /// have a meaning of their own and never reach an upstream.
    pub fn upstream(&self, name: &str) -> Upstream {
        self.upstreams.get(name)
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        // The task owns the listener and the set of connections, so they go with it.
        self.accepting.abort();
    }
}

impl std::fmt::Debug for MockServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockServer").field("addr", &self.addr).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, upstreams: Arc<Upstreams>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, Arc::clone(&upstreams))); }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection to its end. How it ends is the client's affair: errors are what the faults are made of.
async fn converse(stream: TcpStream, upstreams: Arc<Upstreams>) {
    // Without it a head and a body written apart can wait 40 ms for a delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&upstreams, request));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What a path asks for.
enum Endpoint<'a> {
    Complete { wire: &'static dyn Wire, upstream: &'a str },
    Embed { upstream: &'a str },
    Models,
    Control(&'a str),
    Unknown,
}

impl<'a> Endpoint<'a> {
    fn of(method: &Method, path: &'a str) -> Self {
        if let Some(path) = path.strip_prefix("/mock/") {
            return Self::Control(path);
        }
        // The longer suffixes go first, so that `/v1` is never taken for a name.
        let upstream = |suffixes: &[&str]| {
            let name = suffixes.iter().find_map(|suffix| path.strip_suffix(suffix))?;
            match name.strip_prefix('/') {
                None => Some("default"),
                Some(name) => Some(name).filter(|name| !name.is_empty() && !name.contains('/')),
            }
        };
        if method == Method::GET {
            return upstream(&["/v1/models", "/models"]).map_or(Self::Unknown, |_| Self::Models);
        }
        if method != Method::POST {
            return Self::Unknown;
        }
        if let Some(upstream) = upstream(&["/v1/chat/completions", "/chat/completions"]) {
            return Self::Complete { wire: &OpenAi, upstream };
        }
        if let Some(upstream) = upstream(&["/v1/embeddings", "/embeddings"]) {
            return Self::Embed { upstream };
        }
        if let Some(upstream) = upstream(&["/v1/messages"]) {
            return Self::Complete { wire: &Anthropic, upstream };
        }
        Self::Unknown
    }
}

async fn answer(upstreams: &Upstreams, request: Request<Incoming>) -> Result<Response<ReplyBody>, Hangup> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    match Endpoint::of(&parts.method, path) {
        Endpoint::Complete { wire, upstream } => {
            let upstream = upstreams.get(upstream);
            let path = parts.uri.path_and_query().map_or(path, |path| path.as_str());
            match read(body).await? {
                Some(body) => {
                    let turn = upstream.receive(path, &parts.headers, &body);
                    exchange(wire, turn, &parts.headers, &body).await
                }
                None => Ok(refuse_too_large(wire, upstream.receive(path, &parts.headers, &Bytes::new()))),
            }
        }
        Endpoint::Embed { upstream } => {
            let upstream = upstreams.get(upstream);
            match read(body).await? {
                Some(body) => {
                    embed(upstream.receive(path, &parts.headers, &body), &parts.headers, &body).await
                }
                None => Ok(refuse_too_large(&OpenAi, upstream.receive(path, &parts.headers, &Bytes::new()))),
            }
        }
        Endpoint::Models => Ok(json_reply(200, wire_of(&parts.headers).models())),
        Endpoint::Control(path) => {
            let body = read(body).await?.unwrap_or_default();
            Ok(match control(upstreams, &parts.method, path, &body) {
                Some((status, value)) => json_reply(status, value.to_string()),
                None => unknown(&parts.method, parts.uri.path()),
            })
        }
        Endpoint::Unknown => Ok(unknown(&parts.method, path)),
    }
}

/// Reads a request body, or `None` if it is too large.
async fn read(body: Incoming) -> Result<Option<Bytes>, Hangup> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Ok(None);
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(Some(body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Ok(None),
        Err(_) => Err(Hangup),
    }
}

/// The provider whose clients send such headers, for paths that both have.
fn wire_of(headers: &HeaderMap) -> &'static dyn Wire {
    if headers.contains_key("anthropic-version") { &Anthropic } else { &OpenAi }
}

fn unknown(method: &Method, path: &str) -> Response<ReplyBody> {
    let message = format!("unknown request URL: {method} {path}");
    let error =
        json!({ "message": message, "type": "invalid_request_error", "param": null, "code": "unknown_url" });
    json_reply(404, json!({ "error": error }).to_string())
}

fn json_reply(status: u16, body: String) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body, None));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}
