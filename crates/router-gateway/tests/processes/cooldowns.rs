//! What cools in one process gets no traffic from the others.

use std::time::{Duration, Instant};

use router_mock::Fault;

use crate::ALONE;
use crate::world::{World, deployment};

/// What is promised on loopback.
const SOON: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cools_in_one_of_two_processes_gets_no_traffic_from_the_other() {
    check(2, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cools_in_one_of_eight_processes_gets_no_traffic_from_the_others() {
    check(8, 50).await;
}

/// In each round a deployment of its own is refused once, in one process; the others are asked over and over until they pass it over.
async fn check(gateways: usize, rounds: usize) {
    let _alone = ALONE.lock().await;
    let world = World::start(
        gateways,
        |mock| {
            let pair = |n| {
                let [first, second] = ["first", "second"].map(|name| mock.upstream(&format!("{name}{n}")));
                let pool = format!("pool{n}");
                [deployment(&pool, &first, ", order: 1"), deployment(&pool, &second, ", order: 2")]
            };
            (0..rounds).flat_map(pair).collect()
        },
        "",
    )
    .await;
    let mut spans = Vec::new();
    for round in 0..rounds {
        let (alias, first) = (format!("pool{round}"), world.mock.upstream(&format!("first{round}")));
        let one = round % gateways;
        first.enqueue(Fault::rate_limited("60"));
        let refused = async {
            // The others are asked from the moment on at which the one is refused.
            while first.queued() > 0 {
                tokio::task::yield_now().await;
            }
            let told = Instant::now();
            let others = (0..gateways).filter(|other| *other != one).map(|other| {
                let (world, alias) = (&world, &alias);
                async move {
                    let mut last = Duration::ZERO;
                    loop {
                        let asked = told.elapsed();
                        if world.ask(other, alias).await.deployment.starts_with("second") {
                            return last;
                        }
                        last = asked;
                    }
                }
            });
            futures_util::future::join_all(others).await
        };
        let (answer, others) = futures_util::future::join(world.ask(one, &alias), refused).await;
        assert_eq!(answer.deployment, format!("second{round}"));
        spans.extend(others);
    }
    spans.sort_unstable();
    let at = |share: usize| spans[(spans.len() * share / 100).min(spans.len() - 1)];
    let (p50, p99) = (at(50), at(99));
    println!(
        "{gateways} processes: the last call to what cools was sent after p50 {p50:?}, p99 {p99:?} ({} cases)",
        spans.len()
    );
    assert!(p99 < SOON, "{p99:?}");
}
