//! Two simulated providers behind a gateway, a clock that can skip time, and what a client hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use llm_router::{Deployment, Router, RouterBuilder};
use reqwest::header::HeaderMap;
use router_core::{Clock, Timestamp};
use router_mock::{Behaviour, MockServer, Upstream};
use serde_json::{Value, json};
use system_tests::Gateway;

/// What the primary says when it is well, and what the other one says.
pub(super) const PRIMARY: &str = "the answer of the primary";
pub(super) const OTHER: &str = "quite another answer";

/// How the two deployments stand to each other. The primary is always asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Both in the pool `chat`.
    OnePool,
    /// The primary alone in the pool `chat`, whose fallback is `backup`.
    Fallback,
    /// The primary alone.
    Lone,
}

impl Layout {
    pub(super) const BOTH: [Self; 2] = [Self::OnePool, Self::Fallback];

    pub(super) fn pool_of_other(self) -> &'static str {
        if self.is_fallback() { "backup" } else { "chat" }
    }

    pub(super) fn is_fallback(self) -> bool {
        self == Self::Fallback
    }
}

/// The wire format of the primary; the other deployment speaks the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    OpenAi,
    Anthropic,
}

impl Format {
    pub(super) const BOTH: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::OpenAi => Self::Anthropic,
            Self::Anthropic => Self::OpenAi,
        }
    }

    pub(super) const fn model(self) -> &'static str {
        match self {
            Self::OpenAi => "gpt-4o-mini",
            Self::Anthropic => "claude-haiku-4-5",
        }
    }

    fn deployment(self, alias: &str, upstream: &Upstream) -> Deployment {
        let deployment = match self {
            Self::OpenAi => Deployment::new(alias, self.model()).api_base(upstream.openai_base()),
            Self::Anthropic => Deployment::new(alias, self.model()).api_base(upstream.anthropic_base()),
        };
        // The price table would say that Claude can.
        deployment.id(upstream.name()).supports_assistant_prefill(false)
    }
}

/// How a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Streamed,
}

impl Mode {
    pub(super) const BOTH: [Self; 2] = [Self::Plain, Self::Streamed];
}

/// A clock that goes on by itself and can skip time, so that a minute of cooldown costs nothing.
#[derive(Debug)]
pub(super) struct SkippingClock {
    started: Instant,
    skipped: AtomicU64,
}

impl SkippingClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), skipped: AtomicU64::new(0) })
    }

    pub(super) fn skip(&self, span: Duration) {
        self.skipped.fetch_add(u64::try_from(span.as_millis()).unwrap(), Relaxed);
    }
}

impl Clock for SkippingClock {
    fn now(&self) -> Timestamp {
        let skipped = Duration::from_millis(self.skipped.load(Relaxed));
        Timestamp::from_millis(1_800_000_000_000) + self.started.elapsed() + skipped
    }
}

/// The deployments `primary` and `other`, and `special` for the fallbacks of one kind, behind a gateway.
pub(super) struct World {
    _server: MockServer,
    pub(super) primary: Upstream,
    pub(super) other: Upstream,
    pub(super) clock: Arc<SkippingClock>,
    gateway: Gateway,
    client: reqwest::Client,
}

impl World {
    pub(super) async fn new(
        layout: Layout,
        format: Format,
        set: impl FnOnce(RouterBuilder) -> RouterBuilder,
    ) -> Self {
        let server = MockServer::start("127.0.0.1:0").await.unwrap();
        let [primary, other, special] = ["primary", "other", "special"].map(|name| server.upstream(name));
        primary.set(Behaviour::answering(PRIMARY));
        other.set(Behaviour::answering(OTHER));
        special.set(Behaviour::answering("the special answer"));
        let clock = SkippingClock::new();
        let mut builder = Router::builder()
            .clock(Arc::clone(&clock) as _)
            .deployment(format.deployment("chat", &primary).order(1))
            .deployment(format.other().deployment("special", &special));
        builder = match layout {
            Layout::OnePool => builder.deployment(format.other().deployment("chat", &other).order(2)),
            Layout::Fallback => {
                builder.deployment(format.other().deployment("backup", &other)).fallbacks("chat", ["backup"])
            }
            Layout::Lone => builder,
        };
        let gateway = Gateway::over(set(builder).build().unwrap()).await;
        // It needs no certificates, and loading them takes longer than most of what is tested here.
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        Self { _server: server, primary, other, clock, gateway, client }
    }

