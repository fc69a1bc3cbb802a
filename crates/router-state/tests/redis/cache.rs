//! A cache on a real server: what it keeps, and that it never holds anybody up.

use std::time::{Duration, Instant};

use router_state::{RedisAddress, RedisCache};

use crate::server::{Server, free_port};

const TTL: Duration = Duration::from_secs(60);

/// Asks until it is there: writes travel in the background.
async fn found(cache: &RedisCache, key: &str) -> Option<Vec<u8>> {
    for _ in 0..1_000 {
        if let Some(value) = cache.get(key).await {
            return Some(value);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Writes until it is there: a cache that has no connection yet leaves writes out.
async fn keep(cache: &RedisCache, key: &str, value: &[u8], ttl: Duration) {
    for _ in 0..1_000 {
        cache.set(key, value.to_vec(), ttl);
        tokio::time::sleep(Duration::from_millis(5)).await;
        if cache.get(key).await.is_some() {
            return;
        }
    }
    panic!("{key} is not kept: {cache:?}");
}

#[tokio::test]
async fn what_one_keeps_another_finds_until_its_time_is_over() {
    let server = Server::start(&[]).await;
    let [one, other] = [(); 2].map(|()| RedisCache::start(server.address()).unwrap());
    let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    keep(&one, "long", &value, TTL).await;
    assert_eq!(found(&other, "long").await.as_deref(), Some(&value[..]), "whatever bytes it is made of");
    let life: u64 = server.cli(&["pttl", "llm-router:v1:cache:long"]).parse().unwrap();
    assert!((50_000..=60_000).contains(&life), "{life}");
    keep(&one, "short", b"x", Duration::from_millis(300)).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(other.get("short").await, None);
    assert_eq!(other.get("never").await, None);
    one.set("zero", b"x".to_vec(), Duration::ZERO);
    assert_eq!(server.cli(&["exists", "llm-router:v1:cache:zero"]), "0");
}

#[tokio::test]
async fn what_is_too_large_is_left_out() {
    let server = Server::start(&[]).await;
    let cache = RedisCache::start(server.address()).unwrap().with_most_bytes(10);
    keep(&cache, "fits", &[0; 10], TTL).await;
    let before = cache.status().left_out;
    cache.set("does not", vec![0; 11], TTL);
    assert_eq!(cache.status().left_out, before + 1);
}

#[tokio::test]
async fn a_server_that_is_slow_or_gone_is_only_a_miss() {
    let mut server = Server::start(&[]).await;
    let cache = RedisCache::start(server.address()).unwrap();
    keep(&cache, "a", b"1", TTL).await;
    server.signal("-STOP");
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(cache.get("a").await, None);
        cache.set("a", vec![0; 1_000], TTL);
    }
    let span = begun.elapsed();
    assert!(span < 4 * RedisCache::PATIENCE, "{span:?}: only the first waited");
    server.signal("-CONT");
    assert_eq!(found(&cache, "a").await.as_deref(), Some(&b"1"[..]), "it comes back by itself");
    server.kill();
    assert_eq!(cache.get("a").await, None);
    server.restart().await;
    keep(&cache, "b", b"2", TTL).await;

    let nobody = RedisCache::start(RedisAddress::server("127.0.0.1", free_port())).unwrap();
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(nobody.get("a").await, None);
    }
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
}
