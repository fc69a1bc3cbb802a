//! What one routing decision costs: `next` and `record` of a route that is answered at once.
//!
//! `cargo bench -p router-core --bench decision`

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use router_core::{
    Alias, Catalog, Config, Demand, DeploymentConfig, Dice, Fleet, Lesson, Route, Step, Timestamp,
};

fn fleet(size: usize) -> Arc<Fleet> {
    let alias = Alias::try_from("pool").unwrap();
    let deployments =
        (0..size).map(|n| DeploymentConfig::new(alias.clone(), "openai", format!("m{n}"))).collect();
    Arc::new(Fleet::new(Arc::new(Catalog::new(Config { deployments, ..Config::default() }).unwrap())))
}

fn decision(c: &mut Criterion) {
    let mut group = c.benchmark_group("decision");
    for size in [2, 10, 100, 1000] {
        let fleet = fleet(size);
        let pool = fleet.catalog().pool("pool").unwrap();
        let mut dice = Dice::from_seed(1);
        let now = Timestamp::from_millis(1_000_000);
        group.bench_function(BenchmarkId::new("simple-shuffle", size), |b| {
            b.iter(|| {
                let mut route = Route::new(Arc::clone(&fleet), pool, Demand::whole(), now);
                let Step::Attempt(attempt) = route.next(now, &mut dice) else {
                    panic!("everybody is healthy")
                };
                route.record(attempt, Ok(Lesson::default()), now);
                black_box(route.next(now, &mut dice))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decision);
criterion_main!(benches);
