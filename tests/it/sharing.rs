//! Routers of one process that share what they learn.

use std::sync::Arc;
use std::time::Duration;

use llm_router::{ChatRequest, Deployment, ProviderErrorKind, Router};
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
