//! Values that processes keep for each other, for a while.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::RedisResult;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::link::Link;
use super::{RedisAddress, RedisError};

/// Writes under way at a time. One more is left out: the next answer is worth as much.
const MOST_WRITES: usize = 64;

/// How long nobody asks after a failure.
const REST: Duration = Duration::from_secs(1);

/// Keeps bytes in Redis for a while, for whoever asks for them there.
///
/// It is a cache, so nothing it does is an error: what cannot be had within [`PATIENCE`](Self::PATIENCE) is not there, and what
/// cannot be written is not written. While Redis is away it answers at once, and looks for it again about once a second. It has a
/// connection of its own, so that large values hold nobody else up. How much Redis keeps in all is Redis's `maxmemory` to say; every
/// key has its time to live.
///
/// ```no_run
/// use router_state::{RedisAddress, RedisCache};
/// use std::time::Duration;
///
/// # async fn start() -> Result<(), router_state::RedisError> {
/// let cache = RedisCache::start(RedisAddress::url("redis://127.0.0.1:6379")?)?;
/// cache.set("question", b"answer".to_vec(), Duration::from_secs(600));
/// assert_eq!(cache.get("another question").await, None);
/// # Ok(())
/// # }
/// ```
pub struct RedisCache {
    inner: Arc<Inner>,
    runtime: Handle,
    most_bytes: usize,
}

struct Inner {
    address: RedisAddress,
    route: Mutex<Route>,
    is_connecting: AtomicBool,
    writes: Arc<Semaphore>,
    counts: Counts,
}

#[derive(Default)]
struct Route {
    link: Option<Link>,
    rest_until: Option<Instant>,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
    left_out: AtomicU64,
}

/// What a cache did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RedisCacheStatus {
    /// Values that were found.
    pub hits: u64,
    /// Values that were not there, or not in time.
    pub misses: u64,
    /// Times that Redis failed or was too slow.
    pub failures: u64,
    /// Values that were not written: too large, or too many at a time.
    pub left_out: u64,
}

impl RedisCache {
    /// How long a look may take.
    pub const PATIENCE: Duration = Duration::from_millis(50);

    /// The largest value that is kept where nothing else is said: 1 MiB.
    pub const MOST_BYTES: usize = 1 << 20;

    /// Starts to connect, in the present tokio runtime, and does not wait for it.
    ///
    /// # Errors
    /// When there is no runtime.
    pub fn start(address: RedisAddress) -> Result<Self, RedisError> {
        let runtime = Handle::try_current().map_err(|_| RedisError::NoRuntime)?;
        let inner = Arc::new(Inner {
            address,
            route: Mutex::default(),
            is_connecting: AtomicBool::new(false),
            writes: Arc::new(Semaphore::new(MOST_WRITES)),
            counts: Counts::default(),
        });
        let cache = Self { inner, runtime, most_bytes: Self::MOST_BYTES };
        cache.link();
        Ok(cache)
    }

    /// Sets the largest value that is kept, in bytes.
    #[must_use]
    pub const fn with_most_bytes(mut self, most: usize) -> Self {
        self.most_bytes = most;
        self
    }

    /// Returns what is kept under a key.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let found = match self.link() {
            Some(mut link) => {
                let mut ask = redis::cmd("GET");
                let asked = ask.arg(cache_key(key)).query_async::<Option<Vec<u8>>>(&mut link);
                self.inner.outcome(tokio::time::timeout(Self::PATIENCE, asked).await.ok()).flatten()
            }
            None => None,
        };
        let count = if found.is_some() { &self.inner.counts.hits } else { &self.inner.counts.misses };
        count.fetch_add(1, Relaxed);
        found
    }

    /// Keeps a value for this long. Returns at once; it is written in the background.
    pub fn set(&self, key: &str, value: Vec<u8>, ttl: Duration) {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).min(i64::MAX as u64);
        if millis == 0 {
            return;
        }
        let place = Arc::clone(&self.inner.writes).try_acquire_owned().ok();
        let (Some(place), Some(mut link), true) = (place, self.link(), value.len() <= self.most_bytes) else {
            self.inner.counts.left_out.fetch_add(1, Relaxed);
            return;
        };
        let (inner, key) = (Arc::clone(&self.inner), cache_key(key));
        self.runtime.spawn(async move {
            let mut write = redis::cmd("SET");
            let written = write.arg(key).arg(value).arg("PX").arg(millis).exec_async(&mut link);
            // It is in nobody's way, so a large one has its time.
            inner.outcome(tokio::time::timeout(20 * Self::PATIENCE, written).await.ok());
            drop(place);
        });
    }

    /// Returns what it did so far.
    pub fn status(&self) -> RedisCacheStatus {
        let counts = &self.inner.counts;
        RedisCacheStatus {
            hits: counts.hits.load(Relaxed),
            misses: counts.misses.load(Relaxed),
            failures: counts.failures.load(Relaxed),
            left_out: counts.left_out.load(Relaxed),
        }
    }

    /// Returns the connection; where there is none, one is made in the background.
    fn link(&self) -> Option<Link> {
        {
            let mut route = self.inner.route();
            if route.rest_until.is_some_and(|until| Instant::now() < until) {
                return None;
            }
            route.rest_until = None;
            if let Some(link) = &route.link {
                return Some(link.clone());
            }
        }
        if !self.inner.is_connecting.swap(true, Relaxed) {
            let inner = Arc::clone(&self.inner);
            self.runtime.spawn(async move {
                let link = Link::open(&inner.address).await;
                if let Some(link) = inner.outcome(Some(link)) {
                    inner.route().link = Some(link);
                }
                inner.is_connecting.store(false, Relaxed);
            });
        }
        None
    }
}

impl Inner {
    /// Takes note of what came of asking: an answer, an error, or `None` for nothing in time.
    fn outcome<T>(&self, outcome: Option<RedisResult<T>>) -> Option<T> {
        match outcome {
            Some(Ok(found)) => Some(found),
            Some(Err(_)) | None => {
                self.counts.failures.fetch_add(1, Relaxed);
                *self.route() = Route { link: None, rest_until: Some(Instant::now() + REST) };
                None
            }
        }
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every value is for itself, so a cluster may spread them as it likes.
fn cache_key(key: &str) -> String {
    format!("llm-router:v1:cache:{key}")
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache")
            .field("address", &self.inner.address)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
