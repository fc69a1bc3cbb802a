//! Answers in the memory of this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use llm_router::Timestamp;

use super::{CacheKey, CachedAnswer, ResponseCache};

/// Keeps answers in memory, up to so many bytes: the one that was used longest ago goes first.
#[derive(Debug)]
pub struct MemoryCache {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<CacheKey, Slot>,
    /// The keys by when they were last used.
    by_use: BTreeMap<u64, CacheKey>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    answer: Arc<CachedAnswer>,
    expires: Timestamp,
    last_use: u64,
}

impl MemoryCache {
    /// Keeps answers of up to this size together.
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, kept: Mutex::default() }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &CacheKey) {
        if let Some(slot) = self.slots.remove(key) {
            self.by_use.remove(&slot.last_use);
            self.bytes -= slot.answer.size();
        }
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

#[async_trait]
impl ResponseCache for MemoryCache {
    fn size_limit(&self) -> usize {
        // One answer is not to push out all the others.
        self.most_bytes / 4
    }

    async fn get(&self, key: &CacheKey, now: Timestamp) -> Option<Arc<CachedAnswer>> {
        let mut kept = self.kept();
        let this_use = kept.next_use();
        let slot = kept.slots.get_mut(key)?;
        if slot.expires <= now {
            kept.remove(key);
            return None;
        }
        let (answer, last_use) = (Arc::clone(&slot.answer), std::mem::replace(&mut slot.last_use, this_use));
        kept.by_use.remove(&last_use);
        kept.by_use.insert(this_use, *key);
        Some(answer)
    }

    fn put(&self, key: CacheKey, answer: Arc<CachedAnswer>, ttl: Duration, now: Timestamp) {
        let size = answer.size();
        if size >= self.size_limit() {
            return;
        }
        let mut kept = self.kept();
        kept.remove(&key);
        while kept.bytes + size > self.most_bytes
            && let Some((_, oldest)) = kept.by_use.first_key_value()
        {
            let oldest = *oldest;
            kept.remove(&oldest);
        }
        let last_use = kept.next_use();
        kept.bytes += size;
        kept.by_use.insert(last_use, key);
        kept.slots.insert(key, Slot { answer, expires: now + ttl, last_use });
    }
}

#[cfg(test)]
mod tests {
    use llm_router::{Alias, Chunk, ChunkKind};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    fn key(n: u8) -> CacheKey {
        CacheKey([n; 32])
    }

    fn answer(bytes: usize) -> Arc<CachedAnswer> {
        Arc::new(CachedAnswer {
            pool: Alias::try_from("fast").unwrap(),
            deployment: None,
            usage: None,
            chunks: vec![Chunk { data: vec![0; bytes].into(), kind: ChunkKind::Content, usage: None }],
            given_at: at(0),
        })
    }

    async fn kept(cache: &MemoryCache, now: Timestamp) -> Vec<u8> {
        let mut found = Vec::new();
        for n in 0..20 {
            if cache.get(&key(n), now).await.is_some() {
                found.push(n);
            }
        }
        found
    }

    #[tokio::test]
    async fn answers_expire() {
        let cache = MemoryCache::new(1_000_000);
        cache.put(key(1), answer(10), Duration::from_secs(60), at(0));
        assert!(cache.get(&key(1), at(59)).await.is_some());
        assert!(cache.get(&key(1), at(60)).await.is_none());
        assert_eq!(cache.kept().bytes, 0);
    }

    #[tokio::test]
    async fn the_answers_used_longest_ago_make_room() {
        let size = answer(1_000).size();
        let cache = MemoryCache::new(5 * size);
        for n in 0..5 {
            cache.put(key(n), answer(1_000), Duration::from_secs(60), at(0));
        }
        cache.get(&key(0), at(1)).await.unwrap();
        cache.put(key(5), answer(1_000), Duration::from_secs(60), at(1));
        assert_eq!(kept(&cache, at(2)).await, [0, 2, 3, 4, 5]);
        cache.put(key(6), answer(3 * 1_000), Duration::from_secs(60), at(1));
        assert_eq!(kept(&cache, at(2)).await, [0, 2, 3, 4, 5], "too large to be worth it");
        assert_eq!(cache.kept().bytes, 5 * size);
        cache.put(key(5), answer(10), Duration::from_secs(60), at(1));
        assert!(cache.kept().bytes < 5 * size, "what it replaces is not counted any more");
    }
}
