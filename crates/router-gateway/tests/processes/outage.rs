//! Redis is killed in the middle of traffic and comes back empty.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use router_mock::Fault;

use crate::ALONE;
use crate::world::{Gateway, World, deployment};

const GATEWAYS: usize = 8;
/// How long it is away.
const AWAY: Duration = Duration::from_secs(10);
/// What a gateway may grow by meanwhile, in KiB.
const MOST_KIB: u64 = 24 * 1024;

/// How often it is killed: once, unless `cargo xtask soak` asks for more.
fn rounds() -> usize {
    std::env::var("LLM_ROUTER_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_memory_stays_and_all_agree_within_a_second_of_its_return() {
    let _alone = ALONE.lock().await;
    let rounds = rounds();
    let world = World::start(
        GATEWAYS,
        |mock| {
            let strict =
                deployment("strict", &mock.upstream("strict"), ", rpm: 10000000, strict_limits: true");
            let pair = |n| {
                let [first, second] = ["first", "second"].map(|name| mock.upstream(&format!("{name}{n}")));
                let pool = format!("pool{n}");
                [
                    deployment(&pool, &first, ", order: 1, rpm: 10000000"),
                    deployment(&pool, &second, ", order: 2, rpm: 10000000"),
                ]
            };
            std::iter::once(strict).chain((0..rounds).flat_map(pair)).collect()
        },
        "",
    )
    .await;
    let (is_over, served, round) = (AtomicBool::new(false), AtomicU64::new(0), AtomicUsize::new(0));
    let load = (0..GATEWAYS).map(|gateway| {
        let (world, is_over, served, round) = (&world, &is_over, &served, &round);
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !is_over.load(Relaxed) {
                tick.tick().await;
                for alias in [&format!("pool{}", round.load(Relaxed)), "strict"] {
                    let answer = world.ask(gateway, alias).await;
                    assert_eq!(answer.status, 200, "gateway {gateway}, {alias}");
                    served.fetch_add(1, Relaxed);
                }
            }
        }
    });
    let story = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before: Vec<Option<u64>> = world.gateways.iter().map(Gateway::memory).collect();
        for n in 0..rounds {
            round.store(n, Relaxed);
            let agreed = kill_and_restart(&world, n).await;
            let grown = world.gateways.iter().zip(&before);
            let grown =
                grown.filter_map(|(gateway, before)| Some(gateway.memory()?.saturating_sub((*before)?)));
            let grown = grown.max().unwrap_or(0);
            println!(
                "redis killed for {AWAY:?}: all {} requests answered, all agree {agreed:?} after its return, \
                 at most {grown} KiB more memory",
                served.load(Relaxed)
            );
            assert!(agreed < Duration::from_secs(1), "{agreed:?}");
            assert!(grown < MOST_KIB, "{grown} KiB");
        }
        is_over.store(true, Relaxed);
    };
    futures_util::future::join(futures_util::future::join_all(load), story).await;
}

/// Returns after which time all agree again.
async fn kill_and_restart(world: &World, round: usize) -> Duration {
    let (pool, second) = (format!("pool{round}"), format!("second{round}"));
    world.redis.lock().await.kill();
    tokio::time::sleep(AWAY / 2).await;
    for gateway in 0..GATEWAYS {
        assert_eq!(world.metric(gateway, "llm_router_redis_connected").await, 0, "it is said");
    }
    // One of them finds out what the others cannot hear.
    world.mock.upstream(&format!("first{round}")).enqueue(Fault::rate_limited("60"));
    tokio::time::sleep(AWAY / 2).await;
    let passing_over = async || {
        let asked = (0..GATEWAYS).map(|gateway| world.ask(gateway, &pool));
        let answers = futures_util::future::join_all(asked).await;
        answers.iter().filter(|answer| answer.deployment == second).count()
    };
    assert_eq!(passing_over().await, 1, "only one knows");
    world.redis.lock().await.restart().await;
    let back = Instant::now();
    while passing_over().await < GATEWAYS {
        assert!(back.elapsed() < Duration::from_secs(20), "they do not agree");
    }
    back.elapsed()
}
