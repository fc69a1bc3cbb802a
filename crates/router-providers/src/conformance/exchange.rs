//! Recorded exchanges, and how to replay them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use router_core::{Chunk, ProviderError};
use serde_json::Value;

use crate::anthropic::{Anthropic, VertexClaude};
use crate::gemini::{Gemini, Vertex};
use crate::openai::OpenAi;
use crate::openai::dialect::Dialect;
use crate::protocol::{Progress, Protocol, Target, WireReply};

pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) provider: String,
    pub(super) family: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) request: Value,
    pub(super) response: Value,
    pub(super) protocol: &'static dyn Protocol,
}

impl Exchange {
    /// Returns all recorded exchanges of a family.
    pub(super) fn all(family: &str) -> Vec<Self> {
        let of_family = fixtures().iter().filter(|(_, exchange)| exchange["family"] == family);
        let all: Vec<Self> = of_family.map(|(name, exchange)| Self::new(name.clone(), exchange)).collect();
        assert!(all.len() > 20, "only {} fixtures of {family}", all.len());
        all
    }

    fn new(name: String, exchange: &Value) -> Self {
        let text = |member: &str| exchange[member].as_str().unwrap().to_owned();
        Self {
            name: format!("{}/{name}", text("provider")),
            provider: text("provider"),
            family: text("family"),
            kind: text("kind"),
            path: exchange["request"]["path"].as_str().unwrap_or_default().to_owned(),
            request: exchange["request"]["body"].clone(),
            response: exchange["response"].clone(),
            protocol: protocol(&text("family"), &text("provider")),
        }
    }

    /// Returns one recorded exchange of a family, by a part of its name.
    pub(super) fn named(family: &str, part: &str) -> Self {
        let mut found = Self::all(family);
        found.retain(|exchange| exchange.name.contains(part));
        assert_eq!(found.len(), 1, "{part}");
        found.remove(0)
    }

    pub(super) fn is_stream(&self) -> bool {
        self.stream().is_some()
    }

    /// Returns the bytes of a stream: events as text, or AWS's frames.
    pub(super) fn stream(&self) -> Option<Bytes> {
        let text = self.response["sse"].as_str().map(|sse| sse.to_owned().into());
        let frames = self.response["eventstream_base64"].as_str();
        text.or_else(|| Some(STANDARD.decode(frames?).unwrap().into()))
    }

    pub(super) fn sse(&self) -> Bytes {
        self.response["sse"].as_str().unwrap().to_owned().into()
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let headers = self.response["headers"].as_object().cloned().unwrap_or_default();
        let header = |(name, value): (&String, &Value)| {
            (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value.as_str().unwrap()).unwrap())
        };
        headers.iter().map(header).collect()
    }

    /// Returns the reply as the driver hands it over.
    pub(super) fn reply(&self) -> WireReply {
        let body = match (&self.response["body"], &self.response["text"]) {
            (Value::Null, Value::String(text)) => text.clone(),
            (body, _) => body.to_string(),
        };
        let status = u16::try_from(self.response["status"].as_u64().unwrap()).unwrap();
        WireReply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: self.headers(),
            body: body.into(),
        }
    }

    /// Returns the JSON of each `data:` line; every recorded event has just one.
    pub(super) fn events(&self) -> Vec<String> {
        let sse = self.response["sse"].as_str().unwrap();
        let data = sse.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|data| data.trim().to_owned()).collect()
    }
}

static ANYBODY: OpenAi = OpenAi(Dialect::of("anybody"));

pub(super) fn protocol(family: &str, provider: &str) -> &'static dyn Protocol {
    match (family, provider) {
        ("anthropic_messages", "vertex_anthropic") => &VertexClaude,
        ("anthropic_messages", _) => &Anthropic,
        ("cohere_chat", _) => &crate::cohere::Cohere,
        ("gemini_generate", "vertex") => &Vertex,
        ("gemini_generate", _) => &Gemini,
        #[cfg(feature = "bedrock")]
        ("bedrock_converse", _) => &crate::bedrock::Bedrock,
        _ => &ANYBODY,
    }
}

/// Returns some model, for formats whose replies do not name theirs.
pub(super) fn target() -> Target {
    Target::new("the-model")
}

/// Decodes a stream that the network cut into these pieces.
pub(super) fn replay(
    protocol: &dyn Protocol,
    headers: &HeaderMap,
    pieces: impl IntoIterator<Item = Bytes>,
) -> (VecDeque<Chunk>, Result<(), ProviderError>) {
    let mut decoder = protocol.stream_decoder(&target(), headers);
    let mut chunks = VecDeque::new();
    for piece in pieces {
        match decoder.push(piece, &mut chunks) {
            Ok(Progress::Open) => {}
            Ok(Progress::Ended) => return (chunks, Ok(())),
            Err(error) => return (chunks, Err(error)),
        }
    }
    let result = decoder.finish(&mut chunks);
    (chunks, result)
}

/// Returns the fixtures' directory.
pub(super) fn directory() -> PathBuf {
    match std::env::var_os("PROVIDER_FIXTURES") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
    }
}

/// Every fixture by its file's name, read once for all tests.
fn fixtures() -> &'static [(String, Value)] {
    static FIXTURES: OnceLock<Vec<(String, Value)>> = OnceLock::new();
    FIXTURES.get_or_init(|| {
        let paths = folders(&directory()).into_iter().flat_map(|folder| folders(&folder));
        let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        files
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
            })
            .collect()
    })
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
