//! Routers of one process that share what they learn.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use llm_router::{ChatRequest, Deployment, Obstacle, ProviderErrorKind, RouteError, Router};
use router_state::MemoryStore;
use system_tests::{Act, ScriptedProvider};

#[tokio::test(start_paused = true)]
async fn what_cools_in_one_router_gets_no_traffic_from_the_other() {
    let store = Arc::new(MemoryStore::default());
    let dead = ScriptedProvider::new([Act::Fail(ProviderErrorKind::Authentication), Act::Answer("back")]);
    let alive = ScriptedProvider::new([Act::Answer("hello")]);
    let router = || {
        Router::builder()
            .deployment(Deployment::with_provider("fast", "dead", Arc::clone(&dead) as _))
            .deployment(Deployment::with_provider("fast", "alive", Arc::clone(&alive) as _))
            .cooldown_time(Duration::from_secs(60))
            .state_store(Arc::clone(&store) as _)
            .build()
            .unwrap()
    };
    let (one, other) = (router(), router());
    let request = ChatRequest::user("fast", "hi").unwrap();
    while dead.calls() == 0 {
        one.completion(&request).await.unwrap();
    }
    for _ in 0..20 {
        other.completion(&request).await.unwrap();
    }
    assert_eq!(dead.calls(), 1, "the other router never called it");
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..4 {
        other.completion(&request).await.unwrap();
    }
    assert!(dead.calls() > 1, "it comes back there too");
}

/// Two routers over one deployment with these limits a minute, which hold exactly.
fn strict(provider: &Arc<ScriptedProvider>, rpm: u64, tpm: u64) -> [Router; 2] {
    let store = Arc::new(MemoryStore::default());
    [(); 2].map(|()| {
        let deployment = Deployment::with_provider("fast", "m", Arc::clone(provider) as _);
        Router::builder()
            .deployment(deployment.rpm(rpm).tpm(tpm).strict_limits(true))
            .num_retries(0)
            .cooldown_time(Duration::ZERO)
            .state_store(Arc::clone(&store) as _)
            .build()
            .unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn a_strict_limit_holds_exactly_over_routers_that_never_exchanged_anything() {
    let provider = ScriptedProvider::new([Act::Answer("hello")]);
    let routers = strict(&provider, 7, 1_000_000);
    let request = ChatRequest::user("fast", "hi").unwrap();
    let mut refused = Vec::new();
    for n in 0..20 {
        refused.extend(routers[n % 2].completion(&request).await.err());
    }
    assert_eq!((provider.calls(), refused.len()), (7, 13));
    for error in refused {
        assert!(matches!(error, RouteError::Unavailable { obstacle: Obstacle::Rpm, .. }), "{error}");
        let wait = error.retry_after().unwrap();
        assert!((50..=65).contains(&wait.as_secs()), "{wait:?}");
    }
    tokio::time::advance(Duration::from_secs(66)).await;
    routers[0].completion(&request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_call_really_used_takes_the_place_of_its_claim_however_the_call_ends() {
    let long = "word ".repeat(2_000);
    let request = ChatRequest::user("fast", &long).unwrap();
    // Each claims some 2,500 tokens. What is left is to be had by the other router, and not a token more.
    let left = async |act: Act, name: &str| {
        let provider = ScriptedProvider::new([act, Act::Answer("hello")]);
        let [one, other] = strict(&provider, 200, 10_000);
        match name {
            "stream left" => {
                let mut stream = one.stream(&request).await.unwrap();
                let _ = stream.next().await;
                drop(stream);
            }
            "call left" => {
                let call = one.completion(&request);
                assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
            }
            "stream" => _ = one.stream(&request).await.unwrap().collect::<Vec<_>>().await,
            _ => _ = one.completion(&request).await,
        }
        let small = ChatRequest::user("fast", "word ".repeat(76)).unwrap();
        let mut fitting = 0;
        while other.completion(&small).await.is_ok() {
            fitting += 1;
            assert!(fitting < 100, "{name}: nothing was counted");
        }
        fitting
    };
    let answered = left(Act::Answer("hello"), "answered").await;
    assert!((70..76).contains(&answered), "{answered} of a hundred tokens each fit into 7,500");
    assert_eq!(left(Act::Answer("hello"), "stream").await, answered);
    assert_eq!(left(Act::Answer("hello there"), "stream left").await, answered);
    assert_eq!(left(Act::Hang, "call left").await, answered, "nobody knows what it used: the claim stands");
    assert_eq!(left(Act::Fail(ProviderErrorKind::Server), "failed").await, answered);
}
