//! Answers in Redis, shared with other processes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use llm_router::{
    Alias, Chunk, ChunkKind, DeploymentId, RedisAddress, RedisCache, RedisError, Timestamp, Usage,
};
use serde::{Deserialize, Serialize};

use super::{CacheKey, CachedAnswer, ResponseCache};

/// Keeps answers in Redis. What cannot be had from there in time is asked anew, so a request never fails for it.
#[derive(Debug)]
pub struct SharedCache {
    redis: RedisCache,
}

impl SharedCache {
    /// Starts to connect, in the present tokio runtime, and does not wait for it.
    ///
    /// # Errors
    /// When there is no runtime.
    pub fn start(address: RedisAddress) -> Result<Self, RedisError> {
        Ok(Self { redis: RedisCache::start(address)? })
    }
}

#[async_trait]
impl ResponseCache for SharedCache {
    fn size_limit(&self) -> usize {
        RedisCache::MOST_BYTES
    }

    async fn get(&self, key: &CacheKey, _now: Timestamp) -> Option<Arc<CachedAnswer>> {
        let bytes = self.redis.get(&key.to_hex()).await?;
        // What another version wrote and this one cannot read is not there.
        let written: Written<'_> = serde_json::from_slice(&bytes).ok()?;
        Some(Arc::new(written.into_answer()?))
    }

    fn put(&self, key: CacheKey, answer: Arc<CachedAnswer>, ttl: Duration, _now: Timestamp) {
        // An answer that is not text is not written; every provider's is JSON.
        if let Some(bytes) = Written::of(&answer).and_then(|written| serde_json::to_vec(&written).ok()) {
            self.redis.set(&key.to_hex(), bytes, ttl);
        }
    }
}

/// An answer, as it is written.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    pool: Cow<'a, str>,
    #[serde(borrow)]
    deployment: Option<Cow<'a, str>>,
    given_at_ms: u64,
    usage: Option<Usage>,
    #[serde(borrow)]
    chunks: Vec<(ChunkKind, Cow<'a, str>)>,
}

impl<'a> Written<'a> {
    fn of(answer: &'a CachedAnswer) -> Option<Self> {
        let chunk = |chunk: &'a Chunk| Some((chunk.kind, std::str::from_utf8(&chunk.data).ok()?.into()));
        Some(Self {
            pool: answer.pool.as_str().into(),
            deployment: answer.deployment.as_ref().map(|id| id.as_str().into()),
            given_at_ms: answer.given_at.as_millis(),
            usage: answer.usage,
            chunks: answer.chunks.iter().map(chunk).collect::<Option<_>>()?,
        })
    }

    fn into_answer(self) -> Option<CachedAnswer> {
        // What chunks said of the usage is in that of the answer.
        let chunk = |(kind, data): (ChunkKind, Cow<'a, str>)| Chunk {
            data: data.into_owned().into(),
            kind,
            usage: None,
        };
        Some(CachedAnswer {
            pool: Alias::try_from(&*self.pool).ok()?,
            deployment: self.deployment.and_then(|id| DeploymentId::try_from(&*id).ok()),
            usage: self.usage,
            chunks: self.chunks.into_iter().map(chunk).collect(),
            given_at: Timestamp::from_millis(self.given_at_ms),
        })
    }
}
