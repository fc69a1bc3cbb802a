//! A provider that plays a script.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use llm_router::{ChatRequest, Chunk, ChunkKind, Provider, ProviderError, ProviderErrorKind, Reply};
use router_core::{ChunkStream, StreamedReply};

/// What the provider does with one call.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Answers with this text, in a stream word by word.
    Answer(&'static str),
    /// Answers after this time; a stream waits before its first token.
    Slow(Duration, &'static str),
    /// Fails at once.
    Fail(ProviderErrorKind),
    /// Fails with 429 and this Retry-After.
    RateLimited(Duration),
    /// Never answers.
    Hang,
    /// Streams the role and these words, then fails.
    CutAfter(&'static [&'static str]),
    /// Streams the role and these words, then says nothing more.
    StallAfter(&'static [&'static str]),
}

/// Plays one act for each call; the last one repeats.
#[derive(Debug)]
pub struct ScriptedProvider {
    acts: Mutex<VecDeque<Act>>,
    calls: AtomicUsize,
    last_body: Mutex<String>,
    open: Arc<AtomicUsize>,
}

/// Counts a call as open until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl ScriptedProvider {
    /// Makes a provider of these acts, at least one.
    pub fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        let acts: VecDeque<Act> = acts.into_iter().collect();
        assert!(!acts.is_empty(), "a script has at least one act");
        Arc::new(Self {
            acts: Mutex::new(acts),
            calls: AtomicUsize::new(0),
            last_body: Mutex::default(),
            open: Arc::default(),
        })
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// How many calls and streams nobody has dropped or ended yet.
    pub fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// The body of the last request.
    pub fn last_body(&self) -> String {
        self.last_body.lock().unwrap().clone()
    }

    fn act(&self, request: &ChatRequest) -> Act {
        self.calls.fetch_add(1, SeqCst);
        *self.last_body.lock().unwrap() = String::from_utf8(request.body().to_vec()).unwrap();
        let mut acts = self.acts.lock().unwrap();
        if acts.len() > 1 { acts.pop_front().unwrap() } else { acts[0] }
    }
}

fn chunk(kind: ChunkKind, delta: &str, finish: &str) -> Chunk {
    let data = format!(
        r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    );
    Chunk { data: data.into(), kind, usage: None }
}

fn role() -> Chunk {
    chunk(ChunkKind::Preamble, r#"{"role":"assistant"}"#, "null")
}

fn word(word: &str) -> Chunk {
    chunk(ChunkKind::Content, &format!(r#"{{"content":{}}}"#, serde_json::to_string(word).unwrap()), "null")
}

fn finish() -> Chunk {
    chunk(ChunkKind::Finish, "{}", r#""stop""#)
}

fn failure(kind: ProviderErrorKind) -> ProviderError {
    ProviderError::new(kind, "scripted")
}

#[async_trait]
impl Provider for ScriptedProvider {
    async fn complete(&self, request: &ChatRequest) -> Result<Reply, ProviderError> {
        let _open = Open::new(&self.open);
        let text = match self.act(request) {
            Act::Answer(text) => text,
            Act::Slow(span, text) => {
                tokio::time::sleep(span).await;
                text
            }
            Act::Fail(kind) => return Err(failure(kind)),
            Act::RateLimited(span) => {
                return Err(failure(ProviderErrorKind::RateLimited).with_retry_after(span));
            }
            Act::Hang => std::future::pending().await,
            Act::CutAfter(_) | Act::StallAfter(_) => panic!("only streams are cut"),
        };
        let text = serde_json::to_string(text).unwrap();
        let body = format!(r#"{{"choices":[{{"message":{{"role":"assistant","content":{text}}}}}]}}"#);
        Ok(Reply { body: body.into(), model: None, usage: None, headroom: None })
    }

    async fn stream(&self, request: &ChatRequest) -> Result<StreamedReply, ProviderError> {
        let open = Open::new(&self.open);
        let mut pause = Duration::ZERO;
        let (words, end): (Vec<&str>, Option<Result<Chunk, ProviderError>>) = match self.act(request) {
            Act::Answer(text) => (text.split(' ').collect(), Some(Ok(finish()))),
            Act::Slow(span, text) => {
                pause = span;
                (text.split(' ').collect(), Some(Ok(finish())))
            }
            Act::Fail(kind) => return Err(failure(kind)),
            Act::RateLimited(span) => {
                return Err(failure(ProviderErrorKind::RateLimited).with_retry_after(span));
            }
            Act::Hang => std::future::pending().await,
            Act::CutAfter(words) => {
                (words.to_vec(), Some(Err(failure(ProviderErrorKind::StreamInterrupted))))
            }
            Act::StallAfter(words) => (words.to_vec(), None),
        };
        let words: Vec<_> = words.into_iter().map(|text| Ok(word(text))).collect();
        let paced = stream::once(async move {
            tokio::time::sleep(pause).await;
            stream::iter(words)
        });
        let last: ChunkStream = match end {
            Some(end) => Box::pin(stream::iter([end])),
            None => Box::pin(stream::pending()),
        };
        let chunks = stream::iter([Ok(role())]).chain(paced.flatten()).chain(last);
        let chunks: ChunkStream = Box::pin(chunks.inspect(move |_| {
            let _ = &open;
        }));
        Ok(chunks.into())
    }
}
