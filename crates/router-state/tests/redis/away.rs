//! Redis goes away in every way there is: routing goes on, and it heals by itself.

use std::time::{Duration, Instant};

use router_core::{ProviderErrorKind, StateStore};
use router_state::{RedisAddress, RedisStore};

use crate::peer::Router;
use crate::server::{Server, free_port};

async fn connected(store: &RedisStore) {
    eventually("a connection", || store.status().is_connected).await;
}

pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(found.is_ok(), "{what} did not come to be");
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_empty_learns_what_still_holds() {
    let mut server = Server::start(&[]).await;
    let (one, other) = (server.store(), server.store());
    let routers = [Router::join(one.clone(), 1_000), Router::join(other.clone(), 1_000)];
    connected(&one).await;
    connected(&other).await;
    routers[0].cool("a", Duration::from_secs(60), ProviderErrorKind::Authentication);
    routers[1].until("the cooldown", |router| router.cools("a").is_some()).await;
    server.kill();
    eventually("the loss", || !one.status().is_connected && !other.status().is_connected).await;
    // Told while nobody listens.
    routers[0].cool("b", Duration::from_secs(60), ProviderErrorKind::Server);
    for _ in 0..100 {
        routers[1].request();
    }
    assert!(routers[1].cools("b").is_none());
    server.restart().await;
    let back = Instant::now();
    routers[1].until("what was told meanwhile", |router| router.cools("b").is_some()).await;
    let late = Router::join(server.store(), 1_000);
    late.until("both cooldowns", |router| router.cools("a").is_some() && router.cools("b").is_some()).await;
    assert!(back.elapsed() < Duration::from_secs(8), "{:?}", back.elapsed());
}

#[tokio::test]
async fn a_router_that_starts_late_knows_what_cools_and_what_the_minute_holds() {
    let server = Server::start(&[]).await;
    let early = Router::join(server.store(), 100);
    early.cool("a", Duration::from_secs(60), ProviderErrorKind::RateLimited);
    for _ in 0..7 {
        assert!(early.request());
    }
    eventually("the requests in Redis", || {
        let key = server.cli(&["--scan", "--pattern", "*consumed*"]);
        !key.is_empty()
            && server.cli(&["hget", key.lines().next().unwrap_or(""), "deployment:pool:b|r"]) == "7"
    })
    .await;
    drop(early);
    let late = Router::join(server.store(), 100);
    late.until("the cooldown", |router| router.cools("a").is_some()).await;
    late.until("the requests", |router| router.used("b") == 7).await;
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up() {
    let server = Server::start(&[]).await;
    let store = server.store();
    let router = Router::join(store.clone(), 100_000);
    connected(&store).await;
    server.signal("-STOP");
    let begun = Instant::now();
    for n in 0..5_000 {
        assert!(router.request());
        if n % 10 == 0 {
            router.cool("a", Duration::from_millis(1), ProviderErrorKind::Server);
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    eventually("the loss", || !store.status().is_connected).await;
    server.signal("-CONT");
    connected(&store).await;
}

#[tokio::test]
async fn whoever_is_refused_is_told_why_without_the_password() {
    let server = Server::start(&["--requirepass", "right"]).await;
    let wrong = server.address().with_password("hunter2");
    let refused = RedisStore::probe(&wrong).await.unwrap_err().to_string();
    assert!(refused.contains(&server.port.to_string()) && !refused.contains("hunter2"), "{refused}");
    assert!(refused.to_lowercase().contains("password") || refused.contains("WRONGPASS"), "{refused}");
    RedisStore::probe(&server.address().with_password("right")).await.unwrap();
    let nobody = RedisAddress::server("127.0.0.1", free_port());
    assert!(RedisStore::probe(&nobody).await.is_err());
    // A store with the wrong password works on by itself.
    let store = std::sync::Arc::new(RedisStore::start(wrong).unwrap());
    let router = Router::join(store.clone(), 100);
    eventually("the failure", || store.status().failures > 1).await;
    assert!(router.request() && !store.status().is_connected);
}

#[tokio::test]
async fn a_server_that_is_read_only_or_full_is_away_until_it_is_not() {
    let master = Server::start(&[]).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await;
    let full = Server::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]).await;
    for (server, heal) in
        [(&replica, vec!["replicaof", "no", "one"]), (&full, vec!["config", "set", "maxmemory", "0"])]
    {
        let store = server.store();
        let router = Router::join(store.clone(), 100);
        router.cool("a", Duration::from_secs(60), ProviderErrorKind::Server);
        eventually("a failure", || store.status().failures > 0).await;
        assert!(router.request());
        server.cli(&heal);
        connected(&store).await;
        let other = Router::join(server.store(), 100);
        other.until("the cooldown", |router| router.cools("a").is_some()).await;
    }
}

#[tokio::test]
async fn more_changes_than_the_queue_holds_are_told_with_everything_else() {
    let server = Server::start(&[]).await;
    let store = server.store();
    let router = Router::join(store.clone(), 100);
    connected(&store).await;
    server.signal("-STOP");
    for _ in 0..3_000 {
        router.cool("b", Duration::from_secs(30), ProviderErrorKind::Server);
    }
    router.cool("a", Duration::from_secs(60), ProviderErrorKind::Server);
    assert!(store.status().dropped > 0);
    server.signal("-CONT");
    let other = Router::join(server.store(), 100);
    other.until("both", |router| router.cools("a").is_some() && router.cools("b").is_some()).await;
    let _: &dyn StateStore = &*store;
}
