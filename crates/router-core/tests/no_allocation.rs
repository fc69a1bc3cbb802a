//! A decision allocates nothing: whoever routes a million requests a minute relies on it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::sync::Arc;

use router_core::{
    Alias, Catalog, Config, Demand, DeploymentConfig, Dice, FallbackConfig, FallbackKind, Fleet, Lesson,
    ProviderError, ProviderErrorKind, Route, SimpleShuffle, Step, Strategy, Timestamp, strategies,
};

fn fleet(size: usize, strategy: Arc<dyn Strategy>) -> Arc<Fleet> {
    let [pool, spare] = ["pool", "spare"].map(|name| Alias::try_from(name).unwrap());
    let mut deployments: Vec<_> =
        (0..size).map(|n| DeploymentConfig::new(pool.clone(), "openai", format!("m{n}"))).collect();
    deployments.push(DeploymentConfig::new(spare.clone(), "anthropic", "m"));
    let fallbacks = vec![FallbackConfig { kind: FallbackKind::General, from: Some(pool), to: vec![spare] }];
    let mut config = Config { deployments, fallbacks, ..Config::default() };
    config.settings.routing_strategy = strategy;
    Arc::new(Fleet::new(Arc::new(Catalog::new(config).unwrap())))
}

/// Drives one route; `errors` are what its first attempts meet. They are made outside of what is counted.
fn drive(fleet: &Arc<Fleet>, dice: &mut Dice, mut errors: Vec<ProviderError>) -> usize {
    let pool = fleet.catalog().pool("pool").unwrap();
    let now = Timestamp::from_millis(1_000_000);
    let mut route = Route::new(Arc::clone(fleet), pool, Demand::whole(), now);
    loop {
        match route.next(now, dice) {
            Step::Attempt(attempt) => {
                let _ = route.record(attempt, errors.pop().map_or(Ok(Lesson::default()), Err), now);
            }
            Step::Wait(span) => panic!("somebody is always ready, but it waits {span:?}"),
            Step::Done(outcome) => {
                outcome.unwrap();
                return route.trail().len();
            }
        }
    }
}

#[test]
fn a_decision_allocates_nothing_in_pools_of_up_to_a_thousand_under_any_strategy() {
    for strategy in strategies() {
        for size in [2, 10, 100, 1000] {
            let fleet = fleet(size, Arc::clone(&strategy));
            let mut dice = Dice::from_seed(1);
            // A newcomer's latency is estimated from the others'; once everybody has answered, that is over.
            let warm_up = if strategy.name() == "latency-based-routing" { 20 * size } else { size };
            for _ in 0..warm_up {
                drive(&fleet, &mut dice, Vec::new());
            }
            let counted = allocation_counter::measure(|| {
                for _ in 0..100 {
                    assert_eq!(drive(&fleet, &mut dice, Vec::new()), 1);
                }
            });
            assert_eq!(counted.count_total, 0, "{} over {size}", strategy.name());
        }
    }
}

#[test]
fn retries_and_a_fallback_allocate_nothing_either() {
    let fleet = fleet(3, Arc::new(SimpleShuffle));
    let mut dice = Dice::from_seed(1);
    let errors = (0..3).map(|_| ProviderError::new(ProviderErrorKind::Unsupported, "scripted")).collect();
    let mut attempts = 0;
    let counted = allocation_counter::measure(|| attempts = drive(&fleet, &mut dice, errors));
    assert_eq!(attempts, 4, "three in the pool, one in its fallback");
    assert_eq!(counted.count_total, 0);
}
