//! Answers identical requests from a cache.
//!
//! Requests are identical when everything that reaches a provider is, byte by byte. One of several that arrive at the same time asks;
//! the others wait for its answer. Streams are kept as their chunks and replayed as streams.

mod control;
mod flights;
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use llm_router::{
    Alias, CacheSettings, Chunk, ChunkKind, DeploymentId, Edit, Payload, Reply, RouteReport, Timestamp, Usage,
};
use sha2::{Digest, Sha256};

pub(crate) use self::control::Control;
use self::flights::{Flight, Flights, Joined, Landing};
pub use self::memory::MemoryCache;
#[cfg(feature = "redis")]
pub use self::redis::SharedCache;

/// How long answers are kept where nothing is said: LiteLLM's default for its memory cache, ten minutes.
const USUAL_TTL: Duration = Duration::from_secs(600);

/// How much memory answers take where nothing is said.
const USUAL_MEGABYTES: u32 = 64;

/// Keeps answers. [`MemoryCache`] keeps them in this process; one that shares them with other processes takes its place.
///
/// It is a cache: it may forget, and a request is answered all the same when it fails.
#[async_trait]
pub trait ResponseCache: fmt::Debug + Send + Sync {
    /// Returns the size in bytes from which an answer is not kept. See [`CachedAnswer::size`].
    fn size_limit(&self) -> usize;

    /// Returns what is kept under a key and has not expired.
    async fn get(&self, key: &CacheKey, now: Timestamp) -> Option<Arc<CachedAnswer>>;

    /// Keeps an answer for this long. Returns at once: a cache with I/O writes in the background.
    fn put(&self, key: CacheKey, answer: Arc<CachedAnswer>, ttl: Duration, now: Timestamp);
}

/// What a request is known by: a hash of all that reaches a provider.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// Returns it as hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// An answer that was given before.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedAnswer {
    /// The pool that gave it.
    pub pool: Alias,
    /// The deployment that gave it.
    pub deployment: Option<DeploymentId>,
    /// The tokens it used then.
    pub usage: Option<Usage>,
    /// The chunks of a stream; of a whole answer, its body as the only one.
    pub chunks: Vec<Chunk>,
    /// When it was given.
    pub given_at: Timestamp,
}

impl CachedAnswer {
    pub(crate) fn new(report: &RouteReport, chunks: Vec<Chunk>, now: Timestamp) -> Self {
        Self {
            pool: report.pool.clone(),
            deployment: report.deployment.clone(),
            usage: report.attempts.last().and_then(|attempt| attempt.usage),
            chunks,
            given_at: now,
        }
    }

    /// Keeps an answer that came as a whole.
    pub(crate) fn whole(report: &RouteReport, body: Bytes, now: Timestamp) -> Self {
        Self::new(report, vec![Chunk { data: body, kind: ChunkKind::Content, usage: None }], now)
    }

    /// Returns it as the reply it was.
    pub(crate) fn reply(&self) -> Reply {
        let body = self.chunks.first().map(|chunk| chunk.data.clone()).unwrap_or_default();
        Reply { body, model: None, usage: self.usage, headroom: None }
    }

    /// Returns how much memory it takes, roughly, in bytes.
    pub fn size(&self) -> usize {
        const OVERHEAD: usize = 256;
        OVERHEAD + self.chunks.iter().map(Self::size_of).sum::<usize>()
    }

    pub(crate) fn size_of(chunk: &Chunk) -> usize {
        chunk.data.len() + size_of::<Chunk>()
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Embedding,
}

/// A cache and what it is used for. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    store: Arc<dyn ResponseCache>,
    flights: Arc<Flights>,
    settings: Arc<CacheSettings>,
}

impl Cache {
    /// Makes the cache that a configuration asks for; goes on with `previous`, if that keeps its answers in the same place.
    ///
    /// # Errors
    /// When Redis is asked for where there is no runtime.
    pub(crate) fn from_settings(settings: CacheSettings, previous: Option<&Self>) -> Result<Self, String> {
        let settings = Arc::new(settings);
        if let Some(previous) = previous
            && is_same_place(&previous.settings, &settings)
        {
            return Ok(Self { settings, ..previous.clone() });
        }
        #[cfg(feature = "redis")]
        if let Some(address) = settings.redis.clone() {
            let store = SharedCache::start(address).map_err(|error| error.to_string())?;
            return Ok(Self { store: Arc::new(store), flights: Arc::default(), settings });
        }
        let megabytes = settings.max_size_in_memory_mb.unwrap_or(USUAL_MEGABYTES);
        let bytes = usize::try_from(megabytes).unwrap_or(usize::MAX).saturating_mul(1024 * 1024);
        Ok(Self { store: Arc::new(MemoryCache::new(bytes)), flights: Arc::default(), settings })
    }

    /// Uses a cache of one's own.
    pub(crate) fn over(store: Arc<dyn ResponseCache>, settings: CacheSettings) -> Self {
        Self { store, flights: Arc::default(), settings: Arc::new(settings) }
    }

