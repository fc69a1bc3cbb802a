//! What one routing decision costs: `next` and `record` of a route that is answered at once.
//!
//! `cargo bench -p router-core --bench decision`

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use router_core::{
    Alias, Catalog, Config, Demand, DeploymentConfig, Dice, Fleet, Lesson, Price, Route, Step, Strategy,
    Timestamp, Usd, strategies,
};

fn fleet(size: usize, strategy: Arc<dyn Strategy>) -> Arc<Fleet> {
    let alias = Alias::try_from("pool").unwrap();
    let price = Price { input: Usd::from_pico(150_000), output: Usd::from_pico(600_000) };
    let deployments = (0..size).map(|n| {
        let mut deployment = DeploymentConfig::new(alias.clone(), "openai", format!("m{n}"));
        deployment.price = Some(price);
        deployment
    });
    let mut config = Config { deployments: deployments.collect(), ..Config::default() };
    config.settings.routing_strategy = strategy;
    Arc::new(Fleet::new(Arc::new(Catalog::new(config).unwrap())))
}

fn decision(c: &mut Criterion) {
    let mut group = c.benchmark_group("decision");
    for strategy in strategies() {
        for size in [2, 10, 100, 1000] {
            let fleet = fleet(size, Arc::clone(&strategy));
            let pool = fleet.catalog().pool("pool").unwrap();
            let mut dice = Dice::from_seed(1);
            let mut now = Timestamp::from_millis(1_000_000);
            let demand = Demand::whole().with_prompt_tokens(500);
            group.bench_function(BenchmarkId::new(strategy.name(), size), |b| {
                b.iter(|| {
                    now = now + Duration::from_millis(1);
                    let mut route = Route::new(Arc::clone(&fleet), pool, demand.clone(), now);
                    let Step::Attempt(attempt) = route.next(now, &mut dice) else {
                        panic!("everybody is healthy")
                    };
                    route.record(attempt, Ok(Lesson::default()), now);
                    black_box(route.next(now, &mut dice))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decision);
criterion_main!(benches);
