//! Limits that eight processes share.

use std::time::{Duration, Instant};

use router_mock::{Behaviour, Usage};

use crate::ALONE;
use crate::world::{MASTER_KEY, World, deployment};

const GATEWAYS: usize = 8;
const LIMIT: u64 = 600;

/// Offers each gateway a request every so often, for so long; returns how many were answered.
async fn offer(world: &World, every: Duration, span: Duration, key: &str) -> u64 {
    let begun = Instant::now();
    let each = (0..GATEWAYS).map(|gateway| async move {
        let mut tick = tokio::time::interval(every);
        let mut answered = 0;
        while begun.elapsed() < span {
            tick.tick().await;
            let answer = world.ask_with_key(gateway, "fast", key).await;
            match answer.status {
                200 => answered += 1,
                429 => {}
                other => panic!("status {other}"),
            }
        }
        answered
    });
    futures_util::future::join_all(each).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_limit_is_overshot_by_no_more_than_the_documented_bound() {
    let _alone = ALONE.lock().await;
    let more = format!(", rpm: {LIMIT}");
    let world = World::start(GATEWAYS, |mock| vec![deployment("fast", &mock.upstream("m"), &more)], "").await;
    // 400 a second in all, so that the limit is reached after a second and a half.
    let answered = offer(&world, Duration::from_millis(20), Duration::from_secs(4), "none").await;
    let called = world.mock.upstream("m").calls();
    println!("{GATEWAYS} processes: {called} of {LIMIT} a minute admitted");
    assert_eq!(answered, called);
    // What comes in within an exchange is a hundred; a machine that is busy with other things may take a second for one.
    assert!((LIMIT..=LIMIT + 400).contains(&called), "{called}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_limit_is_admitted_exactly() {
    let _alone = ALONE.lock().await;
    let more = format!(", rpm: {LIMIT}, strict_limits: true");
    let world = World::start(GATEWAYS, |mock| vec![deployment("fast", &mock.upstream("m"), &more)], "").await;
    let begun = Instant::now();
    let mut answered = 0;
    while answered < LIMIT {
        assert!(begun.elapsed() < Duration::from_secs(30), "{answered} answered");
        answered += offer(&world, Duration::from_millis(1), Duration::from_secs(1), "none").await;
    }
    answered += offer(&world, Duration::from_millis(1), Duration::from_secs(1), "none").await;
    println!("{GATEWAYS} processes: {answered} of {LIMIT} a minute admitted, strictly");
    assert_eq!((answered, world.mock.upstream("m").calls()), (LIMIT, LIMIT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_of_a_key_is_spent_to_the_last_cent_and_the_key_is_not_in_redis() {
    let _alone = ALONE.lock().await;
    let keys = format!(
        "general_settings:\n  master_key: {MASTER_KEY}\n  virtual_keys: [{{key: sk-of-a-team, max_budget: 1.5}}]\n"
    );
    let world = World::start(
        GATEWAYS,
        |mock| {
            let upstream = mock.upstream("m");
            // Ten tokens, a cent each request.
            upstream.set(Behaviour::answering("Yes.").with_usage(Usage::new(1, 10)));
            vec![deployment("fast", &upstream, ", input_cost_per_token: 0, output_cost_per_token: 0.001")]
        },
        &keys,
    )
    .await;
    let mut answered = 0;
    for _ in 0..20 {
        answered += offer(&world, Duration::from_millis(5), Duration::from_millis(500), "sk-of-a-team").await;
        if answered >= 150 {
            break;
        }
    }
    answered += offer(&world, Duration::from_millis(5), Duration::from_millis(500), "sk-of-a-team").await;
    println!("{GATEWAYS} processes: {answered} requests of a cent answered for a budget of 1.50");
    assert_eq!(answered, 150);
    let redis = world.redis.lock().await;
    let keys = redis.cli(&["keys", "*"]);
    assert!(keys.contains("key:") && !keys.contains("sk-of-a-team"), "{keys}");
    for key in keys.lines() {
        assert_ne!(redis.cli(&["pttl", key]), "-1", "{key} has its time to live");
        assert!(!redis.cli(&["hgetall", key]).contains("sk-of-a-team"));
    }
}