    /// Says what the cache is to do for a request; `None` for nothing.
    pub(crate) fn plan(&self, kind: Kind, request: &impl Payload, control: &Control) -> Option<Plan> {
        let types = match kind {
            Kind::Chat => ["acompletion", "completion"],
            Kind::Embedding => ["aembedding", "embedding"],
        };
        let supported = self.settings.supported_call_types.as_ref();
        if !supported.is_none_or(|listed| listed.iter().any(|listed| types.contains(&listed.as_str())))
            || !(self.settings.default_on || control.use_cache)
            || (control.no_cache && control.no_store)
        {
            return None;
        }
        let namespace = control.namespace.as_ref().or(self.settings.namespace.as_ref());
        Some(Plan {
            cache: self.clone(),
            key: key(kind, namespace.map_or("", String::as_str), request),
            ttl: control.ttl().or(self.settings.ttl).unwrap_or(USUAL_TTL),
            max_age: control.max_age(),
            reads: !control.no_cache,
            stores: !control.no_store,
        })
    }
}

/// Returns whether two configurations keep answers in the same place.
fn is_same_place(one: &CacheSettings, other: &CacheSettings) -> bool {
    #[cfg(feature = "redis")]
    if one.redis != other.redis {
        return false;
    }
    one.max_size_in_memory_mb == other.max_size_in_memory_mb
}

/// Fields that say for whom a request is or how the router is to treat it, and do not change the answer.
const NOT_PART_OF_THE_QUESTION: [&str; 5] =
    ["user", "metadata", "num_retries", "fallbacks", "disable_fallbacks"];

fn key(kind: Kind, namespace: &str, request: &impl Payload) -> CacheKey {
    let mut hash = Sha256::new();
    for part in [if kind == Kind::Chat { "chat" } else { "embedding" }, namespace] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(request.body_with(&NOT_PART_OF_THE_QUESTION.map(|name| (name, Edit::Remove))));
    // What a translation leaves out reaches some providers all the same.
    if let Some(native) = request.native() {
        hash.update(native.body_with(&["model", "stream", "metadata"].map(|name| (name, Edit::Remove))));
        for (name, value) in native.headers() {
            hash.update(name.as_str());
            hash.update(value.as_bytes());
        }
    }
    CacheKey(hash.finalize().into())
}

/// What the cache is to do for one request.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    cache: Cache,
    key: CacheKey,
    ttl: Duration,
    max_age: Option<Duration>,
    reads: bool,
    stores: bool,
}

/// Where a request stands after a look into the cache.
#[derive(Debug)]
pub(crate) enum Found {
    /// It was answered before.
    Answer(Kept),
    /// It is to be asked; others may be waiting for what it brings, and the cache, unless it is to do nothing.
    Nothing(Option<Pending>),
}

/// An answer from before.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: CacheKey,
    pub(crate) answer: Arc<CachedAnswer>,
}

/// A request that is being asked. Dropped, it was given up, and one of those who wait asks in its place.
#[derive(Debug)]
pub(crate) struct Pending {
    plan: Plan,
    flight: Option<Flight>,
}

impl Plan {
    /// Looks for an answer; waits for one that an identical request is already asking for.
    pub(crate) async fn find(self, now: Timestamp) -> Found {
        let mut plan = self;
        loop {
            let mut pending = match plan.look(now).await {
                Found::Nothing(Some(pending)) if pending.plan.reads && pending.plan.stores => pending,
                found => return found,
            };
            match pending.plan.cache.flights.join(pending.plan.key) {
                Joined::Leader(flight) => {
                    pending.flight = Some(flight);
                    return Found::Nothing(Some(pending));
                }
                Joined::Follower(waiting) => match waiting.landing().await {
                    Landing::Stored(answer) => return Found::Answer(Kept { key: pending.plan.key, answer }),
                    // An error is no answer for others: each asks for itself.
                    Landing::Failed => return Found::Nothing(Some(pending)),
                    Landing::GivenUp => plan = pending.plan,
                },
            }
        }
    }

    /// Looks for an answer, without waiting for others.
    pub(crate) async fn look(self, now: Timestamp) -> Found {
        if self.reads
            && let Some(answer) = self.cache.store.get(&self.key, now).await
            && self.max_age.is_none_or(|most| now.since(answer.given_at) <= most)
        {
            return Found::Answer(Kept { key: self.key, answer });
        }
        Found::Nothing(Some(Pending { plan: self, flight: None }))
    }
}

impl Pending {
    /// Returns whether the answer will be kept if it is of this size.
    pub(crate) fn keeps(&self, size: usize) -> bool {
        self.plan.stores && size < self.plan.cache.store.size_limit()
    }

    /// Returns what the request is known by.
    pub(crate) const fn key(&self) -> CacheKey {
        self.plan.key
    }

    /// Keeps the answer, and gives it to those who wait.
    pub(crate) fn answered(self, answer: CachedAnswer, now: Timestamp) {
        let answer = Arc::new(answer);
        if self.plan.stores {
            self.plan.cache.store.put(self.plan.key, Arc::clone(&answer), self.plan.ttl, now);
        }
        if let Some(flight) = self.flight {
            flight.land(Landing::Stored(answer));
        }
    }

    /// Tells those who wait that there is no answer.
    pub(crate) fn failed(self) {
        if let Some(flight) = self.flight {
            flight.land(Landing::Failed);
        }
    }
}
