//! A million routes on a virtual clock, without a runtime: the core does no I/O and waits for nothing.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use router_core::{
    Alias, Attempt, Catalog, Config, Demand, DeploymentConfig, Dice, FallbackConfig, FallbackKind, Fleet,
    Lesson, ProviderError, ProviderErrorKind, Route, RouteFailure, Step, Timestamp,
};

const ROUTES: usize = 1_000_000;
/// Five thousand requests a second, so that a few hundred are always under way.
const ARRIVALS_PER_MS: usize = 5;

fn catalog() -> Catalog {
    let alias = |name: &str| Alias::try_from(name).unwrap();
    let deployments = [("fast", "f0"), ("fast", "f1"), ("fast", "f2"), ("capable", "c0"), ("capable", "c1")]
        .map(|(pool, model)| DeploymentConfig::new(alias(pool), "p", model));
    let edge = |from: &str, to: &str| FallbackConfig {
        kind: FallbackKind::General,
        from: Some(alias(from)),
        to: vec![alias(to)],
    };
    Catalog::new(Config {
        deployments: deployments.into(),
        fallbacks: vec![edge("fast", "capable"), edge("capable", "fast")],
        ..Config::default()
    })
    .unwrap()
}

/// What the deployment at this position answers now: one is down for every third half-minute, one is flaky, one limits rates.
fn outcome(deployment: usize, now: Timestamp, world: &mut Dice) -> (u64, Result<Lesson, ProviderError>) {
    let latency = 20 + world.below(80);
    let fail = |kind| Err(ProviderError::new(kind, ""));
    let outcome =
        match deployment {
            0 if (now.as_millis() / 30_000) % 3 == 1 => fail(ProviderErrorKind::Connection),
            1 if world.below(10_000) == 0 => fail(ProviderErrorKind::Server),
            3 if world.below(5_000) == 0 => Err(ProviderError::new(ProviderErrorKind::RateLimited, "")
                .with_retry_after(Duration::from_secs(2))),
            _ => Ok(Lesson::default()),
        };
    (latency, outcome)
}

#[test]
fn a_million_routes_run_on_a_virtual_clock_in_seconds() {
    let wall = Instant::now();
    let fleet = Arc::new(Fleet::new(Arc::new(catalog())));
    let pools = ["fast", "capable"].map(|alias| fleet.catalog().pool(alias).unwrap());
    let bound = fleet.catalog().attempt_bound(pools[0]);
    let mut world = Dice::from_seed(2026);
    let mut under_way: Vec<Option<(Route, Dice, Option<Attempt>)>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    // What happens when: (moment, slot of the route).
    let mut agenda: BinaryHeap<Reverse<(Timestamp, usize)>> = BinaryHeap::new();
    let (mut answered, mut cooling, mut gave_up, mut attempts, mut most) =
        (0_usize, 0_usize, 0_usize, 0_usize, 0_usize);
    let mut calls = [0_usize; 5];

    let begin = Timestamp::from_millis(1_800_000_000_000);
    for arrival in 0..ROUTES {
        let now = begin + Duration::from_millis((arrival / ARRIVALS_PER_MS) as u64);
        let last = arrival + 1 == ROUTES;
        let slot = free.pop().unwrap_or_else(|| {
            under_way.push(None);
            under_way.len() - 1
        });
        let route = Route::new(Arc::clone(&fleet), pools[arrival % 2], Demand::whole(), now);
        under_way[slot] = Some((route, Dice::from_seed(arrival as u64), None));
        agenda.push(Reverse((now, slot)));

        while let Some(&Reverse((moment, slot))) = agenda.peek() {
            if moment > now && !last {
                break;
            }
            agenda.pop();
            let entry = under_way[slot].as_mut().unwrap();
            let (route, dice, attempt) = (&mut entry.0, &mut entry.1, &mut entry.2);
            if let Some(attempt) = attempt.take() {
                let (_, outcome) = outcome(attempt.deployment().get(), moment, &mut world);
                route.record(attempt, outcome, moment);
            }
            match route.next(moment, dice) {
                Step::Attempt(next) => {
                    calls[next.deployment().get()] += 1;
                    let (latency, _) = outcome(next.deployment().get(), moment, &mut world);
                    *attempt = Some(next);
                    agenda.push(Reverse((moment + Duration::from_millis(latency), slot)));
                }
                Step::Wait(span) => agenda.push(Reverse((moment + span, slot))),
                Step::Done(end) => {
                    match end {
                        Ok(()) => answered += 1,
                        Err(RouteFailure::Unavailable { .. }) => cooling += 1,
                        Err(_) => gave_up += 1,
                    }
                    attempts += route.trail().len();
                    most = most.max(route.trail().len());
                    under_way[slot] = None;
                    free.push(slot);
                }
            }
        }
    }

    assert_eq!(answered + cooling + gave_up, ROUTES, "no request is lost");
    assert_eq!(answered, ROUTES, "somebody was always up, so everybody is answered");
    assert!(most as u64 <= bound, "{most} attempts, bound {bound}");
    assert!(attempts < ROUTES + ROUTES / 50, "{attempts} attempts: a dead deployment stays in rotation");
    assert!(calls.iter().all(|count| *count > ROUTES / 20), "{calls:?}: somebody is starved");
    for deployment in fleet.catalog().indices() {
        assert_eq!(fleet.in_flight(deployment), 0);
    }
    assert!(wall.elapsed() < Duration::from_secs(60), "took {:?}", wall.elapsed());
}