    pub(super) async fn ask(&self, mode: Mode) -> Heard {
        self.post(mode, json!({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]})).await
    }

    pub(super) async fn ask_with_usage(&self, mode: Mode) -> Heard {
        let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "Hello"}]});
        if mode == Mode::Streamed {
            body["stream_options"] = json!({"include_usage": true});
        }
        self.post(mode, body).await
    }

    pub(super) async fn post(&self, mode: Mode, mut body: Value) -> Heard {
        if mode == Mode::Streamed {
            body["stream"] = true.into();
        }
        let started = Instant::now();
        let url = self.gateway.url("/v1/chat/completions");
        let request = self.client.post(url).header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let elapsed = started.elapsed();
        let is_stream = headers["content-type"] == "text/event-stream";
        let heard = Heard { status, headers, elapsed, ..Heard::default() };
        if is_stream { heard.streamed(&text) } else { heard.plain(&text) }
    }
}

/// What a client hears.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) elapsed: Duration,
    pub(super) text: String,
    pub(super) model: String,
    pub(super) usage: Option<Value>,
    /// The last word: `[DONE]` of a stream; a plain answer has none and needs none.
    pub(super) is_done: bool,
    pub(super) error: Option<Value>,
    pub(super) finish_reason: Option<String>,
    /// The events of a stream, without their framing.
    pub(super) events: Vec<String>,
}

impl Heard {
    fn plain(mut self, body: &str) -> Self {
        let body: Value = serde_json::from_str(body).unwrap();
        if body.get("error").is_some() {
            return Self { error: Some(body), ..self };
        }
        let choice = &body["choices"][0];
        self.text = choice["message"]["content"].as_str().unwrap().to_owned();
        self.finish_reason = choice["finish_reason"].as_str().map(str::to_owned);
        self.model = body["model"].as_str().unwrap().to_owned();
        self.usage = Some(body["usage"].clone());
        self.is_done = true;
        self
    }

    /// Reads a stream and checks what holds for every one: each event is JSON, all are of one answer, nothing follows the end.
    fn streamed(mut self, body: &str) -> Self {
        let events = body.split("\n\n").filter(|event| !event.is_empty());
        self.events = events.map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect();
        let mut ids = Vec::new();
        let mut roles = 0;
        for event in &self.events {
            assert!(!self.is_done && self.error.is_none(), "something follows the end: {:?}", self.events);
            if event == "[DONE]" {
                self.is_done = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(event).unwrap();
            if chunk.get("error").is_some() {
                self.error = Some(chunk);
                continue;
            }
            ids.push(chunk["id"].clone());
            let model = chunk["model"].as_str().unwrap();
            assert!(self.model.is_empty() || self.model == model, "two models: {:?}", self.events);
            model.clone_into(&mut self.model);
            if chunk["usage"].is_object() {
                self.usage = Some(chunk["usage"].clone());
            }
            let choice = &chunk["choices"][0];
            roles += usize::from(choice["delta"]["role"].is_string());
            self.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finish_reason = Some(reason.to_owned());
            }
        }
        ids.dedup();
        assert_eq!((ids.len(), roles), (1, 1), "more than one answer: {:?}", self.events);
        self
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// It is this answer, from its beginning to its end, and nothing else.
    pub(super) fn is_whole(&self, text: &str, case: &str) {
        assert_eq!(self.status, 200, "{case}: {:?}", self.error);
        assert_eq!(self.text, text, "{case}");
        assert_eq!(self.finish_reason.as_deref(), Some("stop"), "{case}");
        assert!(self.is_done && self.error.is_none(), "{case}: {:?}", self.events);
    }

    /// It ends with an error and has nothing that looks like a good end.
    pub(super) fn is_cut(&self, case: &str) {
        assert_eq!(self.status, 200, "{case}");
        assert!(self.error.is_some(), "{case}: {:?}", self.events);
        assert!(!self.is_done, "{case}: a cut answer has no [DONE]");
        assert_eq!(self.finish_reason, None, "{case}: a cut answer has no finish reason");
    }

    pub(super) fn came_from(&self, pool: &str, deployment: &str, case: &str) {
        assert_eq!(self.header("x-router-pool"), pool, "{case}");
        assert_eq!(self.header("x-router-deployment"), deployment, "{case}");
    }
}

/// `w1 w2 … w60`.
pub(super) fn sixty_words() -> &'static str {
    static WORDS: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| (1..=60).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" "));
    &WORDS
}

/// Waits for something that is about to happen.
pub(super) async fn until(what: &str, happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), waiting).await.is_ok(), "{what}");
}
